import pytest
import torch
from torch import nn

from encoder.errors import ShapeError
from train.objectives.chunks import tiles
from train.objectives.ctkd import ctkd_loss
from train.objectives.head import LinearHead

LAYER = nn.Linear(8, 40, bias=False)


def _rows(count=20, seed=0):
    student, teacher = torch.randn(2, count, 8, generator=torch.Generator().manual_seed(seed))
    return student.requires_grad_(), teacher, torch.full((count,), 1 / count)


def test_logits_exist_for_no_more_rows_than_asked_for():
    seen = []

    def head(hidden):
        seen.append(len(hidden))
        return LAYER(hidden)

    student, teacher, weight = _rows(20)
    ctkd_loss(student, teacher, weight, head, chunk_rows=6).backward()
    assert seen == [6, 6, 6, 6, 6, 6, 2, 2]  # student and teacher


def test_what_is_done_with_the_loss_reaches_the_gradient():
    student, teacher, weight = _rows()
    head = LinearHead(LAYER)
    (once,) = torch.autograd.grad(ctkd_loss(student, teacher, weight, head), student)
    (thrice,) = torch.autograd.grad(3 * ctkd_loss(student, teacher, weight, head) + 1, student)
    torch.testing.assert_close(thrice, 3 * once)


def test_without_gradients_the_loss_is_the_same_and_has_no_graph():
    student, teacher, weight = _rows()
    head = LinearHead(LAYER)
    with torch.no_grad():
        bare = ctkd_loss(student, teacher, weight, head)
    assert not bare.requires_grad
    assert torch.equal(bare, ctkd_loss(student, teacher, weight, head).detach())


def test_the_inputs_stay_as_they_are():
    student, teacher, weight = _rows()
    before = [tensor.detach().clone() for tensor in (student, teacher, weight)]
    ctkd_loss(student, teacher, weight, lambda hidden: hidden).backward()  # a head that hands its input on
    assert all(torch.equal(old, new) for old, new in zip(before, (student, teacher, weight), strict=True))


@pytest.mark.parametrize("head", [LinearHead(LAYER), LAYER], ids=["linear", "any"])
def test_autocast_multiplies_in_bfloat16_and_judges_in_float32(head):
    student, teacher, weight = _rows(200)
    (exact,) = torch.autograd.grad(ctkd_loss(student, teacher, weight, head), student)
    with torch.autocast("cpu", torch.bfloat16):
        loss = ctkd_loss(student, teacher, weight, head)
    (coarse,) = torch.autograd.grad(loss, student)
    assert loss.dtype == torch.float32
    assert 0 < (coarse - exact).norm() < 0.02 * exact.norm()


def test_tiles_hold_each_row_once():
    assert [(part.start, part.stop) for part in tiles(torch.zeros(5, 1 << 17))] == [(0, 2), (2, 4), (4, 6)]
    assert len(tiles(torch.zeros(3, 1 << 20))) == 3


def test_weights_for_other_rows_are_refused():
    student, teacher, weight = _rows(4)
    with pytest.raises(ShapeError, match=r"hidden states have the shape \(4, 8\), weights \(3,\)"):
        ctkd_loss(student, teacher, weight[:3], LinearHead(LAYER))
