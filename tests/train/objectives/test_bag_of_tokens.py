import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from train.objectives.bag_of_tokens import bag_of_tokens_loss
from train.objectives.head import LinearHead

_B, _M, _T, _D, _V = 5, 3, 9, 8, 23


def _case(seed=0, texts=_B):
    """Memory states, targets, which of them count, and the table of a head."""
    random = torch.Generator().manual_seed(seed)
    memory = torch.randn((texts, _M, _D), generator=random)
    target = torch.randint(0, _V, (texts, _T), generator=random)
    wanted = torch.rand((texts, _T), generator=random) < 0.6
    wanted[:, 0] = True
    return memory, target, wanted, torch.randn((_V, _D), generator=random)


def _brute_force(memory, target, wanted, table):
    """The formula, a text and a token at a time, in float64."""
    losses = []
    for states, ids, counts in zip(memory.double(), target.tolist(), wanted.tolist(), strict=True):
        named = {token for token, is_wanted in zip(ids, counts, strict=True) if is_wanted}
        if not named:
            continue
        logits = [torch.stack([state @ row for state in states]).max() for row in table.double()]
        log_probability = torch.log_softmax(torch.stack(logits), dim=0)
        losses.append(-sum(log_probability[token] for token in named) / len(named) / 10)
    return sum(losses) / len(losses)


def _gradient(loss, memory):
    return torch.autograd.grad(loss, memory, retain_graph=True)[0]


def _assert_near(found, expected, relative=1e-5):
    assert (found - expected).norm() <= relative * expected.norm()


@pytest.mark.parametrize("chunk_rows", [1, 7, 256])
def test_loss_and_gradient_are_those_of_the_formula(chunk_rows):
    memory, target, wanted, table = _case()
    wanted[2] = False  # a text without any token that counts
    memory.requires_grad_()
    expected = _brute_force(memory, target, wanted, table)
    linear = nn.Linear(_D, _V, bias=False).requires_grad_(False)
    linear.weight.copy_(table)
    for head in (LinearHead(linear), lambda rows: rows @ table.T):
        found = bag_of_tokens_loss(memory, target, wanted, head, chunk_rows=chunk_rows)
        _assert_near(found, expected)
        _assert_near(_gradient(found, memory), _gradient(expected, memory))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), chunk_rows=st.integers(1, 40))
def test_the_size_of_a_chunk_changes_neither_loss_nor_gradient(seed, chunk_rows):
    memory, target, wanted, table = _case(seed)
    memory.requires_grad_()
    loss = [
        bag_of_tokens_loss(memory, target, wanted, lambda rows: rows @ table.T, chunk_rows=size)
        for size in (chunk_rows, 1000)
    ]
    _assert_near(loss[0], loss[1], 1e-6)
    _assert_near(*(_gradient(each, memory) for each in loss), 1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.permutations(range(_T)), slots=st.permutations(range(_M)))
def test_the_order_of_tokens_and_of_memory_tokens_does_not_matter(seed, order, slots):
    memory, target, wanted, table = _case(seed)
    found = bag_of_tokens_loss(
        memory[:, slots], target[:, order], wanted[:, order], lambda rows: rows @ table.T
    )
    _assert_near(found, bag_of_tokens_loss(memory, target, wanted, lambda rows: rows @ table.T), 1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_how_often_a_token_occurs_does_not_matter(seed):
    memory, target, wanted, table = _case(seed)
    twice = [torch.cat([part, part], dim=1) for part in (target, wanted)]
    found = bag_of_tokens_loss(memory, *twice, lambda rows: rows @ table.T)
    _assert_near(found, bag_of_tokens_loss(memory, target, wanted, lambda rows: rows @ table.T), 1e-6)


def test_a_token_that_does_not_count_may_be_anything():
    memory, target, wanted, table = _case()
    changed = torch.where(wanted, target, (target + 1) % _V)
    found = bag_of_tokens_loss(memory, changed, wanted, lambda rows: rows @ table.T)
    assert found == bag_of_tokens_loss(memory, target, wanted, lambda rows: rows @ table.T)


def test_a_model_that_knows_nothing_pays_the_logarithm_of_the_vocabulary():
    memory, target, wanted, table = _case()
    found = bag_of_tokens_loss(memory * 0, target, wanted, lambda rows: rows @ table.T)
    assert found.item() == pytest.approx(torch.tensor(float(_V)).log().item() / 10)


def test_without_any_token_that_counts_the_loss_is_zero():
    memory, target, wanted, table = _case()
    memory.requires_grad_()
    found = bag_of_tokens_loss(memory, target, wanted & False, lambda rows: rows @ table.T)
    assert found == 0
    assert not _gradient(found, memory).any()


def test_ids_that_a_model_never_says_do_no_harm():
    # Places that do not count stand for id 0 inside: infinity times nought must not come out of them.
    memory, target, wanted, table = _case()
    memory.requires_grad_()
    unused = torch.zeros(_V).index_fill(0, torch.tensor([0]), -torch.inf)
    target = target.clamp_min(1)
    found = bag_of_tokens_loss(memory, target, wanted, lambda rows: rows @ table.T + unused)
    assert found.isfinite()
    assert _gradient(found, memory).isfinite().all()


def test_logits_exist_for_few_memory_states_and_are_not_kept():
    memory, target, wanted, table = _case(texts=16)
    memory.requires_grad_()
    made = []

    def head(rows):
        logits = rows @ table.T
        made.append((len(rows), weakref.ref(logits)))
        return logits

    loss = bag_of_tokens_loss(memory, target, wanted, head, chunk_rows=7)
    assert loss.requires_grad
    assert [rows for rows, _ in made] == [6] * 8  # two texts of three memory tokens
    assert [reference() for _, reference in made] == [None] * 8


def test_bfloat16_states_give_nearly_the_same_loss():
    memory, target, wanted, table = _case()
    exact = bag_of_tokens_loss(memory, target, wanted, lambda rows: rows @ table.T)
    coarse = table.bfloat16()
    found = bag_of_tokens_loss(memory.bfloat16(), target, wanted, lambda rows: rows @ coarse.T)
    assert found.dtype == torch.float32
    _assert_near(found, exact, 2e-2)
