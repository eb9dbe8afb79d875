"""What to try in a corpus that somebody sees for the first time: questions and topics out of its own texts."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from app.session import Opened, derived, state_beside
from encoder.errors import Llm2CompError
from indexer.storage.row_schema import TEXT_COLUMNS, WORD_COLUMN

if TYPE_CHECKING:
    from indexer.topics.stored import StoredTopics

MOST_QUERIES, MOST_TOPICS = 6, 12
_EXEMPLARS = 8  # of a topic that are read for one that can be asked
_FEWEST_WORDS, _MOST_WORDS, _MOST_CHARS = 3, 10, 60
# What somebody would say: no code, no mark-up, nothing that the query language understands in its own way.
_SAID = re.compile(r"[^\W_](?:[^\W_]|[ ,'\u2019/-](?=[^\W_])|, (?=[^\W_]))*\??")
_SENTENCE_END = re.compile(r"[.?!](?:\s|$)|\n\s*\n")


def example_queries(opened: Opened) -> list[str]:
    """Up to six questions, one a topic, the largest topics first; none without topics. Hostile text.

    A question is a title of a central passage of the topic, or the first sentence of its document, where somebody
    might have said it so; topics without one come last, with their key phrases.
    """
    stored = _topics(opened)
    if stored is None:
        return []
    key = (stored.id, stored.version, stored.edits)
    return derived(opened, "example queries", key, lambda: _queries(opened, stored))


def _queries(opened: Opened, stored: "StoredTopics") -> list[str]:
    """Sayings of twice as many topics as are wanted; key phrases of the others fill the rest."""
    snapshot = opened.searcher.snapshot
    live = snapshot.row_ids()
    largest = sorted(stored.topics, key=lambda topic: -topic.size)[: 2 * MOST_QUERIES]
    found: dict[str, str] = {}
    silent = []
    for topic in largest:
        rows = np.array(topic.exemplars[:_EXEMPLARS], np.uint64)
        passages = snapshot.store.take(rows[np.isin(rows, live)], ["title", *TEXT_COLUMNS]).to_pylist()
        said = next((text for text in _sayings(passages) if text.casefold() not in found), "")
        if said:
            found[said.casefold()] = said
        else:
            silent.append(topic)
    for topic in silent:
        phrase = _phrases([phrase for phrase, _ in topic.keyphrases])
        if phrase:
            found.setdefault(phrase.casefold(), phrase)
    return list(found.values())[:MOST_QUERIES]


def _sayings(passages: list[dict[str, Any]]) -> Iterator[str]:
    """What of the titles, then of the first sentences of documents, somebody might have said."""
    for passage in passages:
        title = passage["title"] or ""
        yield from filter(is_sayable, (title.strip(), title.rpartition(":")[2].strip()))
    for passage in passages:
        if passage["char_start"] == 0:
            text = passage[WORD_COLUMN][passage["text_at"] :].removeprefix(passage["title"] or "").strip()
            sentence = " ".join(_SENTENCE_END.split(text, maxsplit=1)[0].split())
            if is_sayable(sentence):
                yield sentence


def is_sayable(text: str) -> bool:
    """Whether a text reads like a question in plain words: three to ten of them, of letters and digits."""
    return (
        _FEWEST_WORDS <= len(text.split()) <= _MOST_WORDS
        and len(text) <= _MOST_CHARS
        and _SAID.fullmatch(text) is not None
        and not text.isupper()
        and " OR " not in text
    )


def _phrases(phrases: list[str]) -> str:
    """The heaviest key phrase of several words, else the two heaviest."""
    whole = next((phrase for phrase in phrases[:_EXEMPLARS] if " " in phrase), "")
    return whole or " ".join(phrases[:2])


def example_topics(opened: Opened) -> list[tuple[int, str]]:
    """Number and label of up to twelve largest topics of the current run, largest first. Hostile text."""
    stored = _topics(opened)
    if stored is None:
        return []
    largest = sorted(stored.topics, key=lambda topic: -topic.size)
    return [(topic.number, topic.label) for topic in largest[:MOST_TOPICS]]


def _topics(opened: Opened) -> "StoredTopics | None":
    """The current run; None where there is none, or none that can be read."""
    from indexer.topics.versions import open_topics

    try:
        key = state_beside(opened.collection.path)
        return derived(opened, "example topics", key, lambda: open_topics(opened.collection), place="topics")
    except Llm2CompError:
        return None
