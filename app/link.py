"""How single values are written into a link, and read back from one that anybody may have made.

Pure. Every reader takes text and raises ValueError at whatever its writer would not have written.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from urllib.parse import quote, unquote

LONGEST_TEXT = 20_000
MOST_TRAY_ROWS = 50  # in a link; more of them belong into a saved set
MOST_EXAMPLES = 20  # of each kind
MOST_TOPICS = 100
GRID_END = 65_535  # the map's last column and line
MOST_ZOOM = 1_000_000  # in hundredths

_ROW_END = 1 << 64
_SEPARATOR = "."
_SHORT_ID = re.compile(r"[0-9a-f]{8}")
_SAVED_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_NUMBER = re.compile(r"-1|0|[1-9][0-9]{0,8}")


def read_text(value: str) -> str:
    """Text as typed.

    Raises:
        ValueError: it is too long, or no browser can hold it.
    """
    if len(value) > LONGEST_TEXT or "\0" in value:
        raise ValueError(value)
    value.encode()  # a lone surrogate cannot be sent to a browser; UnicodeEncodeError is a ValueError
    return value


def read_number(value: str, least: int, most: int) -> int:
    """A whole number of plain digits.

    Raises:
        ValueError: it is none, or out of range.
    """
    # int() would also take "1_0", " 7" and digits of other scripts: two links for one view
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError(value)
    number = int(value)
    if not least <= number <= most:
        raise ValueError(value)
    return number


def read_short_id(value: str) -> str:
    """Eight hex digits: of a map, of a topics run, or the first of an encoder's fingerprint.

    Raises:
        ValueError: it is anything else.
    """
    if not _SHORT_ID.fullmatch(value):
        raise ValueError(value)
    return value


def read_saved_id(value: str) -> str:
    """The id of something saved, which can never be a path.

    Raises:
        ValueError: it is anything else.
    """
    if not _SAVED_ID.fullmatch(value):
        raise ValueError(value)
    return value


def write_numbers(numbers: Sequence[int]) -> str:
    """Whole numbers from -1 on in one value."""
    return _SEPARATOR.join(map(str, numbers))


def read_topics(value: str) -> tuple[int, ...]:
    """Distinct topic numbers; -1 stands for what belongs to none.

    Raises:
        ValueError: one of them is no number or comes twice, or there are too many.
    """
    numbers = _read_numbers(value, MOST_TOPICS)
    if len(set(numbers)) != len(numbers):
        raise ValueError(value)
    return numbers


def read_map_view(value: str) -> tuple[int, ...]:
    """Centre on the map's grid, and zoom in hundredths.

    Raises:
        ValueError: it is anything else.
    """
    numbers = _read_numbers(value, 3)
    if (
        len(numbers) != 3
        or min(numbers) < 0
        or max(numbers[:2]) > GRID_END
        or not 0 < numbers[2] <= MOST_ZOOM
    ):
        raise ValueError(value)
    return numbers


def _read_numbers(value: str, most: int) -> tuple[int, ...]:
    parts = value.split(_SEPARATOR, most)
    if len(parts) > most or not all(map(_NUMBER.fullmatch, parts)):
        raise ValueError(value)
    return tuple(map(int, parts))


def write_texts(texts: Sequence[str]) -> str:
    """Texts in one value."""
    return ",".join(quote(text, safe="") for text in texts)


def read_texts(value: str) -> tuple[str, ...]:
    """Texts as `write_texts` joined them, at least one and none of them empty.

    Raises:
        ValueError: they are not written so, or there are too many.
    """
    if len(value) > LONGEST_TEXT:
        raise ValueError(value[:40])
    texts = tuple(read_text(unquote(part, errors="strict")) for part in value.split(",", MOST_EXAMPLES))
    if len(texts) > MOST_EXAMPLES or "" in texts or write_texts(texts) != value:
        raise ValueError(value)
    return texts


def write_rows(rows: Sequence[int]) -> str:
    """Row ids in their order: differences as zigzag varints, in base64url without padding."""
    written = bytearray()
    before = 0
    for row in rows:
        step = row - before
        before = row
        rest = step << 1 if step >= 0 else (-step << 1) - 1
        while rest > 0x7F:
            written.append(rest & 0x7F | 0x80)
            rest >>= 7
        written.append(rest)
    return base64.urlsafe_b64encode(bytes(written)).rstrip(b"=").decode()


def read_rows(value: str) -> tuple[int, ...]:
    """Distinct row ids as `write_rows` wrote them, at most 50.

    Raises:
        ValueError: they are not written so, come twice, or are too many.
    """
    if len(value) > MOST_TRAY_ROWS * 14:  # a difference takes at most ten bytes
        raise ValueError(value[:40])
    try:
        written = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(value) from error
    rows = tuple(_rows_of(written))
    if not 0 < len(rows) <= MOST_TRAY_ROWS or len(set(rows)) != len(rows) or write_rows(rows) != value:
        raise ValueError(value)
    return rows


def _rows_of(written: bytes) -> list[int]:
    rows: list[int] = []
    before = rest = shift = 0
    for byte in written:
        rest |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            continue
        before += rest >> 1 if not rest & 1 else -((rest + 1) >> 1)
        if not 0 <= before < _ROW_END:
            raise ValueError(before)
        rows.append(before)
        rest = shift = 0
    if shift:
        raise ValueError("it breaks off")
    return rows
