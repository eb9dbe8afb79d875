"""What is around every page: the bar, the tray, the notes on a link; without a browser."""

import shutil

import pytest

from app import mode, session
from app.restoring import losses
from app.selection_file import file_stem, selection_file
from app.tray import Origin, Tray, add, remove
from app.view_state import ViewState
from indexer.annotations.sets import SetItem, list_sets, save_set
from indexer.collection import Collection
from indexer.search import Searcher
from indexer.selection import Selection


def link(test):
    return dict(test.query_params)


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader, test.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def hits(test):
    return next(table.value for table in test.dataframe if "how" not in table.value)["title"].tolist()


def tray_lines(test):
    return next(table.value for table in test.dataframe if "how" in table.value)


def button(test, key):
    return next((found for found in test.button if found.key == key), None)


def tray_label(test):
    (label,) = (box.proto.popover.label for box in test.get("popover") if "Tray" in box.proto.popover.label)
    return label


@pytest.fixture
def rows(roads):
    """Title to row id."""
    snapshot = Searcher(roads).snapshot
    ids = snapshot.row_ids()
    titles = snapshot.store.take(ids, ["title"])["title"].to_pylist()
    return dict(zip(titles, map(int, ids), strict=True))


def link_of(rows, *titles):
    from app.link import write_rows

    return write_rows([rows[title] for title in titles])


def test_an_empty_tray_says_what_it_is_for(roads, open_app):
    test = open_app()
    assert "Tray · 0" in tray_label(test)
    assert "Passages that you put together" in text_of(test)


@pytest.mark.parametrize("page", ["search", "corpora"])
def test_a_link_brings_its_tray_to_every_page_and_keeps_it(roads, rows, open_app, page):
    brought = link_of(rows, "Rivers", "Bridges")
    test = open_app(page, tr=brought)
    assert "Tray · 2" in tray_label(test)
    table = tray_lines(test)
    assert table["title"].tolist() == ["Rivers", "Bridges"]
    assert set(table["how"]) == {"brought by a link"}
    assert link(test) == {"tr": brought}


def test_a_search_in_the_tray_finds_nothing_else(roads, rows, open_app):
    test = open_app(q="river road bridge", tr=link_of(rows, "Rivers", "Bridges"))
    assert len(hits(test)) == 3
    button(test, "tray_search").click().run()
    assert sorted(hits(test)) == ["Bridges", "Rivers"]
    assert link(test)["sc"] == "tray"
    assert "2 passages" in text_of(test)
    button(test, "chip_tray").click().run()
    assert len(hits(test)) == 3
    assert "sc" not in link(test)


def test_the_tray_is_cleared_and_the_last_step_undone(roads, rows, open_app):
    test = open_app(q="river", sc="tray", tr=link_of(rows, "Rivers"))
    assert hits(test) == ["Rivers"]
    button(test, "tray_clear").click().run()
    assert "Tray · 0" in tray_label(test)
    assert link(test) == {"q": "river"}
    assert len(hits(test)) == 3
    button(test, "tray_undo").click().run()
    assert "Tray · 1" in tray_label(test)
    assert button(test, "tray_undo") is None


def test_deleted_passages_stay_in_the_tray_as_missing(roads, rows, open_app):
    test = open_app(tr=link_of(rows, "Rivers", "Bridges"))
    roads.delete(ids=["3"])
    test.run()
    assert "1 of them were deleted from the corpus since" in text_of(test)
    assert tray_lines(test)["title"].tolist() == ["(deleted since version 1)", "Bridges"]


def test_a_tray_is_saved_as_a_set_and_opened_from_it(roads, rows, open_app):
    test = open_app(tr=link_of(rows, "Rivers", "Bridges"))
    test.text_input(key="tray_set_name").set_value("Water **x**").run()
    button(test, "tray_save").click().run()
    (saved,) = list_sets(roads)
    assert (saved.name, [item.row_id for item in saved.items]) == (
        "Water **x**",
        [rows["Rivers"], rows["Bridges"]],
    )
    assert "Saved 2 passages as a set" in text_of(test)

    other = open_app(q="river road")
    other.selectbox(key="tray_sets").select(saved.id).run()
    button(other, "tray_open").click().run()
    assert "Tray · 2" in tray_label(other)
    other.selectbox(key="tray_sets").select(saved.id).run()
    button(other, "tray_look").click().run()
    assert sorted(hits(other)) == ["Bridges", "Rivers"]
    assert link(other)["s"] == saved.id


