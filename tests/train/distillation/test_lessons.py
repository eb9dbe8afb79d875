"""Texts as ids, their batches, and their targets."""

from itertools import islice

import numpy as np
import pytest

from encoder.errors import InputError
from train.distillation.lessons import Lessons, batches, project, read_lessons, split_lessons


@pytest.fixture
def lessons():
    generator = np.random.default_rng(0)
    lengths = np.concatenate([generator.integers(1, 20, 300), generator.integers(60, 90, 40)])
    targets = generator.standard_normal((340, 6))
    return Lessons(
        np.arange(lengths.sum(), dtype=np.int32),
        np.concatenate([[0], np.cumsum(lengths)]),
        (targets / np.linalg.norm(targets, axis=1, keepdims=True)).astype(np.float16),
        np.arange(340) >= 300,
    )


def _stream(lessons, seed=0, long_share=0.3):
    return batches(lessons, budget_tokens=256, extra_tokens=4, long_share=long_share, seed=seed)


def test_rows_are_cut_to_the_shortest(lessons):
    rows = lessons.rows(np.array([5, 310, 7]))
    assert rows.shape == (3, lessons.lengths[[5, 310, 7]].min())
    assert rows[:, 0].tolist() == lessons.start[[5, 310, 7]].tolist()
    assert (np.diff(rows, axis=1) == 1).all()


def test_a_batch_keeps_to_its_budget_and_kind(lessons):
    for texts in islice(_stream(lessons), 200):
        shape = lessons.rows(texts).shape
        assert len(texts) == 1 or shape[0] * (shape[1] + 4) <= 256
        assert len(set(lessons.is_long[texts])) == 1


def test_an_epoch_holds_every_text_once(lessons):
    seen: list[int] = []
    for texts in _stream(lessons, long_share=0.0):
        seen.extend(texts)
        if len(seen) >= 300:
            break
    assert sorted(seen) == list(range(300))


def test_the_seed_decides_the_batches(lessons):
    first, again, other = (list(islice(_stream(lessons, seed), 50)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_share_of_the_batches_is_long(lessons):
    share = np.mean([lessons.is_long[texts[0]] for texts in islice(_stream(lessons), 2000)])
    assert abs(share - 0.3) < 0.04


def test_one_kind_alone_gives_batches_too(lessons):
    short, _ = split_lessons(lessons, 300)
    assert not short.is_long.any()
    assert all(len(texts) for texts in islice(_stream(short, long_share=0.5), 40))


def test_a_split_loses_nothing(lessons):
    first, rest = split_lessons(lessons, 25)
    assert np.array_equal(np.concatenate([first.ids, rest.ids]), lessons.ids)
    assert np.array_equal(rest.rows(np.array([0])), lessons.rows(np.array([25])))
    assert np.array_equal(rest.targets[0], lessons.targets[25])


@pytest.mark.parametrize("held_out", [0, 340, 341])
def test_a_split_that_leaves_a_side_empty_is_refused(lessons, held_out):
    with pytest.raises(InputError, match=f"Of 340 texts, {held_out} ") as caught:
        split_lessons(lessons, held_out)
    assert "1 to 339" in caught.value.fix


def test_missing_vectors_are_named_with_a_key_that_exists(tmp_path):
    with pytest.raises(InputError, match="no teacher vectors") as caught:
        read_lessons(tmp_path, None, texts=9, longest=9)
    assert "material.texts" in caught.value.fix
    assert "--" not in caught.value.fix


def test_projected_targets_are_unit_rows_with_their_main_part(lessons):
    directions = np.eye(6, 4, dtype=np.float32)
    narrow = project(lessons, directions).targets.astype(np.float32)
    assert np.allclose(np.linalg.norm(narrow, axis=1), 1, atol=2e-3)
    kept = lessons.targets[:, :4].astype(np.float32)
    assert np.allclose(narrow, kept / np.linalg.norm(kept, axis=1, keepdims=True), atol=2e-3)
