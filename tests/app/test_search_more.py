"""The search page beyond question and answer: facets, reasons, examples, tray, tags, saved searches, many queries."""

import shutil

import pytest

from app import mode
from app.link import write_texts
from app.many_queries import read_queries
from app.mode import Mode
from indexer.annotations import journal
from indexer.annotations.notes import read_notes, write_note
from indexer.annotations.searches import list_searches, save_search
from indexer.annotations.tags import add_tag, list_tags
from indexer.search import Searcher

EVIL = "\u202e **bold** <b>x</b> ![i](http://evil.example/i.png) $x^2$ :smile:"
NEWS = [
    (str(n), f"The {word} {n}", f"A {word} near the city, number {n}.", word, 1990 + n)
    for n, word in enumerate(["river", "bridge", "road"] * 6)
]


def link(test):
    return dict(test.query_params)


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader, test.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def table(test):
    return next(frame.value for frame in test.dataframe if "score" in frame.value)


def hits(test):
    return table(test)["title"].tolist()


def button(test, key):
    return next(found for found in test.button if found.key == key)


def has(test, key):
    return any(found.key == key for found in test.button)


def pills(test, label):
    return next(found for found in test.pills if found.label == label)


@pytest.fixture
def news(make_collection):
    return make_collection(NEWS)


@pytest.fixture
def read_only():
    before = mode.current()
    mode.choose(Mode(is_read_only=True))
    yield
    mode.choose(before)


def test_a_value_in_common_is_counted_and_a_click_keeps_only_its_hits(news, open_app):
    test = open_app(q="near the city")
    topic = pills(test, "topic")
    assert sorted(topic.options) == ["bridge · 6", "river · 6", "road · 6"]
    topic.select("river · 6").run()
    assert link(test)["f"] == "topic = 'river'"
    assert len(hits(test)) == 6
    assert not any(found.label == "topic" for found in test.pills)  # one value for all tells nothing


def test_another_query_brings_no_other_widgets_which_a_session_would_keep(news, open_app):
    test = open_app(q="near the city")
    before = [found.proto.id for found in test.pills]
    pills(test, "topic").select("river · 6").run()
    button(test, "undo").click().run()
    test.text_input(key="query").set_value("city number").run()
    assert [found.proto.id for found in test.pills] == before and before
    assert pills(test, "topic").value is None  # what was clicked is in the filter, not in the list


def test_ranges_narrow_to_the_hits_that_they_count(news, open_app):
    test = open_app(q="near the city")
    year = pills(test, "year")
    first = year.options[0]
    year.select(first).run()
    assert len(hits(test)) == int(first.rpartition(" · ")[2])


def opened_facets(test):
    test.session_state["scope_facets"] = True  # AppTest has no click on an expander
    return test.run()


def test_before_a_question_values_are_counted_over_all_passages(news, open_app):
    test = opened_facets(open_app())
    assert sorted(pills(test, "topic").options) == ["bridge · 6", "river · 6", "road · 6"]
    pills(test, "topic").select("river · 6").run()
    assert link(test)["f"] == "topic = 'river'"
    assert "6 passages" in text_of(test)
    assert not any(found.label == "topic" for found in test.pills)
    years = pills(test, "year").options
    assert sum(int(option.rpartition(" · ")[2]) for option in years) == 6


def test_before_a_question_a_filter_that_leaves_nothing_says_so(news, open_app):
    test = opened_facets(open_app(f="year > 3000"))
    assert "No column tells these passages apart." in text_of(test) and not test.exception


def test_a_filter_that_cannot_be_read_counts_nothing_and_says_why(news, open_app):
    test = opened_facets(open_app(f="nosuch = 1"))
    assert "nosuch" in text_of(test) and not test.pills and not test.exception


def test_a_tag_is_put_on_shown_found_by_and_taken_off(news, open_app):
    add_tag(news, "to read", ["gone"])  # AppTest cannot type an option that is not in the list
    test = open_app(q="river")
    test.selectbox(key="new_tag").select("to read").run()
    assert list_tags(news) == [("to read", 2)]
    assert "to read" in table(test)["tags"].tolist()
    found = open_app(q="city", f="tag contains 'to read'")
    assert len(hits(found)) == 1
    button(found, "tag_0").click().run()
    assert list_tags(news) == [("to read", 1)]
    assert "The filter leaves none" in text_of(found)


