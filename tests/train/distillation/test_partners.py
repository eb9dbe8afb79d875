"""Pairs beside the lessons: the loss against a plain one, the split, and a whole recipe."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import InputError
from train.distillation.lessons import Lessons
from train.distillation.partners import Partners, found_first, members, split_pairs
from train.distillation.recipe import PairsConfig

_CONFIG = PairsConfig(most=40, held_out=0, temperature=0.1, candidates=12, near=0.9)


def _unit(rows, width, seed):
    vectors = np.random.default_rng(seed).standard_normal((rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _partners(pairs=20, config=_CONFIG, seed=0):
    targets = _unit(2 * pairs, 8, seed).astype(np.float16)
    start = np.arange(2 * pairs + 1)
    lessons = Lessons(np.zeros(2 * pairs, np.int32), start, targets, np.zeros(2 * pairs, bool))
    return Partners(lessons, lessons, config)


def _plain_loss(partners, vectors, numbers, drawn):
    """Written out in float64; `drawn` names the pairs among which anchors (0) and positives (1) look."""
    targets, config = partners.lessons.targets.astype(np.float64), partners.config
    losses = []
    for vector, number in zip(vectors.astype(np.float64), numbers, strict=True):
        own = targets[number + 1 if number % 2 == 0 else number - 1]
        others = [targets[2 * pair + (1 - number % 2)] for pair in drawn[number % 2]]
        kept = [other for other in others if own @ other <= config.near]
        logits = np.array([vector @ own] + [vector @ other for other in kept]) / config.temperature
        losses.append(np.log(np.exp(logits).sum()) - logits[0])
    return np.mean(losses)


def test_the_loss_is_that_of_the_formula():
    every = replace(_CONFIG, candidates=99)  # all pairs are drawn, so the draw is known
    partners = _partners(config=every)
    numbers = np.array([0, 3, 8, 9, 39, 22])
    vectors = _unit(6, 8, seed=1)
    found = partners.loss(torch.from_numpy(vectors), numbers, step=3)
    expected = _plain_loss(partners, vectors, numbers, {0: range(20), 1: range(20)})
    assert float(found) == pytest.approx(expected, rel=1e-3)  # targets are kept in float16


def test_texts_near_the_partner_are_no_candidates():
    partners = _partners(config=replace(_CONFIG, candidates=99))
    twins = partners.lessons.targets.copy()
    twins[1::2] = twins[1]  # all anchors have one and the same positive: nothing is left to tell apart
    alone = replace(partners, lessons=replace(partners.lessons, targets=twins))
    vectors = torch.from_numpy(_unit(3, 8, seed=1))
    assert float(alone.loss(vectors, np.array([0, 2, 4]), step=0)) == pytest.approx(0, abs=1e-6)
    kept = replace(alone, config=replace(alone.config, near=1.1))
    assert float(kept.loss(vectors, np.array([0, 2, 4]), step=0)) == pytest.approx(np.log(21), abs=1e-3)


def test_the_gradient_leads_to_the_partner():
    partners = _partners()
    vectors = torch.from_numpy(_unit(40, 8, seed=2)).requires_grad_()
    numbers = np.arange(40)
    for step in range(200):
        unit = torch.nn.functional.normalize(vectors, dim=-1)
        (gradient,) = torch.autograd.grad(partners.loss(unit, numbers, step), vectors)
        vectors = (vectors - 1.0 * gradient).detach().requires_grad_()
    unit = torch.nn.functional.normalize(vectors, dim=-1).detach().numpy()
    cosine = unit @ partners.lessons.targets.astype(np.float32).T
    same_side = numbers[:, None] % 2 == numbers[None] % 2
    assert (np.where(same_side, -2, cosine).argmax(axis=1) == numbers ^ 1).mean() > 0.95


def test_the_draw_changes_with_the_step_and_not_otherwise():
    partners = _partners(200)
    vectors, numbers = torch.from_numpy(_unit(6, 8, seed=1)), np.arange(6)
    losses = [float(partners.loss(vectors, numbers, step)) for step in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


_TEXT = st.text(alphabet="ab !", max_size=3)


@given(
    st.lists(st.tuples(_TEXT, _TEXT), max_size=40), st.integers(0, 10), st.integers(1, 30), st.integers(0, 3)
)
def test_no_text_of_a_held_out_pair_is_learnt_from(pairs, held_out, most, seed):
    config = PairsConfig(most=most, held_out=held_out, seed=seed)
    try:
        learnt, unseen = split_pairs(pairs, config)
    except InputError as error:
        assert str(held_out) in str(error)
        return
    assert 1 <= len(learnt) <= most
    assert len(unseen) <= held_out
    assert set(learnt) | set(unseen) <= set(pairs)
    assert {text for pair in learnt for text in pair}.isdisjoint(text for pair in unseen for text in pair)
    assert all(any(map(str.isalnum, text)) for pair in learnt + unseen for text in pair)
    more, _ = split_pairs(pairs, replace(config, most=most + 5))
    assert more[: len(learnt)] == learnt  # so that vectors made for fewer pairs are kept


def test_members_stand_in_turn():
    material = members([("short", "x" * 301), ("a", "b")])
    assert material.texts == ["short", "x" * 301, "a", "b"]
    assert material.is_long == [False, True, False, False]


def test_found_first_counts_anchors_whose_positive_is_nearest():
    right, wrong = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]], np.eye(4, dtype=np.float32)[[0, 1, 1, 0]]
    assert found_first(right) == 1.0
    assert found_first(wrong) == 0.0
