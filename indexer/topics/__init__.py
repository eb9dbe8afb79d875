"""Topics: groups of passages with key phrases, found automatically, kept with their recipe, edited in versions.

A topics run covers the rows of one publication; rows added later are assigned when it is read.
"""

from importlib import import_module
from typing import Any

# Lazy, so that reading a run loads no clustering library.
_PLACES = {
    "Topic": "indexer.topics.stored",
    "StoredTopics": "indexer.topics.stored",
    "open_topics": "indexer.topics.versions",
    "list_runs": "indexer.topics.versions",
    "CurrentTopics": "indexer.topics.current",
    "current_topics": "indexer.topics.current",
    "topic_column": "indexer.topics.current",
    "build_topics": "indexer.topics.build",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