def test_a_note_is_kept_and_removed(news, open_app):
    test = open_app(q="river")
    test.text_area(key="new_note").set_value(EVIL).run()
    button(test, "keep_note").click().run()
    (note,) = read_notes(news)
    assert note.text == EVIL
    assert "⟨RLO⟩" in text_of(test)
    assert not any("evil.example" in str(element.value) for element in [*test.markdown, *test.caption])
    button(test, f"remove_note_{note.id}").click().run()
    assert read_notes(news) == []


def test_what_cannot_be_kept_is_a_sentence_and_not_lost(news, open_app, monkeypatch):
    test = open_app(q="river")
    test.text_area(key="new_note").set_value("a long thought").run()
    monkeypatch.setattr(mode, "_chosen", Mode(is_read_only=True))
    button(test, "keep_note").click().run()
    assert "Not kept: this server only shows: it does not keep tags and notes" in text_of(test)
    assert read_notes(news) == []
    assert not test.exception


def test_what_nobody_may_write_is_shown_without_fields(news, open_app, read_only):
    add_tag(news, "old", ["0"])
    write_note(news, "0", "seen")
    save_search(news, "rivers", {"q": "river"})
    test = open_app(q="river number 0", m="w")
    assert "old" in text_of(test) or any("old" in found.label for found in test.expander)
    assert not has(test, "keep_note") and not has(test, "save_search")
    assert not any(box.key == "new_tag" for box in test.selectbox)
    test.selectbox(key="saved_search").select("rivers").run()
    assert not has(test, "delete_saved")
    button(test, "open_saved").click().run()
    assert link(test)["q"] == "river"


def test_more_like_this_and_less_like_that_are_chips_in_the_link(news, open_app):
    test = open_app(q="near the city")
    first = hits(test)[0]
    button(test, "more_like").click().run()
    assert "xm" in link(test)
    assert first not in hits(test)  # an example is no answer
    assert button(test, "more_0").label.startswith("More like: The ")
    button(test, "less_like").click().run()
    assert "xl" in link(test)
    again = open_app(**link(test))
    assert hits(again) == hits(test)
    button(test, "more_0").click().run()
    assert "xm" not in link(test)
    button(test, "no_examples").click().run()
    assert link(test) == {"q": "near the city"}


def test_an_example_that_pulls_changes_the_order(news, open_app):
    test = open_app(q="city")
    test.text_input(key="query").set_value("river city").run()
    button(test, "more_like").click().run()
    kept = hits(test)
    assert kept[0].split()[1] == "river"


def test_similar_to_this_becomes_an_example_when_a_second_is_added(news, open_app):
    test = open_app(q="river")
    button(test, "similar").click().run()
    button(test, "more_like").click().run()
    assert "l" not in link(test)
    assert link(test)["xm"].count(",") == 1


def test_only_less_like_is_nothing_to_search_for(news, open_app):
    snapshot = Searcher(news).snapshot
    passage = snapshot.store.take(snapshot.row_ids()[:1], ["id"])["id"][0].as_py()
    test = open_app(xl=write_texts([passage]))
    assert not test.exception
    assert button(test, "less_0").label == "Less like: The river 0"
    assert not any("score" in frame.value for frame in test.dataframe)


def test_an_example_that_was_deleted_is_named_and_can_be_taken_out(news, open_app):
    test = open_app(q="river", xm="gone")
    assert "there is no passage 'gone'" in text_of(test)
    assert "deleted" in button(test, "more_0").label
    button(test, "more_0").click().run()
    assert hits(test)


@pytest.mark.parametrize("how", ["h", "s", "w"])
def test_why_a_hit_stands_there_is_said_with_the_numbers_of_the_hit(news, open_app, how):
    test = open_app(q="river city", m=how)
    next(found for found in test.toggle if found.key == "why").set_value(True).run()
    said = text_of(test)
    assert ("By meaning it is number 1 of 18 passages" in said) == (how != "w")
    assert ("By words it is number" in said) == (how != "s")
    assert ("Together" in said) == (how == "h")
    assert not test.exception


def test_memory_tokens_of_an_encoder_without_any_are_a_sentence(news, open_app):
    test = open_app(q="river")
    next(found for found in test.toggle if found.key == "why").set_value(True).run()
    button(test, "why_shares").click().run()
    assert "the score is no sum over memory tokens here" in text_of(test)
    assert not test.exception


def test_hits_go_into_the_tray_picked_of_the_page_or_all(news, open_app):
    test = open_app(q="near the city")
    button(test, "to_tray_picked").click().run()
    assert any("Tray · 1" in found.proto.popover.label for found in test.get("popover"))
    button(test, "to_tray_picked").click().run()
    assert "The tray holds them already" in text_of(test)
    button(test, "to_tray_all").click().run()
    assert any("Tray · 18" in found.proto.popover.label for found in test.get("popover"))
    assert "hit of a query: near the city" in text_of(test)


