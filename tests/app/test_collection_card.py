"""What a corpus's card shows of maps, topics and what people wrote, and the jobs it starts."""

import io
import json

import pyarrow.parquet as pq
import pytest

from app import jobs, mode
from app.mode import Mode
from app.views.collection_card import exported
from indexer.annotations.tags import add_tag
from indexer.derived import list_builds
from indexer.maps.build import build_map
from indexer.search import Searcher
from indexer.topics.build import build_topics


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def button(test, key):
    return next((found for found in test.button if found.key == key), None)


@pytest.fixture
def asked(monkeypatch):
    calls = []
    monkeypatch.setattr(jobs, "start_once", lambda kind, path, options: calls.append((kind, path, options)))
    return calls


@pytest.fixture
def big(make_collection):
    rows = [
        (str(n), f"T {n}", f"{word} number {n} of many", word, n)
        for n, word in enumerate(["river", "road"] * 8)
    ]
    return make_collection(rows)


def test_a_card_without_anything_made_offers_to_make_it(roads, open_app, asked):
    test = open_app("corpora")
    assert text_of(test).count("none yet") == 2
    assert "0 saved sets, 0 saved searches, 0 tags, 0 notes" in text_of(test)
    for verb in ("map", "topics", "rebuild", "verify"):
        assert "for 3 passages on one core" in button(test, f"job_{verb}_roads").help
        button(test, f"job_{verb}_roads").click().run()
    assert asked == [(verb, roads.path, ()) for verb in ("map", "topics", "rebuild", "verify")]
    assert not test.exception


def test_maps_and_topics_are_listed_and_removed(big, open_app):
    made = build_map(Searcher(big), method="pca")
    found = build_topics(Searcher(big), method="kmeans", count=2)
    test = open_app("corpora")
    assert f"PCA · 16 passages · version 1 · just now · {made.id}" in text_of(test)
    assert f"k-means · 2 topics · 16 passages · version 1 · just now · {found.id}" in text_of(test)
    button(test, f"remove_roads_map_{made.id}").click().run()
    button(test, f"remove_roads_topics_{found.id}").click().run()
    assert list_builds(big, "map") == list_builds(big, "topics") == []
    assert text_of(test).count("none yet") == 2


def test_a_map_removed_by_somebody_else_meanwhile_is_a_sentence(big, open_app):
    import shutil

    made = build_map(Searcher(big), method="pca")
    test = open_app("corpora")
    shutil.rmtree(big.path / "derived" / f"map-{made.id}")
    button(test, f"remove_roads_map_{made.id}").click().run()
    assert "Not removed: there is no map" in text_of(test)
    assert not test.exception


def test_a_foreign_recipe_is_shown_as_text_and_a_damaged_one_left_out(big, open_app):
    made = build_map(Searcher(big), method="pca")
    file = big.path / "derived" / f"map-{made.id}" / "build.json"
    content = json.loads(file.read_text())
    content["recipe"]["method"] = "\u202e**x** ](http://evil.example)"
    content["facts"]["rows"] = "many"
    file.write_text(json.dumps(content))
    test = open_app("corpora")
    assert "⟨RLO⟩**x**" in text_of(test)
    assert not any("evil.example" in str(element.value) for element in [*test.markdown, *test.caption])
    file.write_text("{")
    test = open_app("corpora")
    assert text_of(test).count("none yet") == 2
    assert not test.exception


def test_where_nothing_may_be_changed_nothing_is_offered(big, open_app, monkeypatch):
    made = build_map(Searcher(big), method="pca")
    add_tag(big, "x", ["1"])
    monkeypatch.setattr(mode, "_chosen", Mode(is_read_only=True))
    test = open_app("corpora")
    assert made.id in text_of(test)
    assert "1 tag, 0 notes" in text_of(test)
    assert button(test, f"remove_roads_map_{made.id}") is None
    assert button(test, "job_map_roads") is None


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_all_passages_are_exported(big, kind):
    content = exported(big.path, kind)
    if kind == "parquet":
        assert pq.read_table(io.BytesIO(content)).num_rows == 16
    else:
        assert len(content.decode("utf-8-sig").splitlines()) == 16 + (kind == "csv")
