"""The keyword query syntax: words, "phrases", +must, -without, OR; from text to what Lance's word index understands.

    neural network            passages with any of the words, those with more and rarer ones first
    "neural network" speech   the phrase must occur, the word counts
    +speech -"hidden markov"  the first must occur, the phrase must not
    "neural net" OR "deep learning"   one of the two must occur

Nothing is an error here: an open quote ends with the text, lone signs are skipped, only what is excluded finds
nothing. Words that the index leaves out (the, of, ...) find nothing by themselves either; inside a phrase any word may
stand in their place. OR is written in capitals; between plain words it changes nothing. A word of several parts
(state-of-the-art) must or must not occur as a phrase.

In a long text, a pasted paragraph say, quotes cite: beside more than 16 plain words a phrase without a sign or OR demands
nothing, and its words count as the others do. A phrase that stands alone is demanded however long it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lance.query import FullTextQuery

MAX_TERMS = 256  # distinct terms of a query; later ones are left out
MAX_PHRASE_WORDS = 64
# Plain words beside which a quote is still a demand. In natural texts quotes cite, and to demand what they hold loses
# right answers (docs/decisions.md); short queries are left to their authors.
MOST_WORDS_BESIDE_PHRASES = 16
_MAX_WORD = 200  # the index holds no word above 40 characters, so a longer one finds nothing either way
_TERM = re.compile(r"(?<!\S)(?P<sign>[+-]?)[\"“”„](?P<phrase>[^\"“”„]*)[\"“”„]?|(?<!\S)(?P<word>\S+)|\S+")
_PARTS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a phrase, as written but for quotes and signs.

    Attributes:
        text: holds at least one letter or digit; no line breaks and no lone surrogates.
        is_phrase: the words must stand together in this order.
    """

    text: str
    is_phrase: bool = False


