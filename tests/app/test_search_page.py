"""The search page in each of its states, without a browser."""

from dataclasses import replace

import pytest

from app import jobs, session
from encoder.errors import CheckpointError
from indexer.collection import Collection

EVIL = "\u202e **bold** <b>x</b> ![i](http://evil.example/i.png) $x^2$ :smile:"


def link(test):
    return dict(test.query_params)


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader, test.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def hits(test):
    return test.dataframe[0].value["title"].tolist()


def button(test, key):
    return next(found for found in test.button if found.key == key)


def test_an_empty_library_offers_the_command_and_the_demo(open_app, monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "start", lambda title, arguments, into: started.append(arguments))
    test = open_app()
    assert "No corpus yet" in text_of(test)
    assert "llm2comp index FILE --into DIR" in text_of(test)
    button(test, "build_demo").click().run()
    assert started == [["demo", "--no-app"]]
    assert test.title[0].value == "Corpora"


def test_without_a_question_the_page_tells_what_there_is(roads, open_app):
    test = open_app()
    assert [metric.value for metric in test.metric][:2] == ["3", "3"]
    assert not test.exception


def test_a_query_finds_and_goes_into_the_link(roads, open_app):
    test = open_app()
    test.text_input(key="query").set_value("bridges over a river").run()
    assert set(hits(test)) == {"Who pays for roads", "Bridges", "Rivers"}
    assert hits(test)[0] == "Bridges"
    assert link(test) == {"q": "bridges over a river"}
    assert "3 passages · version 1 · encoder words" in text_of(test)
    assert "index flat, exact" in text_of(test)


def test_a_link_gives_the_same_hits_again(roads, open_app):
    shared = {"q": "river", "m": "w", "k": "2", "f": "year >= 2020"}
    first, second = open_app(**shared), open_app(**shared)
    assert hits(first) == hits(second) != []
    assert link(first) == shared
    assert first.text_input(key="query").value == "river"
    assert first.number_input(key="k").value == 2


def test_bad_values_of_a_link_are_named_and_the_rest_applies(roads, open_app):
    test = open_app(q="river", k="x", m="?")
    assert "Not understood in this link: m, k" in text_of(test)
    assert hits(test)
    assert link(test) == {"q": "river"}


def test_a_filter_is_applied_and_dropped_when_nothing_is_left(roads, open_app):
    test = open_app(q="river", f="year > 3000")
    assert "The filter leaves none of the 3 passages" in text_of(test)
    button(test, "drop_filter").click().run()
    assert len(hits(test)) == 3


def test_a_condition_is_built_from_the_columns(roads, open_app):
    test = open_app(q="river")
    column = next(box for box in test.selectbox if box.label == "Column")
    assert column.options == ["topic  (text)", "year  (whole numbers)"]
    column.select("topic").run()
    test.multiselect[0].select("nature").run()
    button(test, "add_clause").click().run()
    assert link(test)["f"] == "topic = 'nature'"
    assert hits(test) == ["Rivers"]


def test_a_wrong_filter_is_explained_and_nothing_else_breaks(roads, open_app):
    test = open_app(q="river", f="yaer > 1")
    assert "yaer" in text_of(test)
    assert "What to do" in text_of(test)
    assert not test.exception
    test.text_input(key="filter").set_value("year > 1").run()
    assert len(hits(test)) == 3


def test_similar_to_this_searches_by_the_passage_and_undo_brings_the_query_back(roads, open_app):
    test = open_app(q="tolls")
    top = hits(test)[0]
    button(test, "similar").click().run()
    assert "l" in link(test)
    assert hits(test) and top not in hits(test)  # the document itself is no answer
    button(test, "undo").click().run()
    assert link(test) == {"q": "tolls"}


