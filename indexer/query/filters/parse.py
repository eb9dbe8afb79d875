"""Filter text to a tree, by recursive descent; everything is read or refused, nothing is guessed."""

import difflib
from collections.abc import Mapping
from typing import cast

from encoder.errors import InputError
from indexer.query.filters.tokens import MAX_CHARACTERS, Token, error_at, read_tokens
from indexer.query.filters.tree import (
    KEYWORDS,
    And,
    Column,
    Compare,
    Contains,
    Filter,
    IsNull,
    OneOf,
    Operator,
    Or,
    StartsWith,
    Value,
    depth_of,
    join,
    negate,
    print_filter,
    print_name,
)
from indexer.query.filters.values import HOLDS, read_text, read_value
from indexer.sources.source import MetadataType

# Of the tree, whatever its parentheses: Lance's SQL reader takes minutes to refuse 30 to 50 nested `not (`.
MAX_DEPTH = 10
_MAX_PARENTHESES = 100  # of the text, so that reading it cannot exhaust the stack
MAX_VALUES = 1000
_ORDER = frozenset(("<", "<=", ">", ">="))
_SYNONYMS = {"==": "=", "<>": "!="}
_OPERATORS = "= != < <= > >= in, not in, between, is null, is not null, contains, starts with"


def parse_filter(text: str, columns: Mapping[str, str]) -> Filter:
    """The tree of a filter; the language is described in `indexer.query.filters`.

    Args:
        text: what the user wrote, at most 10,000 characters.
        columns: the columns that may be named, each with its `MetadataType`.

    Raises:
        InputError: the text does not parse to its end, names no column, or mixes types; `where` shows the place.
    """
    parser = _Parser(text, columns)
    if parser.at.kind == "end":
        raise InputError("the filter is empty", "the filter", "leave it out, or write one: year >= 2020")
    tree = parser.either(0)
    if parser.at.kind != "end":
        fix = "join conditions by `and` or `or`; quote values of several words: 'machine learning'"
        raise parser.error(f"{parser.at} is one too many", fix)
    if depth_of(tree) > MAX_DEPTH:
        what = f"the filter nests `and`, `or` and `not` more than {MAX_DEPTH} deep"
        raise InputError(what, "the filter", "write it flatter, or search in two steps")
    if len(print_filter(tree)) > MAX_CHARACTERS:  # what is accepted can be printed and read again
        what = f"the filter, written out, has more than {MAX_CHARACTERS} characters"
        raise InputError(what, "the filter", "shorten it")
    return tree


