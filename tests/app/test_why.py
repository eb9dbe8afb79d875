"""Reasons in sentences: the figures in them are those of the explanation, and add up."""

import numpy as np
import pytest

from app.why import fusion_rule, sentences, share_sentence
from encoder.spectrum.slots import slot_shares
from indexer.search import RowQuery, Searcher


@pytest.fixture
def searcher(roads, word_embedder):
    return Searcher(roads, word_embedder)


def explained(searcher, query, **how):
    result = searcher.search(query, **how)
    return result, [(hit, searcher.explain(result, hit, query)) for hit in result.hits]


def test_the_arithmetic_comes_to_the_score(searcher):
    _, found = explained(searcher, "a river carries sand")
    for hit, reasons in found:
        rule = fusion_rule(reasons).replace("×", "*").replace("−", "-")
        assert eval(rule) == pytest.approx(hit.score, abs=0.01)
        assert f"its score of {hit.score:.3f}" in " ".join(sentences(hit, reasons))


@pytest.mark.parametrize("query", ["zzzqqq", "river"])
def test_the_arithmetic_holds_where_all_are_equal_and_where_no_word_occurs(
    make_collection, word_embedder, query
):
    searcher = Searcher(make_collection([("1", "T", "A river.", "t", 1)], name="one"), word_embedder)
    _, found = explained(searcher, query)
    for hit, reasons in found:
        rule = fusion_rule(reasons).replace("×", "*").replace("−", "-")
        assert eval(rule) == pytest.approx(hit.score, abs=0.01)


def test_a_hit_without_the_words_says_so(searcher):
    _, found = explained(searcher, "tolls")
    said = {hit.title: " ".join(sentences(hit, reasons)) for hit, reasons in found}
    assert "By words it was not found" in said["Rivers"]
    assert "“tolls”" in said["Who pays for roads"]


def test_by_meaning_alone_nothing_is_said_of_words(searcher):
    query = RowQuery(searcher.search("river", 1).hits[0].id)
    result = searcher.search(query)
    for hit in result.hits:
        said = " ".join(sentences(hit, searcher.explain(result, hit, query)))
        assert "By meaning it is number" in said
        assert "By words" not in said
        assert "which are no hits" in said  # the passage itself is nearer than any hit


def test_shares_of_memory_tokens_are_put_into_one_sentence():
    memory = np.array([[3.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    shares = slot_shares(np.array([1.0, 0.0]), memory).tolist()
    assert share_sentence(shares) == (
        f"They add up to {sum(shares):.3f}; number 1 adds the most, 75%; equal shares would be 33% each."
    )
    assert share_sentence([0.0]) == "The memory tokens add up to 0.000."
