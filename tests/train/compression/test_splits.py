import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import InputError
from train.compression.splits import draw_splits, least_tokens
from train.settings import Compression

_SETTINGS = st.builds(
    Compression,
    splits=st.integers(1, 8),
    shortest_context=st.integers(1, 12),
    shortest_continuation=st.integers(1, 12),
)


@given(settings=_SETTINGS, spare=st.integers(0, 300), seed=st.integers(0, 99))
def test_context_and_continuation_are_long_enough(settings, spare, seed):
    length = least_tokens(settings) + spare
    splits = draw_splits(length, settings, np.random.default_rng(seed))
    assert splits.shape == (settings.splits,)
    assert splits.dtype == np.int64
    assert (splits >= settings.shortest_context).all()
    assert (length - splits >= settings.shortest_continuation).all()


@given(settings=_SETTINGS, spare=st.integers(7, 300), seed=st.integers(0, 99))
def test_the_splits_of_a_text_differ_and_rise(settings, spare, seed):
    splits = draw_splits(least_tokens(settings) + spare, settings, np.random.default_rng(seed))
    assert (np.diff(splits) > 0).all()


def test_each_part_of_the_text_gets_one_split():
    settings = Compression(splits=4, shortest_context=10, shortest_continuation=10)
    drawn = np.stack([draw_splits(119, settings, np.random.default_rng(seed)) for seed in range(400)])
    # Contexts of 10 to 109 tokens: a hundred places in four parts.
    assert drawn.min(axis=0).tolist() == [10, 35, 60, 85]
    assert drawn.max(axis=0).tolist() == [34, 59, 84, 109]


def test_the_random_numbers_decide():
    draws = [draw_splits(500, Compression(), np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_a_text_that_cannot_be_split_is_refused():
    with pytest.raises(InputError, match="text of 19 tokens cannot be split") as caught:
        draw_splits(19, Compression(), np.random.default_rng(0))
    assert "less than 20 tokens" in caught.value.fix
