"""Before and after a transformation, against slow counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import ShapeError, UsageError
from encoder.spectrum import diagnose
from encoder.spectrum.transforms import fit_transform, parse_steps
from encoder.spectrum.what_if import KnownPairs, counted_share, gain_of, known_item_ranks, mean_share, what_if


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def crowded(n=120, width=8, seed=0):
    random = np.random.default_rng(seed)
    return unit(random.standard_normal((n, width)) + np.linspace(2, 4, width)).astype(np.float32)


def pairs_of(n=60, width=8, noise=0.6):
    """Documents in a crowd, and queries near theirs that the crowd's mean direction hides."""
    random = np.random.default_rng(1)
    documents = random.standard_normal((n, width))
    queries = documents + noise * random.standard_normal((n, width))
    mean = np.linspace(3, 6, width)
    return KnownPairs(unit(queries + 2 * mean), unit(documents + mean), np.arange(n))


def test_the_first_line_is_the_space_as_it_is():
    sample = crowded()
    (now,) = what_if(sample, [])
    assert (now.spec, now.dimension, now.overlap.value, now.recall_at_1) == ("none", 8, 1.0, None)
    assert now.diagnosis.effective_rank == pytest.approx(diagnose(sample).effective_rank)
    assert [line.spec for line in what_if(sample, ["none", "whiten", "cut:3"])] == ["none", "whiten", "cut:3"]


def test_overlap_is_the_share_of_neighbours_kept():
    sample = crowded()
    _, line = what_if(sample, ["centre+pca:3"], k=5)
    after = fit_transform(sample, parse_steps("centre+pca:3")).apply(sample)

    def nearest(rows, at):
        return [i for i in np.argsort(-(rows @ rows[at])) if i != at][:5]

    by_hand = [len(set(nearest(sample, at)) & set(nearest(after, at))) / 5 for at in range(len(sample))]
    assert line.overlap.value == pytest.approx(np.mean(by_hand), abs=1e-9)
    assert line.overlap.queries == 120 and line.dimension == 3
    half = 1.96 * np.std(by_hand, ddof=1) / np.sqrt(120)
    assert (line.overlap.low, line.overlap.high) == pytest.approx(
        (np.mean(by_hand) - half, np.mean(by_hand) + half), abs=1e-4
    )


def test_a_rotation_keeps_every_neighbour():
    assert what_if(crowded(), ["pca:8"])[1].overlap.value == 1.0


def test_centring_helps_where_the_mean_hides_the_answer():
    pairs = pairs_of()
    now, centred = what_if(np.concatenate([pairs.queries, pairs.documents]), ["centre"], pairs=pairs)
    assert abs(centred.diagnosis.mean_cosine) < now.diagnosis.mean_cosine
    assert now.recall_at_1.low <= now.recall_at_1.value <= now.recall_at_1.high
    assert now.recall_at_1.value <= now.recall_at_10.value


def test_recall_is_counted_over_all_documents():
    pairs = pairs_of()
    now, line = what_if(pairs.documents, ["centre+drop:1"], pairs=pairs)
    transform = fit_transform(pairs.documents, parse_steps("centre+drop:1"))
    for found, queries, documents in (
        (now, pairs.queries, pairs.documents),
        (line, transform.apply(pairs.queries), transform.apply(pairs.documents)),
    ):
        scores = queries @ documents.T
        ranks = (scores > np.diag(scores)[:, None]).sum(axis=1) + 1
        assert found.recall_at_1.value == (ranks == 1).mean()
        assert found.recall_at_10.value == (ranks <= 10).mean()
        assert found.gain_at_1.value == pytest.approx(found.recall_at_1.value - now.recall_at_1.value)
        assert found.gain_at_10.value == pytest.approx(found.recall_at_10.value - now.recall_at_10.value)


def test_a_gain_is_as_sure_as_its_queries_are_many():
    pairs = pairs_of()
    now, _ = what_if(pairs.documents, ["centre"], pairs=pairs)
    assert now.gain_at_1.value == 0 and now.gain_at_1.high == -now.gain_at_1.low > 0
    many = pairs_of(600)
    assert what_if(many.documents, [], pairs=many)[0].gain_at_1.high < now.gain_at_1.high


