"""What the tests of the map page share: a collection, its search, and the bytes that the component is given."""

from types import SimpleNamespace

import pytest

from app.map_component.mount import MapEvent
from app.map_payload import read_head
from app.views import map_canvas
from indexer.search import Searcher
from tests.app.map_page.reading import MANY


@pytest.fixture
def sent(monkeypatch):
    """What the component was last given, taken apart; and a hand that does something on the map."""
    kept = SimpleNamespace(payload=b"", callbacks={}, event=None)

    def draw(payload, *, on_select, on_pick, on_view, **_):
        kept.payload = payload
        kept.callbacks = {"select": on_select, "pick": on_pick, "view": on_view}
        head = read_head(payload)
        return MapEvent(head.start.polygon, head.start.view)

    monkeypatch.setattr(map_canvas, "draw_map", draw)
    return kept


@pytest.fixture
def many(make_collection):
    return make_collection(MANY, "many")


@pytest.fixture
def searcher(many, word_embedder):
    return Searcher(many, word_embedder)
