"""Stage A: the table and its loss."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from train.distillation.lessons import Lessons
from train.distillation.teacher import Teacher
from train.distillation.token_table import fit_table, main_directions, mean_vectors, start_table, table_loss


def _lessons(table, texts=400):
    """Texts whose targets are the unit means of a hidden table's rows."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 9, texts)
    ids = generator.integers(0, len(table), lengths.sum()).astype(np.int32)
    start = np.concatenate([[0], np.cumsum(lengths)])
    means = np.stack([table[ids[a:b]].mean(0) for a, b in zip(start, start[1:], strict=False)])
    targets = means / np.linalg.norm(means, axis=1, keepdims=True)
    return Lessons(ids, start, targets.astype(np.float16), np.zeros(texts, bool))


@pytest.fixture
def hidden_table():
    return np.random.default_rng(1).standard_normal((30, 8)).astype(np.float32)


def test_mean_vectors_are_unit_means(hidden_table):
    lessons = _lessons(hidden_table)
    found = mean_vectors(torch.from_numpy(hidden_table), lessons, np.array([3, 0, 77]))
    assert np.allclose(found, lessons.targets[[3, 0, 77]].astype(np.float32), atol=2e-3)


def test_fitting_finds_the_hidden_table(hidden_table):
    lessons = _lessons(hidden_table)
    start = torch.from_numpy(np.random.default_rng(2).standard_normal((30, 8)).astype(np.float32))
    before = start.clone()
    fitted = fit_table(start, lessons, steps=150, batch_texts=128, learning_rate=0.2, seed=0)
    everything = np.arange(len(lessons))
    cosine = (mean_vectors(fitted, lessons, everything).numpy() * lessons.targets).sum(1).mean()
    assert cosine > 0.98
    assert torch.equal(start, before)


def test_the_loss_is_zero_for_the_target_and_positive_elsewhere():
    torch.manual_seed(0)
    target, other = (normalize(torch.randn(6, 4), dim=-1) for _ in range(2))
    assert table_loss(target, target) < 1e-5
    assert table_loss(other, target) > 1.0


def test_the_loss_is_its_formula():
    torch.manual_seed(1)
    target, other = (normalize(torch.randn(5, 4), dim=-1).double() for _ in range(2))
    relation = 0.0
    for row in range(5):
        rest = [column for column in range(5) if column != row]
        p, q = (torch.softmax(rows[rest] @ rows[row] / 0.05, 0) for rows in (target, other))
        relation += float((p * (p.log() - q.log())).sum()) / 5
    expected = 5 * float((1 - (target * other).sum(1)).mean()) + relation
    assert abs(float(table_loss(other, target)) - expected) < 1e-5


def test_main_directions_keep_what_lies_in_few():
    generator = np.random.default_rng(0)
    plane = np.linalg.qr(generator.standard_normal((10, 3)))[0]
    rows = generator.standard_normal((200, 3)) @ plane.T
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    directions = main_directions(rows.astype(np.float16), 3).numpy()
    assert np.allclose(directions.T @ directions, np.eye(3), atol=1e-5)
    assert np.allclose(np.linalg.norm(rows @ directions, axis=1), 1, atol=1e-2)


def test_frequent_tokens_start_short(teacher_directory):
    teacher = Teacher(teacher_directory, max_tokens=8, dtype=torch.float32)
    ids = np.array([40] * 98 + [41, 42], np.int32)
    lessons = Lessons(ids, np.array([0, 100]), np.ones((1, 32), np.float16), np.array([False]))
    lengths = start_table(teacher, lessons, np.arange(len(teacher.tokenizer))).norm(dim=1)
    assert lengths[43] == pytest.approx(1.0, abs=1e-5)
    assert lengths[41] == pytest.approx(1e-3 / (1e-3 + 0.01), rel=1e-3)
    assert lengths[40] == pytest.approx(1e-3 / (1e-3 + 0.98), rel=1e-3)


def test_a_smaller_vocabulary_starts_with_the_vectors_of_its_tokens(teacher_directory):
    teacher = Teacher(teacher_directory, max_tokens=8, dtype=torch.float32)
    lessons = Lessons(
        np.zeros(9, np.int32), np.array([0, 9]), np.ones((1, 32), np.float16), np.array([False])
    )
    whole, some = (start_table(teacher, lessons, tokens) for tokens in (np.arange(60), np.array([0, 43, 50])))
    assert torch.allclose(some[1:], whole[[43, 50]], atol=1e-6)