def test_an_interval_of_a_gain_holds_the_gain_of_all_queries():
    """Of intervals from samples of 100 of 4,000 queries 95 % should; 370 of 400 is 2.5 standard errors below."""
    pairs = pairs_of(4000, noise=0.9)
    whole = what_if(pairs.documents, ["drop:1"], pairs=pairs)[1].gain_at_10
    random, held = np.random.default_rng(0), 0
    before = known_item_ranks(pairs)
    after = known_item_ranks(pairs, fit_transform(pairs.documents, parse_steps("drop:1")))
    for _ in range(400):
        some = random.choice(4000, 100, replace=False)
        found = gain_of(before[some], after[some], 10)
        held += found.low <= whole.value <= found.high
    assert held >= 370


def test_equal_documents_are_no_luck():
    documents = np.repeat(np.eye(1, 4), 3, axis=0)
    assert known_item_ranks(KnownPairs(np.eye(1, 4), documents, np.array([0]))).tolist() == [3]


def test_the_length_of_a_row_does_not_matter():
    sample = crowded()
    scaled = sample * np.linspace(0.1, 9, len(sample))[:, None]
    dirty = np.concatenate([scaled, np.zeros((1, 8)), np.full((1, 8), np.inf)])
    one, other = what_if(sample, ["centre"]), what_if(dirty, ["centre"])
    assert one[1].overlap.value == pytest.approx(other[1].overlap.value, abs=0.01)
    assert other[1].diagnosis.n == 120


def test_of_many_rows_some_are_asked():
    first, again = (what_if(crowded(1500), ["cut:2"], seed=3)[1].overlap for _ in range(2))
    assert first == again and first.queries == 1000


def test_few_rows_have_few_neighbours():
    assert what_if(crowded(3), ["centre"])[1].overlap.value == 1.0


@given(st.integers(1, 500), st.floats(0, 1))
def test_intervals_hold_their_value(n, share):
    is_hit = np.arange(n) < round(share * n)
    for found in (counted_share(is_hit), mean_share(is_hit.astype(float))):
        assert 0 <= found.low <= found.value + 1e-12 and found.value <= found.high + 1e-12 <= 1 + 1e-11
        assert found.value == pytest.approx(is_hit.mean()) and found.queries == n


def test_wilsons_interval_is_that_of_the_textbook():
    found = counted_share(np.arange(10) < 1)
    assert (found.low, found.high) == pytest.approx((0.0179, 0.4042), abs=1e-4)


@pytest.mark.parametrize(
    "pairs",
    [
        KnownPairs(np.zeros((2, 8)), np.zeros((3, 7)), np.array([0, 1])),
        KnownPairs(np.zeros((2, 4)), np.zeros((3, 4)), np.array([0, 1])),
        KnownPairs(np.zeros((2, 8)), np.zeros((3, 8)), np.array([0])),
        KnownPairs(np.zeros((2, 8)), np.zeros((3, 8)), np.array([0, 3])),
        KnownPairs(np.zeros((2, 8)), np.zeros((3, 8)), np.array([0, -1])),
        KnownPairs(np.zeros((2, 8)), np.zeros((3, 8)), np.array([0.0, 1.0])),
        KnownPairs(np.zeros((0, 8)), np.zeros((3, 8)), np.zeros(0, int)),
    ],
)
def test_pairs_that_do_not_fit_are_refused(pairs):
    with pytest.raises(ShapeError, match="do not fit together"):
        what_if(crowded(), [], pairs=pairs)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ShapeError, match="the sample has 1 rows with a direction"):
        what_if(np.eye(3)[:1], ["centre"])
    with pytest.raises(UsageError, match="k is 0"):
        what_if(crowded(), [], k=0)
    with pytest.raises(UsageError, match="not understood"):
        what_if(crowded(), ["better"])
    with pytest.raises(UsageError, match="more than the 8 numbers"):
        what_if(crowded(), ["cut:9"])
