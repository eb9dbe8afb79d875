"""A disk that is full while a run writes costs nothing that was there, and the same command goes on."""

import resource
from contextlib import contextmanager

import pytest

from encoder.checkpoint import load_encoder
from encoder.errors import TrainingError
from tests.train.stages.tiny_runs import measured, refusal, same_weights, train
from train.running.progress import ProgressCallback
from train.running.run_folder import RunFolder, last_checkpoint
from train.running.trainer import StageTrainer


@contextmanager
def files_of_at_most(size):
    """No file may grow beyond so many bytes: what a full disk does, for real and to every library."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [900, 3_000, 7_000, 12_000])
@pytest.mark.parametrize("lora", [True, False])
def test_a_disk_full_while_saving_keeps_the_last_good_checkpoint_and_the_run_goes_on(
    tmp_path, material, compressed, monkeypatch, size, lora
):
    out, sections = tmp_path / "run", {"adapter": {"lora": lora}}
    with monkeypatch.context() as patch:
        save = StageTrainer._save_checkpoint

        def save_on_a_full_disk(self, *rest):
            limit = size if self.state.global_step == 6 else resource.RLIM_INFINITY
            with files_of_at_most(limit):
                save(self, *rest)

        patch.setattr(StageTrainer, "_save_checkpoint", save_on_a_full_disk)
        error = refusal(TrainingError, "compress", material, out, **sections)
    assert "The checkpoint after step 6 could not be written: " in error.what
    assert str(out / "checkpoints" / "checkpoint-3") in error.where
    assert error.fix == "make room on the disk, then give the same command: it goes on from there"
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["checkpoint-3"]
    assert load_encoder(str(out / "checkpoints" / "checkpoint-3"), device="cpu").dimension == 16
    train("compress", material, out, **sections)
    if lora:
        assert same_weights(out / "encoder", compressed.out / "encoder")
    assert last_checkpoint(RunFolder(out)) == RunFolder(out).checkpoint(6)


@pytest.mark.parametrize("stage", ["pretrain", "compress"])
def test_a_disk_full_while_the_result_is_written_costs_no_training(tmp_path, material, monkeypatch, stage):
    from train.running import run_folder

    publish = run_folder.publish

    def publish_on_a_full_disk(write, target):
        if target.name == "tokenizer":
            return publish(write, target)
        with files_of_at_most(900):
            return publish(write, target)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        for module in ("train.stages.pretrain", "train.running.result"):
            patch.setattr(f"{module}.publish", publish_on_a_full_disk)
        error = refusal(TrainingError, stage, material, out)
    assert "The result could not be written: " in error.what
    assert "nothing is trained again" in error.fix
    before = measured(out)
    _measures, notes = train(stage, material, out)
    assert measured(out) == before
    assert not any("going on" in note for note in notes)
    assert (out / {"pretrain": "backbone", "compress": "encoder"}[stage] / "README.md").exists()


def test_a_disk_full_at_the_log_is_no_bug_of_ours(tmp_path, material, compressed, monkeypatch):
    out, write = tmp_path / "run", ProgressCallback._write

    def write_on_a_full_disk(self, values):
        with files_of_at_most(300 if values["step"] == 4 else resource.RLIM_INFINITY):
            write(self, values)

    with monkeypatch.context() as patch:
        patch.setattr(ProgressCallback, "_write", write_on_a_full_disk)
        error = refusal(TrainingError, "compress", material, out)
    assert "The run's log could not be written: " in error.what
    assert str(out / "checkpoints" / "checkpoint-3") in error.where
    assert "the same command" in error.fix
    train("compress", material, out)
    assert same_weights(out / "encoder", compressed.out / "encoder")
    assert measured(out) == measured(compressed.out)
