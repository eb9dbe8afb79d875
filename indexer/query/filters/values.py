"""A token to the value of a column's type, or the error that says what the column holds."""

import re
from datetime import UTC, date, datetime

from encoder.errors import InputError
from indexer.query.filters.tokens import Token, error_at
from indexer.query.filters.tree import KEYWORDS, Column, Value

HOLDS = {
    "string": "text",
    "int64": "whole numbers",
    "float64": "numbers",
    "bool": "true or false",
    "date": "dates",
    "timestamp": "points in time",
    "list<string>": "lists of texts",
}
_EXAMPLE = {
    "int64": "a number: 2020",
    "float64": "a number: 0.5",
    "bool": "true or false",
    "date": "a date: 2024-05-01",
    "timestamp": "a point in time: 2024-05-01T12:30:00 (UTC)",
}
_INT64 = range(-(2**63), 2**63)
_MAX_DIGITS = 400  # more than any float64 has; Python refuses to read thousands of digits


def read_value(text: str, token: Token, column: Column) -> Value:
    """The token's value, of the column's type; a fraction stays a float beside a whole-number column.

    Args:
        text: the whole filter, for the error.
        token: the value.
        column: what it is compared with.

    Raises:
        InputError: it is not of the column's type, or out of range.
    """
    if token.is_word("null"):
        fix = "write `is null` or `is not null`"
        raise error_at(text, token.start, "nothing equals null", fix)
    if token.kind == "end" or token.kind == "sign" or token.is_word(*(KEYWORDS - {"true", "false"})):
        fix = f"write {_EXAMPLE.get(column.type, 'a text')} here; quote words that mean something in filters"
        raise error_at(text, token.start, f"a value is missing before {token}", fix)
    if column.type in {"string", "list<string>"}:
        return read_text(text, token, column)
    if column.type in {"int64", "float64"} and token.kind == "number":
        return _read_number(text, token, column)
    if column.type == "bool" and token.is_word("true", "false"):
        return token.text.casefold() == "true"
    if column.type in {"date", "timestamp"} and token.kind in {"date", "time"}:
        return _read_time(text, token, column)
    raise _mismatch(text, token, column)


def read_text(text: str, token: Token, column: Column) -> str:
    """The token as text.

    Raises:
        InputError: it is a bare number or date, or nothing.
    """
    if token.kind == "string" or (token.kind == "word" and not token.is_word(*KEYWORDS - {"true", "false"})):
        return token.text
    raise _mismatch(text, token, column)


def _read_number(text: str, token: Token, column: Column) -> int | float:
    digits = token.text
    if len(digits) <= _MAX_DIGITS:
        is_whole = digits.lstrip("+-").isdigit()
        number = int(digits) if is_whole and column.type == "int64" else float(digits)
        if column.type == "int64" and number == number // 1:  # 1e3 and 5.0 are whole too; infinity is not
            number = int(number) if abs(number) < 1e30 else number
            if number in _INT64:
                return number
        elif abs(number) != float("inf"):
            return number
    what = f"{digits[:40]} is too large for {column.name}, which holds {HOLDS[column.type]}"
    raise error_at(text, token.start, what, "use a smaller number, or leave the condition out")


def _read_time(text: str, token: Token, column: Column) -> date:
    try:
        if column.type == "date" and token.kind == "date":
            return date.fromisoformat(token.text)
        moment = datetime.fromisoformat(token.text.upper())
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        fix = "write year-month-day, e.g. 2024-05-01"
        raise error_at(text, token.start, f"{token.text} is not in the calendar", fix) from error
    if column.type == "date":
        raise _mismatch(text, token, column)
    return moment


def _mismatch(text: str, token: Token, column: Column) -> InputError:
    what = f"{column.name} holds {HOLDS[column.type]}, {token} is none"
    if column.type in {"string", "list<string>"}:
        what = f"{column.name} holds {HOLDS[column.type]}, {token} is not quoted"
        fix = (
            f"write '{token.text[:40]}' in quotes for = or starts with; < and > go letter by letter there, so that "
            "'100' comes before '90'"
        )
    elif column.type in {"date", "timestamp"} and re.fullmatch(r"[0-9]{4}(-[0-9]{2})?", token.text):
        since = token.text if len(token.text) > 4 else f"{token.text}-01"
        what = f"{column.name} holds {HOLDS[column.type]}, {token.text} is a whole span of them"
        fix = f"give the ends: {column.name} >= {since}-01 and {column.name} < the first day after it"
    else:
        fix = f"write {_EXAMPLE[column.type]}" + (" without quotes" if token.kind == "string" else "")
    return error_at(text, token.start, what, fix)