def test_the_exact_check_says_what_was_missed(roads, open_app, monkeypatch):
    ask = session.ask

    def miss_one(opened, state, *, exact=False):
        result = ask(opened, state, exact=exact)
        if exact:
            return result
        return replace(
            result,
            hits=result.hits[1:],
            row_ids=result.row_ids[1:],
            provenance=replace(result.provenance, mode="approximate", recall=0.97),
        )

    monkeypatch.setattr(session, "ask", miss_one)
    test = open_app(q="bridges")
    assert "measured recall@10 0.970" in text_of(test)
    button(test, "check_exactly").click().run()
    assert "1 of 3 exact hits were missed" in text_of(test)
    assert test.dataframe[-2].value["title"].tolist() == ["Bridges"]


def test_no_hit_in_words_offers_the_meaning(roads, open_app):
    test = open_app(q="zzzqqq", m="w")
    assert "No passage holds these words" in text_of(test)
    button(test, "offer_hybrid").click().run()
    assert len(hits(test)) == 3


def test_a_missing_encoder_offers_the_words(roads, open_app, monkeypatch):
    def fail(*_, **__):
        raise CheckpointError("the encoder runs/b is gone", "runs/b", "put it back")

    test = open_app()
    monkeypatch.setattr("encoder.checkpoint.load_encoder", fail)
    test.text_input(key="query").set_value("river").run()
    assert "the encoder runs/b is gone" in text_of(test)
    button(test, "offer_keyword").click().run()
    assert hits(test)
    assert link(test) == {"q": "river", "m": "w"}


def test_an_unknown_corpus_is_named(roads, open_app):
    test = open_app(c="nosuch", q="river")
    assert "no corpus is called 'nosuch' here" in text_of(test)
    test.selectbox(key="corpus").select("roads").run()
    assert hits(test)


def test_a_damaged_collection_is_an_error_in_three_lines(roads, open_app):
    (roads.path / "collection.json").write_text("{")
    test = open_app(q="river")
    assert "This did not work" in text_of(test)
    assert not test.exception


def test_a_bug_of_ours_shows_an_id_and_no_traceback(roads, open_app, monkeypatch):
    monkeypatch.setattr("app.views.search.library.known", lambda: 1 / 0)
    test = open_app()
    assert "This page could not be drawn" in text_of(test)
    assert "ZeroDivisionError" not in text_of(test)
    assert not test.exception


def test_one_document_is_enough(make_collection, open_app):
    make_collection([("1", "Only", "A single text.", "t", 2020)])
    assert hits(open_app(q="single")) == ["Only"]


@pytest.mark.parametrize("mode", ["h", "s", "w"])
def test_hostile_text_breaks_no_mode(make_collection, open_app, mode):
    make_collection([("1", EVIL, f"{EVIL} river", EVIL, 2020)], name="evil")
    test = open_app(q="river", m=mode)
    assert not test.exception
    assert "⟨RLO⟩" in hits(test)[0]
    assert not any("evil.example" in str(element.value) for element in [*test.markdown, *test.caption])


def test_more_hits_than_a_page_holds_are_paged(make_collection, open_app):
    make_collection([(str(n), f"Title {n}", f"river number {n}", "t", n) for n in range(60)])
    test = open_app(q="river", k="60", p="3")
    assert len(hits(test)) == 10
    assert len(hits(open_app(q="river", k="60", p="99"))) == 10  # beyond the last: the last


def test_a_page_goes_on_after_a_rebuild_with_another_encoder(roads, open_app, word_embedder, monkeypatch):
    test = open_app()
    test.text_input(key="query").set_value("bridges over a river").run()
    assert "encoder words" in text_of(test)
    other = type(word_embedder)(name="other", dimension=16)
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: other)
    before = roads.version()
    Collection.open(roads.path).rebuild(encoder=other)
    assert Collection.open(roads.path).version() == before  # the number alone does not tell
    test.run()
    assert not test.exception
    assert "This did not work" not in text_of(test)
    assert "encoder other" in text_of(test)
    assert hits(test)[0] == "Bridges"


def test_the_page_downloads_no_encoder_that_a_collection_names(roads, open_app, word_embedder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "encoder.checkpoint.load_encoder", lambda *_, **named: asked.append(named) or word_embedder
    )
    open_app(q="bridges")
    assert [named["only_cached"] for named in asked] == [True]
