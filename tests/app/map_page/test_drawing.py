"""What the map page draws: points, colours, hits, names."""

import json
from types import SimpleNamespace

from app.map_payload import FILTERED_OUT, HIT, read_head
from encoder.errors import CheckpointError
from indexer.maps.build import build_map
from indexer.maps.polygon import encode_polygon
from indexer.maps.stored import list_maps
from indexer.search import Searcher
from indexer.topics import build_topics
from tests.app.map_page.reading import EVIL, MANY, WHOLE, link, listed, parts, text_of


def test_an_empty_library_offers_the_demo(open_app):
    test = open_app("map")
    assert "No corpus yet" in text_of(test)
    assert test.title[0].value == "Map"


def test_the_first_visit_draws_a_map_and_keeps_it(many, open_app, sent):
    test = open_app("map")
    assert not test.exception
    (build,) = list_maps(many)
    assert build.recipe["method"] == "pca"
    assert read_head(sent.payload).n == 30
    assert read_head(sent.payload).stamp == f"{build.id}:0"
    said = text_of(test).replace("\\", "").replace("\u2060", "")  # as it is read
    assert "PCA · seed 0 · 30 of 30 passages · mean trust 0." in said
    assert "This quick map (PCA)" in said and "All 30 passages" in said
    assert len(listed(test)) == 30
    assert link(test) == {}
    open_app("map")
    assert len(list_maps(many)) == 1


def test_a_filter_greys_out_and_hides_nothing(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    test = open_app("map", f="year < 2000")
    found = parts(sent)
    assert len(found.x) == 30
    assert ((found.flags & FILTERED_OUT) > 0).sum() == 20
    assert len(listed(test)) == 10 and "10 passages chosen" in text_of(test)


def test_hits_are_ringed_and_listed_with_their_rank(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    test = open_app("map", q="bridge", k="5")
    flags = parts(sent).flags
    assert ((flags & HIT) > 0).sum() == 5
    table = next(found.value for found in test.dataframe if "rank" in found.value)
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert all("bridge" in title for title in table["passage"])
    assert "5 hits" in text_of(test)
    test.text_input(key="map_query").set_value("river").run()
    assert link(test) == {"q": "river", "k": "5"}
    assert all("river" in title for title in listed(test))


def test_points_are_coloured_by_closeness_to_the_query(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    test = open_app("map", q="bridge", cb="similarity")
    found = parts(sent)
    assert found.words["title"] == "Closeness to: bridge"
    bridges = found.colours[[i % 3 == 1 for i in range(30)]]
    others = found.colours[[i % 3 != 1 for i in range(30)]]
    assert bridges.min() > others.max()
    assert test.selectbox(key="map_colour").value == "similarity"
    test.selectbox(key="map_colour").select("year").run()
    assert link(test) == {"q": "bridge", "cb": "year"}
    assert parts(sent).words["title"] == "year" and parts(sent).words["range"] == ["1990", "2019"]


def test_without_its_encoder_the_map_is_there_and_says_why_not_the_hits(
    many, searcher, open_app, sent, monkeypatch
):
    build_map(searcher, method="pca")

    def fail(*args, **options):
        raise CheckpointError("the encoder is gone", "x", "bring it back")

    monkeypatch.setattr("encoder.checkpoint.load_encoder", fail)
    test = open_app("map", q="bridge", cb="similarity")
    assert not test.exception
    assert "the encoder is gone" in text_of(test) and "bring it back" in text_of(test)
    assert read_head(sent.payload).n == 30
    assert parts(sent).words["title"] == ""


def test_topics_colour_name_and_narrow(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    run = build_topics(searcher, method="kmeans", count=3)
    test = open_app("map")
    assert test.selectbox(key="map_colour").value == "derived.topic"  # a column is called topic
    words = parts(sent).words
    assert words["title"] == "Topic" and sum(entry[2] for entry in words["entries"]) == 30
    assert len(words["labels"]) == 3
    number = run.topics[0].number
    test.multiselect(key="map_topics").select(number).run()
    shared = link(test)
    assert shared["t"] == str(number) and shared["ti"] == run.id
    assert f"{run.topics[0].size} passages chosen" in text_of(test)
    assert ((parts(sent).flags & FILTERED_OUT) > 0).sum() == 30 - run.topics[0].size
    assert not open_app("map", **shared).exception


def test_a_large_map_is_drawn_as_a_sample_and_lists_all(many, searcher, open_app, sent, monkeypatch):
    stored = build_map(searcher, method="pca")
    monkeypatch.setattr("app.map_selection.drawn.__kwdefaults__", {"most": 12})
    test = open_app("map", map=stored.id, pl=encode_polygon(WHOLE), q="bridge", k="5")
    found = parts(sent)
    assert 12 <= len(found.x) <= 17 and ((found.flags & HIT) > 0).sum() == 5
    assert f"{len(found.x)} of 30 points are drawn, a sample" in found.words["notes"][0]
    assert "30 passages inside the outline" in text_of(test)


def test_one_passage(make_collection, open_app, sent):
    make_collection(MANY[:1], "one")
    test = open_app("map")
    assert not test.exception
    assert read_head(sent.payload).n == 1
    assert "1 of 1 passage " in text_of(test) and "make_map" not in {
        found.key for found in test.button if found.key
    }
    found = open_app("map", q="river")
    assert not found.exception and "1 hit" in text_of(found)


def test_identical_passages_share_a_point(make_collection, open_app, sent):
    make_collection([(str(i), "Same", "A river.", "t", 2000) for i in range(5)], "same")
    test = open_app("map", cb="year")
    assert not test.exception
    assert len(set(parts(sent).x.tolist())) == len(set(parts(sent).y.tolist())) == 1
    assert "make_map" not in {found.key for found in test.button if found.key}


def test_hostile_texts_stay_texts(make_collection, word_embedder, open_app, sent):
    collection = make_collection([(str(i), EVIL, f"{EVIL} {i}", EVIL, 2000 + i) for i in range(20)], "evil")
    searcher = Searcher(collection, word_embedder)
    build_map(searcher, method="pca")
    build_topics(searcher, method="kmeans", count=2)
    row = searcher.snapshot.store.take(searcher.snapshot.row_ids()[:1], ["id"])["id"].to_pylist()[0]
    test = open_app("map", cb="topic", r=row, q="river", f="year > 2001")
    assert not test.exception
    assert all("evil.example" not in str(element.value) for element in (*test.markdown, *test.caption))
    words = parts(sent).words
    assert "⟨RLO⟩" in words["entries"][0][0] and "\u202e" not in json.dumps(words, ensure_ascii=False)


def test_a_map_in_a_list_says_only_what_is_not_usual():
    from app.views.map_controls import recipe_line

    def line(drawn_by, **recipe):
        fields = {"id": "m", "created_at": "", "recipe": recipe, "facts": {"drawn_by": drawn_by}}
        return recipe_line(SimpleNamespace(**fields))

    assert line("umap", neighbours=15, seed=0) == "UMAP, ?"
    assert line("umap", neighbours=50, seed=3) == "UMAP, 50 neighbours, seed 3, ?"
    assert line("pca", seed=0, where="year > 2000") == "PCA, where year > 2000, ?"
