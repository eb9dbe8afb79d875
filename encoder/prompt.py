"""Text to token ids and offsets: prefixes, the cut at the longest length, the frame around a text.

User text never becomes a special token: characters that look like one are tokenised as characters.
Knows nothing of torch. Shapes: B batch, T tokens.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encoder.errors import InputError
from encoder.unknown import unknown_tokens

_SURROGATE = re.compile("[\ud800-\udfff]")
# Its results hold every token as a string, about 150 bytes each, so only so much text goes in at once.
_CHUNK_CHARACTERS = 2_000_000
_PIECE_CHARACTERS = 250_000


@dataclass(frozen=True)
class Tokens:
    """Token ids of texts, each cut at the longest length."""

    ids: list[NDArray[np.int64]]  # one [T] array a text
    length: NDArray[np.int64]  # [N] tokens kept of each text
    truncated: int  # texts that lost tokens
    own: NDArray[np.int64]  # [N] of these, the text's own: without the prefix
    unknown: NDArray[np.int64]  # [N] of its own, those that tell the encoder nothing, see `encoder.unknown`


class TextTokenizer:
    """A tokenizer as encoding needs it: no special tokens from text, none added, nothing cut by itself.

    Args:
        backend: the fast tokenizer; copied, so that its settings stay as they are.
        bos_id: the id that begins every sequence, None when the tokenizer has no such token.
    """

    def __init__(self, backend: Tokenizer, bos_id: int | None) -> None:
        description = backend.to_str()
        self._backend = Tokenizer.from_str(description)
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        self._unknown = unknown_tokens(self._backend)
        self.bos: tuple[int, ...] = () if bos_id is None else (bos_id,)
        self.sha256 = hashlib.sha256(f"{bos_id}\n{description}".encode()).hexdigest()

    def ids(self, texts: Sequence[str], *, prefix: str = "", longest: int | None = None) -> Tokens:
        """Token ids of `prefix + text`, tokenised as one string.

        Args:
            texts: any characters; a lone surrogate counts as U+FFFD.
            prefix: put before every text.
            longest: most ids kept of each, None for all.

        Returns:
            The ids in the order of the texts.

        Raises:
            InputError: a text is not a str.
        """
        rows: list[NDArray[np.int64]] = []
        unknown: list[int] = []
        truncated = 0
        before = len(self._encode([prefix], with_offsets=False)[0].ids) if prefix else 0
        for chunk in _chunks(check_texts(texts)):
            if prefix:
                chunk = [prefix + text for text in chunk]
            if len(chunk) == 1:
                found = [self._first_ids(chunk[0], longest)]
            else:
                found = [encoding.ids for encoding in self._encode(chunk, with_offsets=False)]
            for ids in found:
                truncated += longest is not None and len(ids) > longest
                rows.append(np.array(ids[:longest], dtype=np.int64))
                unknown.append(self._count_unknown(ids, before, len(rows[-1])))
        length = np.array([len(row) for row in rows], dtype=np.int64)
        own = np.maximum(length - before, 0)
        return Tokens(rows, length, truncated, own, np.array(unknown, dtype=np.int64))

    def _count_unknown(self, ids: list[int], first: int, last: int) -> int:
        """How many of the ids from `first` to before `last` tell nothing; the one after them says if a word ends."""
        if self._unknown is None:
            return 0
        return self._unknown.count(np.array(ids[: last + 1], dtype=np.int64), first, last)

    def _first_ids(self, text: str, longest: int | None) -> list[int]:
        """The ids of a text, at least `longest` + 1 of them where there are so many."""
        ids: list[int] = []
        for piece in _pieces(text):
            ids.extend(self._encode([piece], with_offsets=False)[0].ids)
            if longest is not None and len(ids) > longest:
                break
        return ids

    def offsets(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Character offsets of each text's own tokens, untruncated.

        A text above 250,000 characters is tokenised in pieces cut before white space; a tokenizer that marks
        the beginning of a text then sees one at every piece.

        Returns:
            One int64 [T, 2] array a text: start and end of each token in the text given, T may be 0.

        Raises:
            InputError: a text is not a str.
        """
        found: list[NDArray[np.int64]] = []
        for chunk in _chunks(check_texts(texts)):
            pieces = _pieces(chunk[0]) if len(chunk) == 1 else chunk
            arrays = self._offset_arrays(pieces) if len(chunk) > 1 else self._shifted(pieces)
            found.extend(arrays)
        return found

    def _shifted(self, pieces: list[str]) -> list[NDArray[np.int64]]:
        """The offsets of one text that comes in pieces, as a list of one array."""
        arrays, start = [], 0
        for piece in pieces:
            arrays.append(self._offset_arrays([piece])[0] + start)
            start += len(piece)
        return [np.concatenate(arrays)]

    def _offset_arrays(self, texts: list[str]) -> list[NDArray[np.int64]]:
        """One int64 [T, 2] array a text, at least one text."""
        pairs = [encoding.offsets for encoding in self._encode(texts, with_offsets=True)]
        lengths = [len(each) for each in pairs]
        numbers = chain.from_iterable(chain.from_iterable(pairs))
        flat = np.fromiter(numbers, dtype=np.int64, count=2 * sum(lengths)).reshape(-1, 2)
        return np.split(flat, np.cumsum(lengths)[:-1])

    def _encode(self, texts: list[str], *, with_offsets: bool) -> list:
        backend = self._backend
        encode = backend.encode_batch if with_offsets else backend.encode_batch_fast
        try:
            return encode(texts, add_special_tokens=False)
        except TypeError:
            # The only str it cannot take holds a lone surrogate; one character for one keeps offsets right.
            return encode([replace_surrogates(text) for text in texts], add_special_tokens=False)


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    """The texts in order, so many at a time as the tokenizer can take; a very long one alone."""
    start = size = 0
    for number, text in enumerate(texts):
        is_long = len(text) > _PIECE_CHARACTERS
        if start < number and (is_long or size + len(text) > _CHUNK_CHARACTERS):
            yield texts[start:number]
            start, size = number, 0
        size += _CHUNK_CHARACTERS if is_long else len(text)
    if start < len(texts):
        yield texts[start:]


