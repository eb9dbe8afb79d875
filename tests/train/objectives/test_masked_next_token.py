import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from encoder.errors import ShapeError
from train.objectives.head import LinearHead
from train.objectives.masked_next_token import draw_mask, masked_next_token_loss

_B, _T, _D, _V = 4, 12, 8, 19


def _case(seed=0):
    """States, tokens, which are masked (none in the last text), and a head."""
    random = torch.Generator().manual_seed(seed)
    states = torch.randn((_B, _T, _D), generator=random).requires_grad_()
    ids = torch.randint(0, _V, (_B, _T), generator=random)
    mask = torch.rand((_B, _T), generator=random) < 0.4
    mask[:, 0], mask[:-1, 1], mask[-1] = False, True, False
    linear = nn.Linear(_D, _V).requires_grad_(False)
    linear.weight.copy_(torch.randn((_V, _D), generator=random))
    return states, ids, mask, LinearHead(linear)


def _brute_force(states, ids, mask, head):
    """The formula, a token at a time, in float64."""
    weight, bias = head.layer.weight.double(), head.layer.bias.double()
    texts = []
    for text in range(len(ids)):
        losses = []
        for place in range(1, ids.shape[1]):
            if mask[text, place]:
                logits = weight @ states[text, place - 1].double() + bias
                losses.append(logits.logsumexp(dim=0) - logits[ids[text, place]])
        if losses:
            texts.append(sum(losses) / len(losses))
    return sum(texts) / len(texts)


def _gradient(loss, states):
    return torch.autograd.grad(loss, states)[0]


def _assert_near(found, expected, relative=1e-5):
    assert (found - expected).norm() <= relative * expected.norm()


@pytest.mark.parametrize("chunk_rows", [1, 5, 256])
def test_loss_and_gradient_are_those_of_the_formula(chunk_rows):
    states, ids, mask, head = _case()
    found = masked_next_token_loss(states, ids, mask, head, chunk_rows=chunk_rows)
    expected = _brute_force(states, ids, mask, head)
    _assert_near(found, expected)
    _assert_near(_gradient(found, states), _gradient(expected, states))


def test_each_masked_token_is_predicted_by_the_state_one_place_before():
    ids = torch.tensor([[3, 1, 4, 1, 5, 9]])
    # The state at t names the token at t + 1 and nothing else.
    following = torch.cat([ids[:, 1:], ids[:, :1]], dim=1)
    states = 40.0 * torch.nn.functional.one_hot(following, _V).float()
    mask = torch.tensor([[False, True, False, True, True, True]])
    loss = masked_next_token_loss(states, ids, mask, lambda rows: rows)
    assert loss < 1e-6
    wrong = masked_next_token_loss(states.roll(1, dims=1), ids, mask, lambda rows: rows)
    assert wrong > 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), chunk_rows=st.integers(1, 40))
def test_the_size_of_a_chunk_changes_neither_loss_nor_gradient(seed, chunk_rows):
    states, ids, mask, head = _case(seed)
    loss = [masked_next_token_loss(states, ids, mask, head, chunk_rows=size) for size in (chunk_rows, 1000)]
    _assert_near(loss[0], loss[1], 1e-6)
    _assert_near(*(_gradient(each, states) for each in loss), 1e-6)


def test_every_text_has_the_same_weight():
    states, ids, mask, head = _case()
    found = masked_next_token_loss(states, ids, mask, head)
    alone = [
        masked_next_token_loss(states[row : row + 1], ids[row : row + 1], mask[row : row + 1], head)
        for row in range(_B - 1)
    ]
    assert len(set(mask.sum(dim=1).tolist())) > 2  # else a mean over tokens would do as well
    _assert_near(found, torch.stack(alone).mean(), 1e-6)


def test_without_any_masked_token_the_loss_is_zero_and_has_a_gradient():
    states, ids, mask, head = _case()
    found = masked_next_token_loss(states, ids, mask & False, head)
    assert found == 0
    assert not _gradient(found, states).any()


def test_a_masked_first_token_is_refused():
    states, ids, mask, head = _case()
    mask[0, 0] = True
    with pytest.raises(
        ShapeError, match="the first token of a text is masked, and no state stands before it"
    ):
        masked_next_token_loss(states, ids, mask, head)


@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=5),
    share=st.floats(0.01, 0.9),
    seed=st.integers(0, 10**6),
)
def test_a_mask_takes_its_share_of_each_text_and_nothing_else(lengths, share, seed):
    may_mask = torch.arange(30) < torch.tensor(lengths)[:, None]
    mask = draw_mask(may_mask, share, torch.Generator().manual_seed(seed))
    assert not (mask & ~may_mask).any()
    for length, count in zip(lengths, mask.sum(dim=1).tolist(), strict=True):
        assert abs(count - share * length) <= 0.5 + 1e-5 or count == min(length, 1)


def test_every_token_is_masked_equally_often():
    may_mask = (torch.arange(10) < 8).expand(4000, 10)
    often = draw_mask(may_mask, 0.25, torch.Generator().manual_seed(0)).float().mean(dim=0)
    assert torch.allclose(often[:8], torch.tensor(0.25), atol=0.03)  # four standard deviations


def test_a_mask_can_be_drawn_again():
    may_mask = torch.ones(3, 40, dtype=torch.bool)

    def seeded():
        return torch.Generator().manual_seed(7)

    assert torch.equal(draw_mask(may_mask, 0.2, seeded()), draw_mask(may_mask, 0.2, seeded()))


def test_without_a_generator_masks_follow_the_global_random_numbers():
    may_mask = torch.ones(3, 40, dtype=torch.bool)
    state = torch.get_rng_state()
    first = draw_mask(may_mask, 0.2)
    second = draw_mask(may_mask, 0.2)
    torch.set_rng_state(state)
    assert torch.equal(draw_mask(may_mask, 0.2), first)
    assert not torch.equal(first, second)
