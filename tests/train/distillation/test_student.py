"""The student starts as an averaging device."""

import torch
from torch.nn.functional import cosine_similarity

from encoder.attention import check_bidirectional
from encoder.pooling import pool_memory
from train.distillation.student import new_student


def _student(table, seed=0):
    return new_student(table, layers=4, heads=4, mlp=96, n_memory=8, max_positions=64, seed=seed)


def _closeness_to_the_mean(student, ids):
    """Mean cosine between vectors and token means, less that between vectors and other texts' means."""
    with torch.no_grad():
        vectors = pool_memory(student(ids, torch.ones_like(ids)))
        tokens = student.backbone.embed_tokens(ids)
        means = (tokens / tokens.norm(dim=-1, keepdim=True)).mean(1)
    vectors, means = vectors - vectors.mean(0), means - means.mean(0)
    return float(
        cosine_similarity(vectors, means).mean() - cosine_similarity(vectors, means.roll(1, 0)).mean()
    )


def test_memory_outputs_start_as_the_mean_of_the_text():
    torch.manual_seed(0)
    table, ids = torch.randn(500, 64), torch.randint(0, 500, (64, 12))
    averaging = _student(table)
    started = _closeness_to_the_mean(averaging, ids)
    for layer in averaging.backbone.layers:  # the usual random start, all else equal
        for weight in (layer.self_attn.v_proj.weight, layer.self_attn.o_proj.weight):
            torch.nn.init.normal_(weight, std=64**-0.5)
    assert started > 0.5
    assert started > _closeness_to_the_mean(averaging, ids) + 0.3


def test_the_table_has_a_root_mean_square_of_one():
    weight = _student(0.01 * torch.randn(300, 64)).backbone.embed_tokens.weight
    assert abs(float(weight.detach().square().mean().sqrt()) - 1) < 1e-5


def test_the_seed_decides_the_weights():
    table = torch.randn(50, 32)
    states = [_student(table, seed).state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["memory"], states[2]["memory"])


def test_it_attends_in_both_directions():
    student = _student(torch.randn(50, 32))
    check_bidirectional(student.backbone, student.memory.detach())