class _Parser:
    """The position in one filter text."""

    def __init__(self, text: str, columns: Mapping[str, str]) -> None:
        self.text = text
        self.columns = columns
        self.tokens = read_tokens(text)
        self.position = 0

    @property
    def at(self) -> Token:
        """The next token, not yet taken."""
        return self.tokens[self.position]

    def take(self) -> Token:
        """The next token; the end is never passed."""
        token = self.at
        self.position += token.kind != "end"
        return token

    def error(self, what: str, fix: str) -> InputError:
        """An error at the next token."""
        return error_at(self.text, self.at.start, what, fix)

    def accept(self, *words: str) -> bool:
        """Takes these keywords if all of them come next."""
        ahead = self.tokens[self.position : self.position + len(words)]
        found = len(ahead) == len(words) and all(t.is_word(w) for t, w in zip(ahead, words, strict=True))
        self.position += len(words) if found else 0
        return found

    def expect(self, sign: str, after: str) -> None:
        """Takes a sign.

        Raises:
            InputError: another token comes next.
        """
        if self.at.kind != "sign" or self.at.text != sign:
            raise self.error(f"{sign} is missing before {self.at}", f"write {sign} {after}")
        self.take()

    def either(self, depth: int) -> Filter:
        """`a or b or ...`."""
        parts = [self.both(depth)]
        while self.accept("or"):
            parts.append(self.both(depth))
        return join(Or, parts)

    def both(self, depth: int) -> Filter:
        """`a and b and ...`, binding closer than `or`."""
        parts = [self.single(depth)]
        while self.accept("and"):
            parts.append(self.single(depth))
        return join(And, parts)

    def single(self, depth: int) -> Filter:
        """`not a`, `( ... )` or one condition.

        Raises:
            InputError: nested too deep.
        """
        if depth > _MAX_PARENTHESES:
            what = f"the filter is nested more than {_MAX_PARENTHESES} deep"
            raise self.error(what, "write it with fewer parentheses and `not`")
        if self.accept("not"):
            return negate(self.single(depth + 1))
        if self.at.kind == "sign" and self.at.text == "(":
            self.take()
            inner = self.either(depth + 1)
            self.expect(")", "after the last condition in the parentheses")
            return inner
        return self.condition()

    def condition(self) -> Filter:
        """`column operator value`."""
        column = self.column()
        if self.accept("is"):
            is_negated = self.accept("not")
            if not self.accept("null"):
                raise self.error(
                    f"`is` goes with null, not with {self.at}", "write `is null`, or = and a value"
                )
            return negate(IsNull(column)) if is_negated else IsNull(column)
        if self.accept("not", "in"):
            return negate(self.one_of(column))
        if self.accept("not", "between"):
            return negate(self.between(column))
        if self.accept("in"):
            return self.one_of(column)
        if self.accept("between"):
            return self.between(column)
        if self.at.is_word("contains", "starts"):
            return self.text_condition(column)
        return self.comparison(column)

    def column(self) -> Column:
        """A column of the collection.

        Raises:
            InputError: something else stands here.
        """
        token = self.at
        if token.kind not in {"name", "word"} or token.is_word(*KEYWORDS):
            what = f"a column name is missing before {token}"
            fix = "a condition is `column operator value`; names that are keywords or numbers stand in `backticks`"
            raise self.error(what, fix)
        name = self.resolve(token.text)
        self.take()
        return Column(name, cast("MetadataType", self.columns[name]))

    def resolve(self, written: str) -> str:
        """The column of that name, whatever its case where that is clear.

        Raises:
            InputError: there is none, or several differ only by case.
        """
        if written in self.columns:
            return written
        alike = [name for name in self.columns if name.casefold() == written.casefold()]
        if len(alike) == 1:
            return alike[0]
        if alike:
            raise self.error(
                f'"{written[:60]}" may be any of {", ".join(alike)}', "write it with the right case"
            )
        by_case = {name.casefold(): name for name in self.columns}
        near = difflib.get_close_matches(written[:100].casefold(), by_case, n=1, cutoff=0.5)
        known = ", ".join(print_name(name) for name in list(self.columns)[:30]) or "none"
        more = f" and {len(self.columns) - 30} more" if len(self.columns) > 30 else ""
        fix = (f"did you mean {print_name(by_case[near[0]])}? " if near else "") + f"columns: {known}{more}"
        raise self.error(f'there is no column "{written[:60]}"', fix)

    def value(self, column: Column) -> Value:
        """A value of the column's type."""
        found = read_value(self.text, self.at, column)
        self.take()
        return found

    def comparison(self, column: Column) -> Filter:
        """`= value` and the like.

        Raises:
            InputError: no operator, or one that the column's type does not have.
        """
        operator = _SYNONYMS.get(self.at.text, self.at.text)
        if self.at.kind != "sign" or operator not in _ORDER | {"=", "!="}:
            hint = f"; for a yes/no column: {print_name(column.name)} = true" if column.type == "bool" else ""
            raise self.error(f"an operator is missing before {self.at}", f"operators: {_OPERATORS}{hint}")
        self.refuse_list(column, operator)
        if column.type == "bool" and operator in _ORDER:
            raise self.error(f"{column.name} holds true or false, which have no order", "use = or !=")
        self.take()
        self.refuse_day(column, operator)
        return Compare(column, cast("Operator", operator), self.value(column))

    def refuse_list(self, column: Column, operator: str) -> None:
        """Nothing but `contains` and `is null` is asked of a list.

        Raises:
            InputError: the column holds lists.
        """
        if column.type == "list<string>":
            what = f"{column.name} holds lists of texts, {operator} compares single values"
            raise self.error(what, f"ask for an element: {print_name(column.name)} contains 'x'")

    def refuse_day(self, column: Column, operator: str) -> None:
        """A day beside points in time reads as its midnight, which only < and >= mean.

        Raises:
            InputError: a day is compared in another way.
        """
        if column.type == "timestamp" and self.at.kind == "date" and operator not in {"<", ">="}:
            name = print_name(column.name)
            what = f"{column.name} holds points in time, {self.at.text} is a whole day"
            fix = f"give the ends: {name} >= {self.at.text} and {name} < the next day; or add the time, {self.at.text}T00:00"
            raise self.error(what, fix)

    def one_of(self, column: Column) -> OneOf:
        """`(a, b, ...)` after `in`.

        Raises:
            InputError: no list, too many values, or a value of another type.
        """
        self.refuse_list(column, "in")
        self.expect("(", "and the values: in (a, b)")
        values: list[Value] = []
        while not values or (self.at.kind == "sign" and self.at.text == ","):
            if values:
                self.take()
            if len(values) == MAX_VALUES:
                raise self.error(f"more than {MAX_VALUES} values in one list", "split it by `or`")
            self.refuse_day(column, "in")
            values.append(self.value(column))
        self.expect(")", "after the last value")
        return OneOf(column, tuple(values))

    def between(self, column: Column) -> Filter:
        """`a and b` after `between`, both ends included.

        Raises:
            InputError: no second end, or a type without order.
        """
        self.refuse_list(column, "between")
        if column.type == "bool":
            raise self.error(f"{column.name} holds true or false, which have no order", "use = or !=")
        self.refuse_day(column, "between")
        low = self.value(column)
        if not self.accept("and"):
            raise self.error(f"`and` is missing before {self.at}", "write between a and b")
        self.refuse_day(column, "between")
        return And((Compare(column, ">=", low), Compare(column, "<=", self.value(column))))

    def text_condition(self, column: Column) -> Filter:
        """`contains 'x'` or `starts with 'x'`.

        Raises:
            InputError: the column holds no text, or `with` is missing.
        """
        is_part = self.at.is_word("contains")
        if column.type != "string" and not (is_part and column.type == "list<string>"):
            what = f"{column.name} holds {HOLDS[column.type]}, {self.at.text} is for text"
            raise self.error(what, "compare it by = < > in or between")
        if is_part:
            self.take()
        elif not self.accept("starts", "with"):
            self.take()
            raise self.error(f"`with` is missing before {self.at}", "write starts with 'x'")
        if self.at.kind == "end" or self.at.kind == "sign":
            raise self.error(f"a text is missing before {self.at}", "write it in quotes: 'x'")
        part = read_text(self.text, self.at, column)
        self.take()
        return Contains(column, part) if is_part else StartsWith(column, part)