def test_a_set_without_a_name_is_refused_in_a_sentence(roads, rows, open_app):
    test = open_app(tr=link_of(rows, "Rivers"))
    button(test, "tray_save").click().run()
    assert "Not saved" in text_of(test)
    assert list_sets(roads) == []


def test_chips_take_off_what_narrows_the_view(roads, rows, open_app):
    test = open_app(q="river", f="year >= 2020")
    assert "2 passages" in [element.value for element in test.text]
    assert len(hits(test)) == 2
    button(test, "chip_filter").click().run()
    assert link(test) == {"q": "river"}
    assert button(test, "chip_filter") is None


def test_a_filter_that_cannot_be_used_is_said_in_the_bar(roads, open_app):
    test = open_app(q="river", f="nosuch > 1")
    assert "nosuch" in text_of(test)
    assert not test.exception


def test_a_link_made_with_another_encoder_stops(roads, open_app):
    test = open_app(q="river", e="00000000")
    assert "this link was made with encoder 00000000" in text_of(test)
    assert len(test.dataframe) == 0
    button(test, "drop_encoder").click().run()
    assert len(hits(test)) == 3
    assert link(test) == {"q": "river"}


def test_a_link_of_another_version_says_so_and_goes_on(roads, open_app):
    test = open_app(q="river", v="7", e=roads.settings.encoder_fingerprint[:8])
    assert "This link was made of version 7; you see version 1." in text_of(test)
    assert len(hits(test)) == 3


def test_what_a_link_names_and_is_gone_is_said_and_left_out(roads, open_app):
    polygon = "AAAAAAAACQAJAAkA"
    test = open_app(q="river", map="0" * 8, pl=polygon, ti="1" * 8, t="3", s="22222222")
    said = text_of(test)
    assert "The map of this link, 00000000, is gone, and its outline with it." in said
    assert "The topics of this link, 11111111, are gone." in said
    assert "The saved set of this link, 22222222, is gone." in said
    assert link(test) == {"q": "river"}
    assert len(hits(test)) == 3


def test_a_set_that_is_there_is_no_loss(roads, rows):
    found = save_set(roads, "a", [SetItem(rows["Rivers"], "x")], version=1)
    assert losses(roads, 1, ViewState(set=found.id, version=1)) == []
    assert [loss.fields for loss in losses(roads, 2, ViewState(version=1))] == [{"version": 0}]


def test_a_link_that_compares_topics_by_a_column_that_is_gone_says_so(roads):
    (loss,) = losses(roads, 1, ViewState(by="nosuch", over="year"))
    assert loss.fields == {"by": ""}
    assert loss.sentence == "The column of this link, 'nosuch', is gone: the page Topics shows another."


def test_a_shared_link_holds_version_and_encoder_and_opens_the_same(roads, open_app):
    test = open_app(q="river", f="year >= 2020")
    button(test, "share").click().run()
    shown = next(str(element.value) for element in test.code if "?" in str(element.value))
    from urllib.parse import parse_qs, urlsplit

    given = {key: values[0] for key, values in parse_qs(urlsplit(shown).query).items()}
    fingerprint = roads.settings.encoder_fingerprint[:8]
    assert given == {"c": "roads", "v": "1", "e": fingerprint, "q": "river", "f": "year >= 2020"}
    again = open_app(**given)
    assert hits(again) == hits(test)


def test_a_link_too_long_is_saved_with_the_corpus(roads, open_app):
    query = "river " * 600
    test = open_app(q=query)
    assert link(test) == {}
    button(test, "share").click().run()
    shown = next(str(element.value) for element in test.code if "view=" in str(element.value))
    assert len(shown) < 200
    again = open_app(c="roads", view=shown.partition("view=")[2])
    assert again.text_input(key="query").value == query
    assert hits(again) == hits(test)


