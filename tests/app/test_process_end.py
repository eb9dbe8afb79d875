"""How a process of its own ends: at once where it trained together with others."""

import os

import pytest
import torch

from app import cli


@pytest.mark.parametrize(("is_one_of_several", "left"), [(False, []), (True, [0])])
def test_one_of_several_leaves_without_waiting_for_their_group(monkeypatch, is_one_of_several, left):
    codes = []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: is_one_of_several)
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(cli, "main", lambda: 0)
    assert cli.program() == 0
    assert codes == left
