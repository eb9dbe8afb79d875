"""What a link to the map page names, and what a link from elsewhere does."""

from app.map_payload import read_head
from indexer.derived import remove_build
from indexer.maps.build import build_map
from indexer.maps.stored import list_maps
from indexer.topics import build_topics
from tests.app.map_page.reading import button, link, parts, text_of


def test_a_link_made_with_another_encoder_stops(many, open_app, sent):
    test = open_app("map", e="00000000")
    assert "this link was made with encoder 00000000" in text_of(test)
    assert sent.payload == b"" and list_maps(many) == []


def shared_link(test):
    """The parameters of the link that *Share* shows, and what it says that they hold."""
    from urllib.parse import parse_qs, urlsplit

    button(test, "share").click().run()
    assert not test.exception
    shown = next(str(element.value) for element in test.code if "?" in str(element.value))
    given = {key: values[0] for key, values in parse_qs(urlsplit(shown).query).items()}
    return given, next(str(found.value) for found in test.caption if str(found.value).startswith("Holds"))


def test_a_link_names_the_map_and_topics_that_were_shown_for_being_the_newest(many, searcher, open_app, sent):
    first = build_map(searcher, method="pca")
    run = build_topics(searcher, method="kmeans", count=3)
    given, holds = shared_link(open_app("map"))
    assert (given["map"], given["ti"], given["tv"]) == (first.id, run.id, "(automatic)")
    assert holds == "Holds corpus, version, encoder, map, colour, topics and their version."
    build_map(searcher, method="pca", seed=1)
    build_topics(searcher, method="kmeans", count=4)
    again = open_app("map", **given)
    assert read_head(sent.payload).stamp.startswith(first.id)
    assert len(parts(sent).words["labels"]) == 3
    assert "is gone" not in text_of(again)
    remove_build(many, "map", first.id)
    remove_build(many, "topics", run.id)
    lost = open_app("map", **given)
    assert f"The map of this link, {first.id}, is gone." in text_of(lost)
    assert f"The topics of this link, {run.id}, are gone." in text_of(lost)
    assert not read_head(sent.payload).stamp.startswith(first.id)


def test_a_link_of_the_search_names_topics_only_where_some_are_picked(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    run = build_topics(searcher, method="kmeans", count=3)
    given, _ = shared_link(open_app("search", q="river"))
    assert not {"map", "ti", "tv"} & given.keys()
    given, holds = shared_link(open_app("search", q="river", t=str(run.topics[0].number)))
    assert (given["ti"], given["tv"]) == (run.id, "(automatic)") and "map" not in given
    assert holds == "Holds corpus, version, encoder, query, topics and their version, picked topics."


def test_a_version_of_topics_that_is_gone_is_said(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    run = build_topics(searcher, method="kmeans", count=3)
    test = open_app("map", ti=run.id, tv="mine", t="1")
    assert (
        "The version of the topics of this link, 'mine', is gone: you see them as they were found."
        in text_of(test)
    )
    assert len(parts(sent).words["labels"]) == 3
    assert link(test) == {"ti": run.id, "tv": "(automatic)"}