def test_a_saved_view_that_is_not_there_is_said(roads, open_app):
    test = open_app(c="roads", view="../../etc", q="river")
    assert "This link cannot be opened as it was" in text_of(test)
    assert len(hits(test)) == 3


def test_a_server_that_only_shows_saves_nothing(roads, rows, open_app, monkeypatch):
    monkeypatch.setattr(mode, "_chosen", mode.Mode(is_read_only=True))
    test = open_app(q="river " * 600, tr=link_of(rows, "Rivers"))
    assert button(test, "tray_save") is None
    button(test, "share").click().run()
    assert "this server only shows: it does not save long links" in text_of(test)
    assert not (roads.path / "views").exists()


def test_another_corpus_leaves_behind_what_means_nothing_there(roads, rows, make_collection, open_app):
    make_collection([("9", "Other", "A river elsewhere.", "t", 2000)], name="other")
    test = open_app(c="roads", q="river", f="year > 2000", tr=link_of(rows, "Rivers"), sc="tray")
    test.selectbox(key="corpus").select("other").run()
    assert hits(test) == ["Other"]
    assert link(test) == {"c": "other", "q": "river"}
    assert "Tray · 0" in tray_label(test)
    test.selectbox(key="corpus").select("roads").run()
    assert "Tray · 1" in tray_label(test)


def test_a_corpus_deleted_under_an_open_page_is_a_sentence(roads, make_collection, rows, open_app):
    make_collection([("9", "Other", "A river elsewhere.", "t", 2000)], name="other")
    test = open_app(c="roads", q="river", tr=link_of(rows, "Rivers"))
    shutil.rmtree(roads.path)
    test.run()
    assert not test.exception
    assert "no corpus is called 'roads' here" in text_of(test)
    test.selectbox(key="corpus").select("other").run()
    assert hits(test) == ["Other"]


def test_a_saved_set_is_deleted_and_pages_that_looked_at_it_look_at_all(roads, rows, open_app):
    kept = save_set(roads, "mine", [SetItem(rows["Rivers"], "3-0", "picked")], version=1)
    test = open_app(s=kept.id)
    next(box for box in test.selectbox if box.key == "tray_sets").select(kept.id).run()
    button(test, "tray_delete_set").click().run()
    assert list_sets(roads) == [] and "s" not in link(test) and not test.exception


@pytest.mark.parametrize(
    ("crowd", "place"),
    [("facets", "small"), ("selected", "scope"), ("topics shown", "topics"), ("health trials", "health")],
)
def test_no_page_pushes_out_what_another_has(roads, crowd, place, open_app):
    opened = session.open_collection(roads.path)
    made = []

    def derive(name, key, place):
        session.derived(opened, name, key, lambda: made.append(name), place=place)

    derive("map", "kept", "map")
    for key in range(300):
        derive(crowd, key, place)
    derive("map", "kept", "map")
    assert made.count("map") == 1
    derive(crowd, 0, place)
    assert made.count(crowd) == 301  # and its own places are bounded


def test_every_page_keeps_what_is_large_in_places_of_its_own(roads, open_app, monkeypatch):
    from app import derived_cache

    seen, kept = {}, derived_cache.kept

    def noting(*arguments, place):
        seen.setdefault(arguments[3], set()).add(place)
        return kept(*arguments, place=place)

    monkeypatch.setattr(derived_cache, "kept", noting)
    for page in ("map", "map", "topics", "health", "search"):  # the first look makes the map
        test = open_app(page, c="roads", q="river")
        assert not test.exception
    large = {"map": "map", "map titles": "map", "selected": "scope", "health first": "health"}
    assert {name: seen.get(name) for name in large} == {name: {place} for name, place in large.items()}
    assert all(
        places == {"small"} for name, places in seen.items() if name in {"map list", "topic runs", "facets"}
    )


