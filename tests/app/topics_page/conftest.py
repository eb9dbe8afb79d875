"""What the tests of the topics page share: a collection with three topics."""

import pytest

from app import mode
from indexer.search import Searcher
from indexer.topics import build_topics
from tests.app.topics_page.reading import rows


@pytest.fixture
def found(make_collection):
    """A collection with three clear topics, and the run."""
    collection = make_collection(rows())
    return collection, build_topics(Searcher(collection), method="kmeans", count=3)


@pytest.fixture(autouse=True)
def _writable():
    yield
    mode.choose(mode.Mode())