def test_a_search_is_saved_opened_elsewhere_and_deleted(news, open_app):
    test = open_app(q="river", f="year > 1995", m="w")
    test.text_input(key="saved_name").set_value("  wet   places ").run()
    button(test, "save_search").click().run()
    (saved,) = list_searches(news)
    assert (saved.name, saved.parameters) == ("wet places", {"q": "river", "f": "year > 1995", "m": "w"})
    other = open_app(q="road")
    other.selectbox(key="saved_search").select("wet places").run()
    button(other, "open_saved").click().run()
    assert link(other) == {"q": "river", "f": "year > 1995", "m": "w"}
    assert hits(other) == hits(test)
    other.selectbox(key="saved_search").select("wet places").run()
    button(other, "delete_saved").click().run()
    assert list_searches(news) == []
    assert not other.exception


def test_a_hostile_saved_search_opens_as_far_as_it_is_understood(news, open_app):
    parameters = {"q": EVIL, "k": "many", "zzz": "1", "c": "../../etc"}
    journal.append(news, "searches", {"op": "save", "name": EVIL, "parameters": parameters})
    test = open_app()
    test.selectbox(key="saved_search").select_index(0).run()
    button(test, "open_saved").click().run()
    assert "Not understood in this saved search: k" in text_of(test)
    assert test.text_input(key="query").value == EVIL
    assert link(test) == {"q": EVIL}
    assert not test.exception


def test_several_queries_are_answered_in_one_table(news, open_app):
    test = open_app()
    test.text_area(key="pasted_queries").set_value("river\n\nbridge\nriver\nzzz").run()
    button(test, "ask_all").click().run()
    shown = next(frame.value for frame in test.dataframe if "query" in frame.value)
    assert shown["query"].tolist() == ["river", "bridge", "zzz"]
    assert shown["hit 1"].iloc[0].split()[1] == "river"
    assert "3 lines asked" in text_of(test)
    assert not test.exception


def test_answers_of_a_corpus_are_not_shown_for_another_in_its_place(news, make_collection, open_app):
    test = open_app()
    test.text_area(key="pasted_queries").set_value("river").run()
    button(test, "ask_all").click().run()
    assert "1 line asked" in text_of(test)
    shutil.rmtree(news.path)
    make_collection(NEWS)  # of the same name and version, as after a rebuild with another encoder
    assert "1 line asked" not in text_of(test.run())


def test_a_query_that_is_impossible_leaves_the_others_alone(news, open_app):
    test = open_app(m="w")
    test.text_area(key="pasted_queries").set_value("river\n-only\nbridge").run()
    button(test, "ask_all").click().run()
    shown = next(frame.value for frame in test.dataframe if "query" in frame.value)
    assert shown["query"].tolist() == ["river", "-only", "bridge"]
    assert (shown["hits"] > 0).tolist() == [True, False, True]


def test_too_many_lines_are_refused(news, open_app):
    test = open_app()
    test.text_area(key="pasted_queries").set_value("\n".join(map(str, range(201)))).run()
    button(test, "ask_all").click().run()
    assert "201 queries are more than 200" in text_of(test)
    assert len(read_queries("\n".join(map(str, range(200))))) == 200


def test_topics_are_offered_before_a_question(news, open_app):
    from indexer.topics.build import build_topics

    build_topics(Searcher(news), method="kmeans", count=3)
    test = open_app()
    assert has(test, "try_0")
    button(test, "try_0").click().run()
    assert link(test)["q"]
    assert not test.exception


@pytest.mark.parametrize(
    "rows", [NEWS[:1], [("1", "T", "same text", "t", 1), ("2", "T", "same text", "t", 1)]]
)
def test_one_row_and_identical_rows_have_reasons_and_no_facets(make_collection, open_app, rows):
    make_collection(rows, name="odd")
    test = open_app(q="river same text")
    next(found for found in test.toggle if found.key == "why").set_value(True).run()
    assert not test.exception
    assert not test.pills


def test_hostile_columns_and_values_are_only_shown(make_collection, open_app):
    make_collection([(str(n), EVIL, f"{EVIL} river", EVIL if n else "x", n) for n in range(4)], name="evil")
    test = open_app(q="river")
    next(found for found in test.toggle if found.key == "why").set_value(True).run()
    assert not test.exception
    topic = pills(test, "topic")
    topic.select(next(option for option in topic.options if option.endswith(" · 3"))).run()
    assert len(hits(test)) == 3
    assert not any("evil.example" in str(element.value) for element in [*test.markdown, *test.caption])
