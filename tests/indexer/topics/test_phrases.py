"""Phrases, their counts, and the key phrases made of them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import CollectionError
from indexer.topics.keyphrases import (
    contrast,
    contrast_each,
    keyphrases_of,
    labels,
    topic_keyphrases,
    weights,
)
from indexer.topics.phrase_table import PhraseTable, count_phrases, read_phrases, write_phrases
from indexer.topics.phrases import (
    Words,
    fold,
    keys_of_words,
    starts_no_phrase,
    tokens,
    words_of_key,
)
from tests.indexer.topics.planted import VOCABULARIES, text

WORDS = st.lists(
    st.sampled_from(["graph", "graphs", "neural", "network", "the", "of", "19", "x", "bread,", "oven\n"]),
    max_size=12,
)


def slow_phrases(sentence, rule="english"):
    """The phrases of one text by plain loops."""
    lexicon = Words(rule)
    found, run = set(), []
    for token in [*tokens(sentence), "\n"]:
        numbers, _ = lexicon.number([token])
        if numbers[0] >= 0 and numbers.size == 2:
            run.append(fold(token, rule))
            continue
        for start in range(len(run)):
            if not starts_no_phrase(run[start]):
                found |= {" ".join(run[start:end]) for end in range(start + 1, min(len(run), start + 3) + 1)}
        run = []
    return found


@given(st.lists(WORDS, min_size=1, max_size=8))
def test_counts_are_those_of_plain_loops(sentences):
    texts = [" ".join(words) for words in sentences]
    expected = Counter(phrase for one in texts for phrase in slow_phrases(one))
    expected = {phrase: count for phrase, count in expected.items() if count >= 2}
    topics = np.arange(len(texts), dtype=np.int64) % 2
    table, counts = count_phrases(texts, topics, rule="english", n_topics=2)
    assert dict(zip(table.phrases, table.counts.tolist(), strict=True)) == expected
    assert np.array_equal(counts.sum(axis=0), table.counts)
    assert np.array_equal(table.count(texts), table.counts)
    for at, phrase in enumerate(table.phrases):
        assert counts[1, at] == sum(phrase in slow_phrases(one) for one in texts[1::2])


@given(st.lists(st.lists(st.integers(0, 2**20 - 3), min_size=1, max_size=3)))
def test_keys_give_their_words_back(phrases):
    words = np.array([word for phrase in phrases for word in phrase], np.int64)
    keys = keys_of_words(words, np.array([len(phrase) for phrase in phrases], np.int64))
    assert [words_of_key(key) for key in keys.tolist()] == phrases
    assert (keys >= 0).all()


def test_groups_counted_together_are_counted_as_each_alone():
    texts = [f"graph network number {n} of deep trees {'and old roots' * (n % 3)}" for n in range(30)]
    table, _ = count_phrases(texts, np.zeros(30, np.int64), rule="english", n_topics=1)
    groups = [texts[:7], [], texts[5:30:2], ["words that no text of the table holds"]]
    together = table.count_each(groups)
    assert all(np.array_equal(one, table.count(group)) for one, group in zip(together, groups, strict=True))
    assert together[0].sum() > 0 and contrast_each(groups, table) == [
        contrast(group, table) for group in groups
    ]


def test_phrases_stop_at_stop_words_punctuation_and_line_ends():
    assert slow_phrases("graph networks of deep trees, old roots\nnew") == {
        "graph", "graph network", "network", "deep", "deep tree", "tree", "old", "old root", "root", "new",
    }  # fmt: skip


def test_addresses_latex_and_numbers_are_no_phrases():
    table, _ = count_phrases(
        ["of https://github.com/some/code \\mathbb 2020 covid 19"] * 3,
        np.zeros(3, np.int64),
        rule="english",
        n_topics=1,
    )
    assert set(table.phrases) == {"covid", "covid 19"}


def test_phrases_are_shown_as_they_are_mostly_written():
    texts = ["many time series models", "one time series model", "time series models", "diffusion models"]
    table, _ = count_phrases(texts, np.zeros(4, np.int64), rule="english", n_topics=1)
    assert "time series models" in table.shown
    assert not any("sery" in shown for shown in table.shown)


def test_scripts_without_spaces_are_cut_into_pieces():
    texts = ["机器学习很有用", "机器学习的方法", "天气预报"]
    table, _ = count_phrases(texts, np.zeros(3, np.int64), rule="ngram2", n_topics=1)
    counted = dict(zip(table.phrases, table.counts.tolist(), strict=True))
    assert counted == {"机器": 2, "器学": 2, "学习": 2, "机器学": 2, "器学习": 2, "机器学习": 2}
    weight = np.array([len(phrase) for phrase in table.phrases], float)
    assert [phrase for phrase, _ in keyphrases_of(table.counts, weight, table)] == ["机器学习"]


def test_the_weight_is_c_tf_idf_times_the_lift():
    table = PhraseTable("plain", 100, ["bread", "rye bread"], ["bread", "rye bread"], np.array([20, 10]))
    found = weights(np.array([8, 1]), 10, table, mean_phrases=30.0)
    assert found[0] == pytest.approx(0.8 * np.log(1 + 30 / 20) * np.log(0.8 / 0.2))
    assert found[1] == 0  # once is chance


def test_a_word_that_is_as_frequent_elsewhere_says_nothing():
    table = PhraseTable("plain", 100, ["method"], ["method"], np.array([50]))
    assert weights(np.array([25]), 50, table, mean_phrases=30.0)[0] == 0


def test_planted_vocabularies_become_the_key_phrases():
    rng = np.random.default_rng(0)
    topics = np.repeat(np.arange(4), 40)
    texts = [text(i, topic, rng) for i, topic in enumerate(topics)]
    table, counts = count_phrases(texts, topics, rule="english", n_topics=4)
    found = topic_keyphrases(counts, np.bincount(topics), table)
    for topic, phrases in enumerate(found):
        words = {word for phrase, _ in phrases[:5] for word in phrase.split()}
        assert words == set(VOCABULARIES[topic].split())
        assert [weight for _, weight in phrases] == sorted((w for _, w in phrases), reverse=True)
    selected = contrast(texts[40:80], table)
    assert {phrase for phrase, _ in selected[:5]} <= set(VOCABULARIES[1].split())


def test_key_phrases_do_not_repeat_each_other():
    phrases = ["graph", "graph neural", "graph neural network", "graphical", "multi-graph", "tree"]
    table = PhraseTable("english", 100, phrases, phrases, np.full(6, 10))
    found = keyphrases_of(np.full(6, 10), np.array([6.0, 5, 4, 3, 2, 1]), table)
    assert [phrase for phrase, _ in found] == ["graph neural network", "tree"]


def test_labels_differ_between_topics():
    same = [("graph", 3.0), ("tree", 2.0), ("root", 1.0), ("leaf", 0.5)]
    assert labels([same, same, same, []]) == [
        "graph, tree, root",
        "graph, tree, leaf",
        "graph, tree, leaf (2)",
        "without a common phrase",
    ]


def test_contrast_of_nothing_is_nothing():
    table, _ = count_phrases([], np.zeros(0, np.int64), rule="english", n_topics=0)
    assert contrast([], table) == []
    assert contrast(["some text"], table) == []


def test_a_phrase_table_survives_a_round_trip(tmp_path):
    table, _ = count_phrases(["deep nets"] * 3, np.zeros(3, np.int64), rule="english", n_topics=1)
    write_phrases(tmp_path, table)
    again = read_phrases(tmp_path)
    assert (again.rule, again.passages, again.phrases, again.shown) == (
        "english",
        3,
        table.phrases,
        table.shown,
    )
    assert np.array_equal(again.counts, table.counts)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"counts": [3', '"counts": [9'),
        ('"deep"', '"a b c d"'),
        ('"counts": [3, ', '"counts": ['),
        ("{", "["),
    ],
)
def test_a_damaged_phrase_table_is_refused(tmp_path, old, new):
    table, _ = count_phrases(["deep nets"] * 3, np.zeros(3, np.int64), rule="english", n_topics=1)
    write_phrases(tmp_path, table)
    file = tmp_path / "phrases.json"
    content = file.read_text()
    assert old in content
    file.write_text(content.replace(old, new))
    with pytest.raises(CollectionError, match="phrases.json is damaged"):
        read_phrases(tmp_path)


def test_the_same_phrases_in_another_order_are_no_second_label():
    first = [("vision", 3.0), ("language", 2.0), ("model", 1.0)]
    second = [("model", 3.0), ("vision", 2.0), ("language", 1.0), ("caption", 0.5)]
    assert labels([first, second]) == ["vision, language, model", "model, vision, caption"]
    assert labels([first, second[:3]]) == ["vision, language, model", "model, vision, language (2)"]