def _pieces(text: str) -> list[str]:
    """A long text cut before white space, where a word begins; cut anywhere if there is none."""
    pieces, start = [], 0
    while len(text) - start > _PIECE_CHARACTERS:
        low, high = start + _PIECE_CHARACTERS // 2, start + _PIECE_CHARACTERS
        cut = max(text.rfind(" ", low, high), text.rfind("\n", low, high))
        cut = cut if cut > start else high
        pieces.append(text[start:cut])
        start = cut
    return [*pieces, text[start:]]


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD for every lone surrogate: as long as before, and encodable."""
    return _SURROGATE.sub("\ufffd", text)


def check_texts(texts: Sequence[str], first: int = 0) -> list[str]:
    """The texts as a list, if all are str.

    Args:
        texts: what a caller gave.
        first: the number of the first text, for the error.

    Raises:
        InputError: `texts` is a single str, or holds something else.
    """
    if isinstance(texts, str | bytes):
        raise InputError("a single text was given, expected a list of texts", "texts", "write [text]")
    for number, text in enumerate(texts, first):
        if not isinstance(text, str):
            raise InputError(
                f"text {number} is {text!r:.80} of type {type(text).__name__}, expected str",
                f"texts[{number}]",
                "convert it to text, or leave it out",
            )
    return list(texts)


@dataclass(frozen=True)
class Frame:
    """What stands around a text: `before text after`, or `before text between text after` when it is said twice.

    The text is what gets cut, never the frame.
    """

    before: tuple[int, ...] = ()
    between: tuple[int, ...] | None = None  # None: the text stands once
    after: tuple[int, ...] = ()

    def size(self, text_tokens: int) -> int:
        """Tokens of the whole sequence around a text of so many tokens."""
        fixed = len(self.before) + len(self.after)
        return fixed + text_tokens if self.between is None else fixed + len(self.between) + 2 * text_tokens

    def room(self, sequence_tokens: int) -> int:
        """Most text tokens for which `size` stays within `sequence_tokens`; may be negative."""
        spare = sequence_tokens - self.size(0)
        return spare if self.between is None else spare // 2


@dataclass(frozen=True)
class Batch:
    """Right-padded sequences."""

    ids_BT: NDArray[np.int64]  # padding is id 0, which the mask hides
    length_B: NDArray[np.int64]  # real tokens of each row
    start_B: NDArray[np.int64]  # first token that span pooling takes: the text's last copy, or 0
    end_B: NDArray[np.int64]  # one past the last token that span pooling takes


def fill_batch(frame: Frame, rows: Sequence[NDArray[np.int64]]) -> Batch:
    """The sequences of a batch, each text in its frame.

    Args:
        frame: the tokens around every text.
        rows: one [T] array of ids a text, at least one text.
    """
    length_B = np.array([frame.size(len(row)) for row in rows], dtype=np.int64)
    ids_BT = np.zeros((len(rows), int(length_B.max())), dtype=np.int64)
    start_B = np.zeros(len(rows), dtype=np.int64)
    before = np.array(frame.before, dtype=np.int64)
    after = np.array(frame.after, dtype=np.int64)
    between = np.array(frame.between or (), dtype=np.int64)
    for number, row in enumerate(rows):
        parts = [before, row, after] if frame.between is None else [before, row, between, row, after]
        ids_BT[number, : length_B[number]] = np.concatenate(parts)
        if frame.between is not None:
            start_B[number] = len(before) + len(row) + len(between)
    end_B = length_B - (0 if frame.between is None else len(after))
    return Batch(ids_BT, length_B, start_B, end_B)