def test_what_is_derived_is_made_once_a_version(roads, open_app):
    import streamlit as st

    st.cache_resource.clear()
    opened = session.open_collection(roads.path)
    made = []

    def derive(key):
        return session.derived(opened, "test", key, lambda: made.append(key) or len(made))

    assert [derive("a"), derive("a"), derive("b")] == [1, 1, 2]
    roads.delete(ids=["1"])
    later = session.open_collection(roads.path)
    assert later.version == 2
    assert session.derived(later, "test", "a", lambda: "new") == "new"
    assert Collection.open(roads.path).version() == 2


def test_an_origin_of_the_tray_is_shown_as_text():
    from app.tray_rows import how

    assert how(Origin("query", "a\nb\u202e" + "x" * 200)).startswith("hit of a query: a b⟨RLO⟩")
    assert how(Origin("topic")) == "member of a topic"


@pytest.mark.parametrize(
    ("corpus", "chosen", "size", "what", "stem"),
    [
        ("arxiv", Selection(topics=(12,)), 234, "", "arxiv-topic-12-234-passages"),
        ("arxiv", Selection(topics=(-1, 3, 4, 5)), 1, "", "arxiv-topic-none-3-4-and-more-1-passage"),
        ("My corpus", Selection(where="year >= 2020"), 2, "", "my-corpus-year-2020-2-passages"),
        ("a", Selection(polygon=(0, 0, 1, 0, 1, 1), set_id="x"), 2, "", "a-outline-set-2-passages"),
        ("a", Selection(), 0, "", "a-all-0-passages"),
        ("a", Selection(rows=(1,)), 1, "../../etc/x.zip\0\u202e", "a-etc-x-zip-1-passage"),
        ("???", Selection(), 3, "!" * 99, "3-passages"),
        ("a", Selection(), 3, "w" * 99, f"a-{'w' * 40}-3-passages"),
    ],
)
def test_a_file_is_named_after_corpus_and_choice_in_safe_letters(corpus, chosen, size, what, stem):
    assert file_stem(corpus, chosen, size, what=what) == stem


def test_a_name_in_any_script_can_be_a_file(tmp_path):
    chosen = Selection(topics=(1, 2, 3), where="主題 = '" + "道" * 60 + "'")
    stem = file_stem("道路と橋" * 20, chosen, 12_345_678)
    assert stem.endswith("-12345678-passages")
    (tmp_path / f"{stem} (1).parquet").touch()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "zip"])
def test_the_tray_is_taken_home_as_a_file(roads, rows, ending):
    import csv
    import io
    import json
    import zipfile

    import pyarrow.parquet as pq

    from app.tray_rows import origins_by_row

    tray = add(Tray(), [rows["Rivers"]], Origin("query", "=1+1 sea"))
    tray = add(tray, [rows["Who pays for roads"]], Origin("topic"))
    tray = add(tray, [rows["Bridges"]], Origin("row"))
    tray = remove(tray, [rows["Who pays for roads"]])
    assert list(rows).index("Bridges") < list(rows).index("Rivers")  # the tray has them the other way round
    content = selection_file(roads, Selection(rows=tray.rows), f"tray.{ending}", origins=origins_by_row(tray))
    wanted = [("Rivers", "hit of a query: =1+1 sea"), ("Bridges", "picked")]
    if ending == "parquet":
        table = pq.read_table(io.BytesIO(content))
        assert list(zip(table["title"].to_pylist(), table["origin"].to_pylist(), strict=True)) == wanted
    elif ending == "zip":
        archive = zipfile.ZipFile(io.BytesIO(content))
        names = archive.namelist()
        lines = map(json.loads, archive.read("tray/passages.jsonl").decode().splitlines())
        assert [(line["title"], line["origin"]) for line in lines] == wanted
        assert "origin       how it got into the tray" in archive.read("tray/README.txt").decode()
        assert {name.rpartition("/")[2] for name in names} >= {
            "passages.parquet",
            "passages.jsonl",
            "README.txt",
        }
    else:
        text = content.decode("utf-8-sig")
        lines = csv.DictReader(io.StringIO(text)) if ending == "csv" else map(json.loads, text.splitlines())
        assert [(line["title"], line["origin"]) for line in lines] == wanted
        assert "Bridges" in text and "Rivers" in text and "Who pays" not in text
