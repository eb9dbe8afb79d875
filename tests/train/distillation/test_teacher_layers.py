"""A student made of its teacher's layers computes nearly what the teacher computes, before any training."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from encoder.attention import bidirectional_states, check_bidirectional
from encoder.errors import ConfigError
from train.distillation.teacher import Teacher
from train.distillation.teacher_layers import student_of_teacher


@pytest.fixture
def teacher(teacher_directory):
    return Teacher(teacher_directory, max_tokens=64, dtype=torch.float32)


def _all_tokens(teacher):
    return np.arange(teacher.model.config.vocab_size)


def _student(teacher, kept=None, **shape):
    kept = _all_tokens(teacher) if kept is None else kept
    options = {"n_memory": 4, "layers": teacher.model.config.num_hidden_layers, "seed": 0, **shape}
    return student_of_teacher(teacher.model, kept, np.ones(len(kept), np.int64), **options)


def _states(student, ids_BT):
    embeddings = student.backbone.get_input_embeddings()(ids_BT)
    with torch.no_grad():
        return bidirectional_states(student.backbone, embeddings, torch.ones_like(ids_BT, dtype=torch.bool))


def test_states_are_the_teachers_once_their_inputs_are(teacher):
    """The layers alone: where token and position vectors need no norm of their sum, all states agree."""
    with torch.no_grad():
        teacher.model.embeddings.position_embeddings.weight.zero_()
    student, ids = (
        _student(teacher),
        torch.randint(5, 60, (8, 20), generator=torch.Generator().manual_seed(0)),
    )
    with torch.no_grad():
        expected = teacher.model(input_ids=ids).last_hidden_state
    assert torch.allclose(_states(student, ids), expected, atol=1e-3)


def test_with_positions_states_are_near_the_teachers(teacher):
    student, ids = (
        _student(teacher),
        torch.randint(5, 60, (8, 20), generator=torch.Generator().manual_seed(0)),
    )
    with torch.no_grad():
        expected = teacher.model(input_ids=ids).last_hidden_state
    assert float(cosine_similarity(_states(student, ids), expected, dim=-1).mean()) > 0.98


def test_kept_tokens_have_the_vectors_of_their_old_numbers(teacher):
    whole, part = _student(teacher), _student(teacher, np.array([0, 1, 2, 7, 30]))
    old, new = torch.tensor([[7, 30]]), torch.tensor([[3, 4]])
    look = [student.backbone.get_input_embeddings()(ids) for student, ids in ((whole, old), (part, new))]
    assert torch.allclose(*look, atol=1e-5)


def test_it_attends_in_both_directions_and_memory_tokens_differ(teacher):
    student = _student(teacher)
    check_bidirectional(student.backbone, student.memory.detach())
    memory = normalize(student.memory.detach(), dim=-1)
    assert float((memory @ memory.T - torch.eye(4)).max()) < 0.9


def test_the_teacher_is_not_changed(teacher):
    before = {name: value.clone() for name, value in teacher.model.state_dict().items()}
    _student(teacher)
    assert all(torch.equal(value, before[name]) for name, value in teacher.model.state_dict().items())
    assert all(value.dtype == before[name].dtype for name, value in teacher.model.state_dict().items())


@pytest.mark.parametrize("layers", [0, 99])
def test_more_layers_than_the_teacher_has_are_refused(teacher, layers):
    with pytest.raises(ConfigError, match="The teacher is a bert of") as caught:
        _student(teacher, layers=layers)
    assert 'start = "tokens"' in caught.value.fix
