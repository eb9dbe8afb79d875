"""A device without memory and a process that dies are not blamed on the disk."""

import pytest
import torch

from encoder.errors import TrainingError
from tests.train.running.toy import Run
from train.running.run_folder import last_checkpoint

# The device.


def full(*args):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nand more")


def refusal_of_memory(run):
    with pytest.raises(
        TrainingError, match="The device has no memory left for step 5: CUDA out of memory"
    ) as caught:
        run.run()
    return caught.value


def test_a_device_that_is_full_is_said_with_what_takes_less_and_the_last_checkpoint(tmp_path):
    run = Run(tmp_path)
    run.model.poison[5] = full
    error = refusal_of_memory(run)
    assert "and more" not in error.what
    assert str(run.folder.checkpoint(3)) in error.where
    for name in ("schedule.device_batch", "mini_batch", "schedule.gradient_checkpointing"):
        assert name in error.fix


def test_a_device_that_is_full_while_a_checkpoint_is_written_is_not_the_disk(tmp_path):
    run = Run(tmp_path, watch={"evaluate_steps": 4})
    object.__setattr__(run.trainer.stage, "save", full)
    assert "disk" not in refusal_of_memory(run).fix


# Other processes.


def test_a_broken_connection_while_a_checkpoint_is_written_is_not_the_disk(tmp_path):
    run = Run(tmp_path)

    def lose(place, step):
        raise torch.distributed.DistBackendError("the other end is gone")

    object.__setattr__(run.trainer.stage, "save", lose)
    with pytest.raises(torch.distributed.DistBackendError, match="the other end is gone"):
        run.run()


def test_files_of_a_checkpoint_stay_when_another_process_dies_before_it_is_sealed(tmp_path, monkeypatch):
    run = Run(tmp_path)

    def lose():
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr("train.running.trainer._wait_for_all", lose)
    with pytest.raises(RuntimeError, match="Connection closed by peer"):
        run.run()
    assert (run.folder.checkpoint(3) / "model.safetensors").exists()
    assert last_checkpoint(run.folder) is None
