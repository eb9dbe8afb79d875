"""A stream of texts -> a stream of token ids."""

from collections.abc import Iterator

from encoder.prompt import TextTokenizer

_TEXTS_AT_ONCE = 256


def tokenised(texts: Iterator[str], tokenizer: TextTokenizer, longest: int | None) -> Iterator[list[int]]:
    """Token ids of each text, at most `longest` of them; many texts go into one call of the tokenizer."""
    while True:
        chunk = []
        for text in texts:
            chunk.append(text)
            if len(chunk) == _TEXTS_AT_ONCE:
                break
        if not chunk:
            return
        for ids in tokenizer.ids(chunk, longest=longest).ids:
            yield ids.tolist()
