"""Documents to passages: cut by the encoder's own tokens, at sentence ends, only where a text is too long for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from encoder.embedder import Embedder
from encoder.errors import UsageError
from indexer.documents import Document, Passage
from indexer.passages.cutter import Cutter
from indexer.passages.token_offsets import LONGEST_TOKEN, TokenOffsets, last_blank, tokenize

# One tokenizer call takes about so many characters: its result needs some 50 times the memory of the text.
_CALL_CHARS = 1_000_000
_SMALLEST_WINDOW = 8


def cut_passages(
    documents: Sequence[Document],
    embedder: Embedder,
    *,
    window: int | None = None,
    overlap: int | None = None,
) -> list[list[Passage]]:
    """The passages of each document, in order; a document that fits the window is one passage.

    Together the passages of a document hold all of its text but blanks. The title is put before each of them and
    counts; where the two are too long together it is cut to a quarter of the window. Cuts fall on sentence ends,
    else line ends, else word ends, else between two tokens.

    Args:
        documents: may be empty.
        embedder: whose tokens count.
        window: most tokens of a passage with its title; default and upper limit: what the encoder takes in.
        overlap: tokens that a passage repeats of the one before, about (whole sentences); default an eighth.

    Raises:
        UsageError: the window or the overlap is out of bounds.
    """
    sizes = _check_sizes(embedder, window, overlap)
    passages: list[list[Passage]] = [[] for _ in documents]
    for group in _groups(documents, sizes.window):
        long: dict[int, TokenOffsets] = {}
        for position, tokens in zip(
            group, tokenize([_content(documents[i]) for i in group], embedder), strict=True
        ):
            if tokens.n > sizes.window:
                long[position] = tokens
        for position, cut in _cut_all(
            {i: (documents[i], t) for i, t in long.items()}, embedder, sizes
        ).items():
            passages[position] = cut
    for document, cut in zip(documents, passages, strict=True):
        if not cut:
            cut.append(Passage(0, 0, len(document.text), _content(document)))
    return passages


@dataclass(frozen=True, slots=True)
class _Sizes:
    window: int
    overlap: int


def _check_sizes(embedder: Embedder, window: int | None, overlap: int | None) -> _Sizes:
    limit = embedder.max_tokens
    if window is None:
        window = limit
    elif not _SMALLEST_WINDOW <= window <= limit:
        raise UsageError(
            what=f"a window of {window} tokens is not possible with encoder {embedder.name}",
            where="--window",
            fix=f"give {_SMALLEST_WINDOW} to {limit}; what is beyond {limit} the encoder would not see",
        )
    if overlap is None:
        overlap = window // 8
    elif not 0 <= overlap <= window // 2:
        raise UsageError(
            what=f"an overlap of {overlap} tokens does not go with a window of {window}",
            where="--overlap",
            fix=f"give 0 to {window // 2}",
        )
    return _Sizes(window, overlap)


def _content(document: Document) -> str:
    return f"{document.title}\n{document.text}" if document.title else document.text


def _groups(documents: Sequence[Document], window: int) -> Iterator[list[int]]:
    """Positions of the documents that may be too long, in groups for one call of the tokenizer."""
    group: list[int] = []
    chars = 0
    for position, document in enumerate(documents):
        size = len(document.title) + 1 + len(document.text)
        # A character of plain ASCII is at most one token, and one more is added by some tokenizers in front.
        if size < window and document.text.isascii() and document.title.isascii():
            continue
        group.append(position)
        chars += size
        if chars >= _CALL_CHARS:
            yield group
            group, chars = [], 0
    if group:
        yield group


def _cut_all(
    long: dict[int, tuple[Document, TokenOffsets]], embedder: Embedder, sizes: _Sizes
) -> dict[int, list[Passage]]:
    """Cut, and count again where it is close: a piece alone may have other tokens than within its text.

    ("Tokyo" at the start of a piece may be two tokens where " Tokyo" in a sentence was one.)
    """
    result: dict[int, list[Passage]] = {}
    budgets = dict.fromkeys(long, sizes.window)
    while budgets:
        doubtful: list[tuple[int, str]] = []
        for i, budget in budgets.items():
            result[i], counts = _cut(*long[i], budget, sizes)
            doubtful += [
                (i, passage.content)
                for passage, count in zip(result[i], counts, strict=True)
                if count + len(passage.content[:LONGEST_TOKEN].partition(" ")[0].encode("utf-8", "replace"))
                > sizes.window - 2
            ]
        excess: dict[int, int] = {}
        for chunk in range(0, len(doubtful), 4096):
            some = doubtful[chunk : chunk + 4096]
            for (i, _), offsets in zip(
                some, embedder.tokenize([content for _, content in some]), strict=True
            ):
                if len(offsets) > sizes.window:
                    excess[i] = max(excess.get(i, 1), len(offsets) - sizes.window)
        budgets = {
            i: budgets[i] - more for i, more in excess.items() if budgets[i] - more >= sizes.window // 2
        }
    return result


def _cut(
    document: Document, tokens: TokenOffsets, window: int, sizes: _Sizes
) -> tuple[list[Passage], list[int]]:
    """The passages of one document for this window, and how many tokens each has as part of it."""
    text, title = document.text, document.title
    shift = len(title) + 1 if title else 0
    if tokens.count(0, len(title)) > sizes.window // 4:
        title = _shorten(title, tokens, sizes.window // 4)
    head, n_head = "", 0
    if title:
        head = f"{title}\n"
        # The line end between title and text is at least reckoned as one token: apart from the text it may be.
        n_head = tokens.count(0, len(title)) + max(1, tokens.count(shift - 1, shift))
    budget = max(1, window - n_head)
    passages: list[Passage] = []
    counts: list[int] = []
    for start, end in Cutter(text, tokens, shift, budget, min(sizes.overlap, budget // 2)).spans():
        passages.append(Passage(len(passages), start, end, head + text[start:end]))
        counts.append(n_head + tokens.count(start + shift, end + shift))
    return passages, counts


def _shorten(title: str, tokens: TokenOffsets, limit: int) -> str:
    """The title cut after at most `limit` tokens, at a word end where there is one; "" where nothing fits."""
    end = tokens.reach(0, limit, len(title))
    blank = last_blank(title, 0, min(len(title), end + 1))
    title = title[: blank if blank > end // 2 else end].strip()
    return title if tokens.count(0, len(title)) <= limit else ""
