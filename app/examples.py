"""What to try in a corpus that somebody sees for the first time: questions and topics out of its own texts."""

from typing import TYPE_CHECKING

from app.session import Opened, derived, state_beside
from encoder.errors import Llm2CompError

if TYPE_CHECKING:
    from indexer.topics.stored import StoredTopics

MOST_QUERIES, MOST_TOPICS = 6, 12


def example_queries(opened: Opened) -> list[str]:
    """Up to six questions, the heaviest key phrases of the largest topics; none without topics. Hostile text."""
    stored = _topics(opened)
    if stored is None:
        return []
    phrases = (phrase for topic in stored.topics for phrase, _ in topic.keyphrases[:1])
    return list(dict.fromkeys(phrases))[:MOST_QUERIES]


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
        return derived(opened, "example topics", key, lambda: open_topics(opened.collection))
    except Llm2CompError:
        return None
