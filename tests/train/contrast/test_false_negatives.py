"""Which candidates are no negatives."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.train.contrast.oracle import tiny_model
from train.contrast.false_negatives import Exclusion, text_keys

_TOKENS = st.lists(st.integers(0, 150_000), max_size=12)


def _padded(rows, gaps, width):
    ids = torch.full((len(rows), width), 7)
    mask = torch.zeros(len(rows), width, dtype=torch.int64)
    for number, row in enumerate(rows):
        places = sorted(gaps.sample(range(width), len(row)))
        ids[number, places] = torch.tensor(row, dtype=torch.int64)
        mask[number, places] = 1
    return {"input_ids": ids, "attention_mask": mask}


@given(rows=st.lists(_TOKENS, min_size=1, max_size=6), gaps=st.randoms(use_true_random=False))
def test_keys_are_equal_exactly_for_equal_tokens(rows, gaps):
    first, second = (text_keys(_padded(rows, gaps, width)) for width in (12, 20))
    assert torch.equal(first, second)
    assert len(set(first.tolist())) == len({tuple(row) for row in rows})


def test_the_order_of_tokens_counts():
    rows = [[1, 2, 3], [3, 2, 1], [2, 1, 3], [1, 2], [2, 1], [0, 0], [0], []]
    ids = torch.zeros(len(rows), 3, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)], mask[number, : len(row)] = torch.tensor(row, dtype=torch.int64), 1
    assert len(set(text_keys({"input_ids": ids, "attention_mask": mask}).tolist())) == len(rows)


@pytest.mark.parametrize("tokens", [2, 8])
def test_many_texts_have_as_many_keys(tokens):
    ids = torch.randint(0, 300, (200_000, tokens), generator=torch.Generator().manual_seed(0)).unique(dim=0)
    keys = text_keys({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    assert len(keys.unique()) == len(ids)


def test_texts_alike_in_what_the_model_reads_have_one_key():
    model = tiny_model()
    words = "the quick brown fox jumps over a lazy dog " * 9
    keys = text_keys(model[0].preprocess([words + "wizards", words + "books", "books"]))
    assert keys[0] == keys[1] != keys[2]


def _exclusion(**changes):
    """Two rows of this device among three of all, and three hard negatives."""
    given = {
        "row_B": torch.tensor([11, 12]),
        "target_B": torch.tensor([21, 22]),
        "place_B": torch.tensor([0, 1]),
        "candidate_N": torch.tensor([21, 22, 23, 31, 32, 33]),
        "partner_A": torch.tensor([11, 12, 13]),
    }
    return Exclusion(**(given | changes))


def _left_out(exclusion):
    return exclusion.left_out(0, 2).int().tolist()


def test_different_texts_are_all_candidates():
    assert _left_out(_exclusion()) == [[0] * 6, [0] * 6]


def test_the_positive_once_more_is_left_out():
    found = _left_out(_exclusion(candidate_N=torch.tensor([21, 22, 21, 31, 21, 33])))
    assert found == [[0, 0, 1, 0, 1, 0], [0] * 6]


def test_the_query_itself_is_left_out():
    assert _left_out(_exclusion(candidate_N=torch.tensor([21, 22, 23, 12, 32, 33])))[1] == [0, 0, 0, 1, 0, 0]


def test_the_positive_of_the_same_query_is_left_out_and_not_its_hard_negative():
    assert _left_out(_exclusion(partner_A=torch.tensor([11, 12, 11])))[0] == [0, 0, 1, 0, 0, 0]


def test_a_guide_leaves_out_what_it_finds_as_near_as_the_positive():
    near = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.96, 0.28], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]])
    guided = _exclusion(guide_BG=near[[0, 3]], guide_NG=near, margin=0.1)
    assert _left_out(guided)[0] == [0, 0, 1, 0, 0, 0]
    assert _left_out(guided)[1] == [0, 0, 0, 1, 1, 0]
