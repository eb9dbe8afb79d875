"""Processes that train together are known by what torchrun says."""

from train.running.devices import is_first_process, world_size


def test_a_process_without_torchrun_is_alone_and_the_first(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    assert world_size() == 1
    assert is_first_process()


def test_torchrun_says_how_many_there_are_and_which_this_one_is(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert world_size() == 4
    assert not is_first_process()
