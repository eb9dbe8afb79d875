"""The page Health in each of its states, without a browser."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from app import jobs, session
from app.health_words import STATE_WORDS
from indexer.annotations.tags import add_tag, remove_tag
from indexer.collection import Collection
from tests.indexer.making import COLUMNS, ListSource, PresetEmbedder, doc

EVIL = "\u202e **bold** <b>x</b> ![i](http://evil.example/i.png) $x^2$ :smile:"


class ByLastWord(PresetEmbedder):
    """The text ends in the number of its vector; questions are the first vector."""

    def _encode(self, texts):
        last = [text.split()[-1] for text in texts]
        return np.stack([self.vectors[int(w) if w.isdigit() else 0] for w in last]).astype(np.float32)

    def encode_memory(self, texts):
        """Four memory states, the last two the same."""
        base = self._encode(texts)
        return np.stack([base, base[:, ::-1], base**2 + 0.1, base**2 + 0.1], axis=1)


@pytest.fixture
def space(library_home, monkeypatch, open_app):
    """Makes a collection of given vectors and opens the page on it."""

    def space(vectors, title="", page="health", **link):
        embedder = ByLastWord(np.asarray(vectors, np.float64))
        monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: embedder)
        path = library_home / "collections" / "space"
        path.parent.mkdir(exist_ok=True)
        collection = Collection.create(path, encoder=embedder, columns=COLUMNS, words="plain")
        documents = [doc(f"d{at}", f"row {at}", title, year=at) for at in range(len(vectors))]
        collection.add(ListSource(documents), encoder=embedder)
        return open_app(page, **link)

    return space


def healthy(n=120, d=8):
    return np.random.default_rng(0).normal(size=(n, d))


def collapsed(n=120, d=8):
    rows = 0.02 * np.random.default_rng(0).normal(size=(n, d))
    rows[:, 0] += np.random.default_rng(1).normal(size=n)
    return rows


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader, test.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def verdict(test):
    return [element.value for element in test.markdown if element.value in STATE_WORDS.values()][-1]


def button(test, key):
    return next(found for found in test.button if found.key == key)


def closer(test, part):
    test.session_state["health_closer"] = part
    return test.run()


def charts(test):
    """Key to what is said of a chart."""
    found = test.get("plotly_chart")
    return {chart.proto.id.rpartition("-")[2]: chart.proto.alt for chart in found}


def test_an_empty_library_offers_the_demo(open_app):
    test = open_app("health")
    assert test.title[0].value == "Health" and "No corpus yet" in text_of(test)


def test_a_healthy_space_says_so_first(space):
    test = space(healthy())
    assert verdict(test) == "**Healthy**"
    assert "120 passages: the whole collection" in text_of(test)
    assert "Nothing needs doing" in text_of(test)
    values = {metric.label: metric.value for metric in test.metric}
    assert values["Effective rank"].endswith(" of 8") and values["Recall of the index"] == "100.0 %"
    assert "–" not in values.values()
    table = test.dataframe[0].value
    assert list(table["Measure"])[:2] == ["Effective rank", "Effective rank with the mean"]
    assert not test.exception


def test_a_collapsed_space_says_why_and_what_to_do(space):
    test = space(collapsed())
    assert verdict(test) == "**Collapsed**"
    said = text_of(test)
    assert "Why" in said and "The first direction carries" in said
    assert "What to do" in said and "Train the encoder on with a contrastive stage" in said


def test_one_passage_cannot_tell(space):
    test = space(healthy(n=1))
    assert verdict(test) == "**Cannot tell**"
    assert "1 vector is too few" in text_of(test)
    assert "The spectrum of 1 vector says nothing; it takes 50 at least." in text_of(test)
    assert "\u2013" not in [metric.value for metric in test.metric]
    assert "A verdict takes 50 vectors" in text_of(test) and "Not measured here: Effective rank," in text_of(
        test
    )
    for part in ("what_if", "hubs", "duplicates", "outliers", "length", "memory"):
        assert not closer(test, part).exception
        assert "could not be drawn" not in text_of(test)


def test_identical_passages_are_collapsed(space):
    test = space(np.ones((80, 8)))
    assert verdict(test) == "**Collapsed**"
    test = closer(test, "duplicates")
    assert "80 of 80 passages have the very vector of another" in text_of(test)
    assert test.dataframe[0].value["Size"].tolist() == [80] * 5
    for part in ("what_if", "hubs", "outliers", "length"):
        closer(test, part)
        assert "could not be drawn" not in text_of(test)


def test_a_filter_narrows_what_is_measured(space):
    test = space(healthy(), f="year < 60")
    assert "60 passages: year < 60" in text_of(test)
    test = space_of(test, "year > 5000")
    assert "There are no passages to look at" in text_of(test)


def space_of(test, where):
    from dataclasses import replace

    test.session_state["view"] = replace(test.session_state["view"], filter=where)
    return test.run()


def test_picked_hubs_go_to_the_tray_and_hostile_titles_stay_text(space):
    vectors = healthy()
    vectors[5] = vectors[4]
    test = closer(space(vectors, title=EVIL), "duplicates")
    shown = test.dataframe[0].value
    assert shown["Size"].tolist() == [2, 2] and "<b>x</b>" in shown["Title"][0]
    assert "\u202e" not in shown["Title"][0]
    assert "evil.example" not in text_of(test)


def test_trials_are_tried_and_one_is_saved(space, monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "start_once", lambda *arguments: started.append(arguments))
    test = closer(space(healthy(), wi="centre"), "what_if")
    test.text_input(key="what_if_own").set_value("pca: 4").run()
    button(test, "what_if_try").click().run()
    table = test.dataframe[0].value
    assert table["What if"].tolist() == [
        "as it is",
        "centre",
        "centre+drop:1",
        "centre+drop:3",
        "whiten",
        "pca:4",
    ]
    assert table["Numbers"].tolist()[-1] == "4"
    button(test, "what_if_save").click().run()
    assert [(kind, list(options)) for kind, _, options in started] == [("rebuild", ["--transform", "centre"])]
    assert "being rebuilt with centre" in text_of(test)


def test_the_same_query_is_shown_before_and_after(space):
    test = closer(space(healthy(), wi="centre", q="row 3"), "what_if")
    button(test, "what_if_try").click().run()
    now, after = test.dataframe[1].value, test.dataframe[2].value
    assert now["Title"][0] == "row 3" and len(now) == len(after) == 8


def test_hits_side_by_side_follow_the_tags_that_the_filter_names(space, library_home):
    test = closer(space(healthy(), wi="centre", q="row 3", f="tag contains 'seen'"), "what_if")
    collection = Collection.open(library_home / "collections" / "space")
    add_tag(collection, "seen", ["d3", "d4", "d5"])
    button(test.run(), "what_if_try").click().run()
    assert sorted(test.dataframe[1].value["Title"]) == ["row 3", "row 4", "row 5"]
    remove_tag(collection, "seen", ["d4"])
    assert sorted(test.run().dataframe[1].value["Title"]) == ["row 3", "row 5"]


def test_a_trial_that_is_none_is_refused_in_a_sentence(space):
    test = closer(space(healthy()), "what_if")
    test.text_input(key="what_if_own").set_value("nonsense").run()
    button(test, "what_if_try").click().run()
    assert "This did not work" in text_of(test) and "nonsense" in text_of(test)


def test_memory_tokens_are_looked_at_when_asked(space):
    test = closer(space(healthy()), "memory")
    assert "reads a text into a few memory tokens" in text_of(test)
    button(test, "health_memory").click().run()
    assert "Memory tokens 3 and 4 carry the same direction" in text_of(test)
    slots, merged = test.dataframe[0].value, test.dataframe[1].value
    assert slots["Token"].tolist() == [1, 2, 3, 4]
    assert merged["Clusters"].tolist() == [4, 2] and merged["Neighbours kept"][0] == "100.0 %"
    assert "Each curve is of the same 120 texts" in text_of(test)
    assert "memory token 4: from" in charts(test)["health_slot_spectra"]


def test_an_encoder_without_memory_tokens_says_so(roads, open_app):
    test = closer(open_app("health"), "memory")
    button(test, "health_memory").click().run()
    assert "the encoder of this collection has no memory tokens" in text_of(test)


def test_length_is_told_in_tokens(space):
    test = closer(space(healthy()), "length")
    assert "Texts of several lengths are needed" in text_of(test) or "tokens" in text_of(test)
    assert not test.exception


def is_taken():
    """Whether another session would have to wait for the encoder."""

    def could():
        got = session._encoding.acquire(blocking=False)
        if got:
            session._encoding.release()
        return got

    with ThreadPoolExecutor(1) as pool:
        return not pool.submit(could).result()


def test_temperatures_are_tried_when_asked(space, monkeypatch):
    held = []
    test = closer(space(healthy()), "length")
    button(test, "health_temperatures").click().run()
    assert "0 of 60 texts have 16 tokens" in text_of(test) and not test.exception
    from encoder import temperature

    monkeypatch.setattr("encoder.temperature._LEAST_HALF", 1)
    plain = temperature._known_ranks

    def noting(*arguments):
        held.append(is_taken())
        return plain(*arguments)

    monkeypatch.setattr("encoder.temperature._known_ranks", noting)
    test.run()
    assert test.dataframe[-1].value["Temperature"].tolist() == ["1", "0.95", "0.9", "0.8"]
    assert "Tried on 60 passages" in text_of(test) and held == [True] * 4


def test_a_missing_encoder_leaves_the_verdict(space, monkeypatch):
    from encoder.errors import CheckpointError

    def gone(spec="default", **_):
        raise CheckpointError("the encoder is gone", "folder", "put it back")

    test = space(healthy())
    import streamlit as st

    st.cache_resource.clear()
    monkeypatch.setattr("encoder.checkpoint.load_encoder", gone)
    test = closer(test, "memory")
    button(test, "health_memory").click().run()
    assert verdict(test) == "**Healthy**" and "the encoder is gone" in text_of(test)


def test_a_link_of_another_encoder_is_not_answered(roads, open_app):
    test = open_app("health", c="roads", e="00000000")
    assert "this link was made with encoder 00000000" in text_of(test)


def test_an_unknown_corpus_to_lay_over_is_named(space):
    test = space(healthy(), c2="nosuch")
    assert "no corpus is called 'nosuch' here" in text_of(test)
    assert verdict(test) == "**Healthy**"


def test_looks_that_encode_wait_for_their_turn_at_every_call(space, monkeypatch):
    """No other call could encode at that moment, and between two calls another may."""
    held = []

    def noting(name):
        plain = getattr(ByLastWord, name)

        def encode(self, texts, **options):
            held.append((name, is_taken()))
            return plain(self, texts, **options)

        monkeypatch.setattr(ByLastWord, name, encode)

    monkeypatch.setattr("indexer.known_items._LEAST_CHARACTERS", 1)
    test = space(healthy(), title="a title")
    for name in ("encode_memory", "encode_document", "encode_query"):
        noting(name)
    button(closer(test, "memory"), "health_memory").click().run()
    memory = len(held)
    test.session_state["what_if_known"] = True
    button(closer(test, "what_if"), "what_if_try").click().run()
    assert memory == 4 and {name for name, _ in held} == {"encode_memory", "encode_document", "encode_query"}
    assert all(is_held for _, is_held in held)
    assert not is_taken()


def test_an_older_version_is_laid_over(space, library_home):
    test = space(healthy())
    assert "There is" not in text_of(test) and test.selectbox(key="health_other").options == []
    Collection.open(library_home / "collections" / "space").delete(where="year >= 60")
    test.run()
    assert test.selectbox(key="health_other").options == ["version 1 of this corpus"]
    test.selectbox(key="health_other").select("/1").run()
    assert test.session_state["view"].other == "/1"
    assert "version 1: from" in charts(test)["health_spectrum"]


@pytest.mark.parametrize("other", ["/7", "/", "/-1", "/9999999999", "/\u0663"])
def test_a_version_that_is_not_kept_is_named(space, other):
    test = space(healthy(), c2=other)
    said = text_of(test)
    assert "is not kept" in said or "no corpus is called" in said
    assert verdict(test) == "**Healthy**"
