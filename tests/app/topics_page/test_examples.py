"""Examples of questions that come from topics."""

import numpy as np
import pytest
import streamlit as st

from app import session
from app.examples import example_queries, example_topics, is_sayable
from indexer.derived import build_folder
from indexer.search import Searcher
from indexer.topics import build_topics
from tests.app.topics_page.reading import EVIL, WORDS, rows


def test_examples_come_from_the_topics(found, make_collection):
    collection, run = found
    opened = session.open_collection(collection.path)
    titles = opened.searcher.snapshot.store.take(
        np.array([topic.exemplars[0] for topic in run.topics], np.uint64), ["title"]
    )["title"].to_pylist()
    assert sorted(example_queries(opened)) == sorted(titles)  # "About water 3" can be asked
    assert example_topics(opened) == [(topic.number, topic.label) for topic in run.topics]
    bare = session.open_collection(make_collection(rows(3), name="bare").path)
    assert (example_queries(bare), example_topics(bare)) == ([], [])
    (build_folder(collection, "topics", run.id) / "topics.json").write_text("{")
    st.cache_resource.clear()
    assert (example_queries(opened), example_topics(opened)) == ([], [])


def test_examples_of_titles_that_nobody_would_say_are_sentences_or_phrases(make_collection):
    texts = {name: f"Where {name} comes from. {words} {words}" for name, words in WORDS.items()}
    code = make_collection(
        [(str(n), f"pkg.{name}(x={n})", texts[name], name, 2000) for n in range(8) for name in WORDS], "code"
    )
    build_topics(Searcher(code), method="kmeans", count=3)
    opened = session.open_collection(code.path)
    assert sorted(example_queries(opened)) == sorted(f"Where {name} comes from" for name in WORDS)
    evil = make_collection(
        [(str(n), EVIL, f"{words} {words}", "t", 2000) for n in range(8) for words in WORDS.values()], "evil"
    )
    run = build_topics(Searcher(evil), method="kmeans", count=3)
    phrases = {phrase for topic in run.topics for phrase, _ in topic.keyphrases}
    queries = example_queries(session.open_collection(evil.path))
    assert len(queries) == 3 and set(" ".join(queries).split()) <= set(" ".join(phrases).split())


@pytest.mark.parametrize(
    ("text", "can_be_asked"),
    [
        ("Survey on Evaluation of LLM-based Agents", True),
        ("Are General-Purpose Vision Models All We Need?", True),
        ("Bread, flour and the baker's oven", True),
        ("\u00dcber die L\u00e4nge der W\u00f6rter", True),
        ("two words", False),
        ("numpy.mean(a, axis=None)", False),
        ("the -excluded word", False),
        ('an "exact" phrase here', False),
        ("this OR that one", False),
        ("ALL OF IT LOUD", False),
        ("snake_case is for code", False),
        ("ends in a comma,", False),
        ("one  two  three", False),
        ("word " * 10 + "word", False),
        ("a b " + "c" * 60, False),
        (EVIL, False),
        ("", False),
    ],
)
def test_what_reads_like_a_question(text, can_be_asked):
    assert is_sayable(text) is can_be_asked
