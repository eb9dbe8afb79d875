"""The demo makes topics and a map beside its page, once."""

import importlib.util

from app import jobs
from app.verbs.demo import _start_overviews
from indexer import derived


def _started(monkeypatch, collection):
    started = []
    monkeypatch.setattr(jobs, "start_once", lambda kind, path: started.append((kind, path)))
    _start_overviews(collection)
    return started


def test_both_are_made_where_there_are_none(roads, monkeypatch):
    assert _started(monkeypatch, roads) == [("topics", roads.path), ("map", roads.path)]


def test_what_is_there_is_not_made_again(roads, monkeypatch):
    for kind in ("map", "topics"):
        derived.write_build(roads, kind, version=1, recipe={}, facts={}, write=lambda folder: None)
    assert _started(monkeypatch, roads) == []


def test_without_the_extra_the_page_makes_the_map_itself(roads, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "umap" else find(name))
    assert _started(monkeypatch, roads) == [("topics", roads.path)]