@dataclass(frozen=True, slots=True)
class KeywordQuery:
    """What a passage must, may and must not hold.

    Attributes:
        words: any of them counts, the more the better; without `required` one must occur.
        required: of each group at least one term must occur.
        excluded: none of them may occur.
    """

    words: tuple[Term, ...] = ()
    required: tuple[tuple[Term, ...], ...] = ()
    excluded: tuple[Term, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing is looked for; what is only excluded finds nothing."""
        return not self.words and not self.required

    @property
    def is_constrained(self) -> bool:
        """Some passages are ruled out, however well they fit otherwise."""
        return bool(self.required or self.excluded)

    def required_queries(self, column: str) -> list["FullTextQuery"]:
        """Lance queries of which a passage must match every one."""
        # Required single words go into one query, since there Lance skips the words it does not index.
        single = [group[0].text for group in self.required if len(group) == 1 and not _is_compound(group[0])]
        found = [_all_words(" ".join(single), column)] if single else []
        for group in self.required:
            if len(group) > 1 or _is_compound(group[0]):
                found.append(_any([_exact(term, column) for term in group]))
        return found

    def excluded_queries(self, column: str) -> list["FullTextQuery"]:
        """Lance queries of which a passage must match none."""
        return [_exact(term, column) for term in self.excluded]


def parse_keywords(text: str) -> KeywordQuery:
    """The query of any text; of long texts the first 256 different terms, of long phrases the first 64 words."""
    words: dict[Term, None] = {}
    required: dict[tuple[Term, ...], None] = {}
    excluded: dict[Term, None] = {}
    is_prose = _is_prose(text)
    for group in _groups(text):
        if is_prose and len(group) == 1 and group[0][1].is_phrase and not group[0][0]:
            group = [("", Term(word)) for word in group[0][1].text.split() if _PARTS.search(word)]
        wanted = tuple(dict.fromkeys(term for sign, term in group if sign != "-"))
        excluded |= dict.fromkeys(term for sign, term in group if sign == "-")
        if any(sign == "+" or (term.is_phrase and not sign) for sign, term in group):
            required[wanted] = None
        else:
            words |= dict.fromkeys(wanted)
        if len(words) + sum(map(len, required)) + len(excluded) >= MAX_TERMS:
            break
    demanded = {group[0] for group in required if len(group) == 1}
    return KeywordQuery(
        tuple(term for term in words if term not in demanded), tuple(required), tuple(excluded)
    )


def query_words(text: str) -> list[str]:
    """The different words to mark in what was found, in order: of words and phrases, not of what is excluded."""
    query = parse_keywords(text)
    terms = [*query.words, *(term for group in query.required for term in group)]
    parts = (part for term in terms for part in _PARTS.findall(term.text))
    return list({part.casefold(): part for part in parts}.values())


def to_lance_query(query: KeywordQuery, column: str) -> "FullTextQuery | None":
    """The query for `scanner(full_text_query=...)`, or None where nothing is looked for.

    Args:
        query: from `parse_keywords`.
        column: with an INVERTED index that holds positions.
    """
    from lance.query import BooleanQuery, MatchQuery, Occur

    if query.is_empty:
        return None
    clauses: list[tuple[Occur, FullTextQuery]] = []
    clauses += [(Occur.MUST, part) for part in query.required_queries(column)]
    if query.words:
        words = MatchQuery(" ".join(term.text for term in query.words), column)
        clauses.append((Occur.SHOULD, words))
    clauses += [(Occur.MUST_NOT, part) for part in query.excluded_queries(column)]
    return clauses[0][1] if len(clauses) == 1 else BooleanQuery(clauses)


def _is_prose(text: str) -> bool:
    """Whether the plain words outside of quotes are those of a text rather than of a query."""
    plain = (found for found in _TERM.finditer(text) if found["word"] and found["word"][0] not in "+-")
    return sum(1 for _ in islice(plain, MOST_WORDS_BESIDE_PHRASES + 1)) > MOST_WORDS_BESIDE_PHRASES


def _groups(text: str) -> Iterator[list[tuple[str, Term]]]:
    """Terms with their signs; those joined by OR in one list."""
    group: list[tuple[str, Term]] = []
    is_joined = False
    for found in _TERM.finditer(text.encode("utf-8", "replace").decode()):
        if found["word"] == "OR":
            is_joined = bool(group)
            continue
        signed = _signed_term(found)
        if signed is None:
            continue
        if group and not is_joined:
            yield group
            group = []
        group.append(signed)
        is_joined = False
    if group:
        yield group


def _signed_term(found: re.Match[str]) -> tuple[str, Term] | None:
    if found["phrase"] is not None:
        words = found["phrase"].split()[:MAX_PHRASE_WORDS]
        sign, term = found["sign"], Term(" ".join(word[:_MAX_WORD] for word in words), is_phrase=True)
    else:
        word = found.group()[: _MAX_WORD + 1]
        # Of two signs neither is one of ours: --force and ++i are words.
        is_signed = word[0] in "+-" and word[1:2] not in {"+", "-"}
        sign, term = (word[0], Term(word[1:])) if is_signed else ("", Term(word[:_MAX_WORD]))
    return (sign, term) if _PARTS.search(term.text) else None


def _is_compound(term: Term) -> bool:
    return term.is_phrase or len(_PARTS.findall(term.text)) > 1


def _exact(term: Term, column: str) -> "FullTextQuery":
    """All of the term, and in its order: a plain match of state-of-the-art would be content with "state"."""
    from lance.query import PhraseQuery

    return PhraseQuery(term.text, column) if _is_compound(term) else _all_words(term.text, column)


def _all_words(text: str, column: str) -> "FullTextQuery":
    from lance.query import FullTextOperator, MatchQuery

    return MatchQuery(text, column, operator=FullTextOperator.AND)


def _any(queries: list["FullTextQuery"]) -> "FullTextQuery":
    from lance.query import BooleanQuery, Occur

    return queries[0] if len(queries) == 1 else BooleanQuery([(Occur.SHOULD, query) for query in queries])
