"""What a run says: lines for people, rows for programs, curves; a run that goes on says nothing twice."""

import json
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.train.running.toy import Run
from train.running.progress import ProgressCallback, duration, peak_memory
from train.running.run_folder import RunFolder


def curves(folder):
    found = EventAccumulator(str(folder.tensorboard), purge_orphaned_data=False)
    found.Reload()
    return {
        name: [(event.step, round(event.value, 4)) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


@pytest.fixture
def progress(tmp_path):
    notes = []
    made = ProgressCallback(RunFolder(tmp_path), notes.append, lambda: 1000)
    made.notes = notes
    made.rows = lambda: [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    return made


def state_at(step, most=10):
    return SimpleNamespace(global_step=step, max_steps=most, log_history=[])


def test_a_loss_is_said_with_pace_time_left_and_memory(progress):
    progress.on_train_begin(None, state_at(0), None)
    progress.on_log(None, state_at(5), None, logs={"loss": 0.000123456, "epoch": 0.5})
    (line,) = progress.notes
    assert line.startswith("step 5 of 10 · loss 0.0001235 · ")
    for part in ("tokens/s", " left", " GB"):
        assert part in line
    (row,) = progress.rows()
    assert row["step"] == 5 and row["loss"] == 0.000123456
    assert row["memory_bytes"] > 0 and row["time"] > 1.7e9
    assert "epoch" not in row


def test_the_pace_counts_neither_looks_nor_reading_up_to_where_a_run_stopped(progress, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("train.running.progress.time.monotonic", lambda: clock[0])
    progress.on_train_begin(None, state_at(4), None)
    clock[0] = 500.0  # reading texts that were trained on before
    progress.on_step_begin(None, state_at(4), None)
    clock[0] = 502.0
    progress.on_step_begin(None, state_at(5), None)
    clock[0] = 504.0
    progress.on_log(None, state_at(6), None, logs={"loss": 1.0})
    assert progress.rows()[0]["seconds_left"] == 8.0


def test_a_look_is_said_in_words(progress):
    progress.on_train_begin(None, state_at(0), None)
    progress.on_log(
        None,
        state_at(1200, 32000),
        None,
        logs={
            "eval_known_items": 12.34,
            "eval_effective_rank": 20.06,
            "eval_mean_cosine": 0.5,
            "eval_x": 1.0,
        },
    )
    assert progress.notes == [
        "step 1,200 of 32,000 · held out: known items 12.3 · effective rank 20.1 · mean cosine 0.500"
    ]
    assert progress.rows()[0]["eval_x"] == 1.0


def test_the_librarys_summary_is_not_said(progress):
    progress.on_train_begin(None, state_at(0), None)
    progress.on_log(None, state_at(10), None, logs={"train_runtime": 1.0, "train_loss": 2.0})
    assert progress.notes == [] and progress.rows() == []


def test_only_the_first_process_speaks_and_writes(progress, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    progress.on_train_begin(None, state_at(0), None)
    progress.on_log(None, state_at(5), None, logs={"loss": 1.0})
    progress.close()
    assert progress.notes == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_wrote_too_much_is_forgotten_with_the_line_it_was_cut_in(progress, tmp_path):
    rows = [json.dumps({"step": step, "loss": 1.0, "time": 1e9 + step}) for step in (2, 4, 6)]
    rows.append('{"step": 7, "lo')
    (tmp_path / "metrics.jsonl").write_text("\n".join(rows), encoding="utf-8")
    progress.on_train_begin(None, state_at(4), None)
    assert [row["step"] for row in progress.rows()] == [2, 4]
    assert progress.notes == ["going on after step 4"]


def test_curves_have_what_the_rows_have_and_each_step_once_however_often_the_run_was_stopped(tmp_path):
    def broken(call):
        run = Run(tmp_path, watch={"log_steps": 1})
        run.model.poison[call] = lambda loss: 1 / 0
        with pytest.raises(ZeroDivisionError):
            run.run()

    broken(3)  # before any checkpoint
    broken(6)  # after that of step 3
    broken(2)  # having gone on from it
    run = Run(tmp_path, watch={"log_steps": 1})
    run.run()
    found = curves(run.folder)
    assert [step for step, _ in found["train/loss"]] == [1, 2, 3, 4, 5, 6]
    assert found["held_out/known_items"] == [(0, 10.0), (3, 13.0), (6, 16.0)]
    rows = [json.loads(line) for line in run.folder.metrics.read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert found["train/loss"] == [(row["step"], round(row["loss"], 4)) for row in rows if "loss" in row]
    assert len(list(run.folder.tensorboard.iterdir())) == 1


@pytest.mark.parametrize(
    ("best_by", "measures", "said"),
    [
        (
            "known_items",
            {0: 50.0, 3: 20.0, 6: 10.0},
            ["known items was better at the start (50) than", "(20, step 3) is kept"],
        ),
        (
            "held_out_loss",
            {0: 1.5, 3: 3.0, 6: 2.25},
            ["held-out loss was better at the start (1.5)", "(2.25, step 6)"],
        ),
        ("known_items", {0: 20.0, 3: 20.0, 6: 10.0}, []),
        ("held_out_loss", {0: 3.0, 3: 4.0, 6: 2.0}, []),
        ("last", {0: 50.0, 3: 20.0, 6: 10.0}, []),
    ],
)
def test_a_start_that_was_better_than_every_checkpoint_is_said_at_the_end(tmp_path, best_by, measures, said):
    run = Run(
        tmp_path,
        watch={"best_by": best_by},
        measures=lambda step: {"known_items": measures[step], "held_out_loss": measures[step]},
    )
    run.run()
    lines = [line for line in run.notes if "at the start" in line]
    assert len(lines) == bool(said)
    assert all(part in lines[0] for part in said)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (6000, "1 h 40 min"),
        (36_000, "10 h 0 min"),
    ],
)
def test_seconds_in_words(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize("broken", [True, False])
def test_no_thread_is_left_of_a_run_however_it_ended(tmp_path, broken):
    before = threading.active_count()
    run = Run(tmp_path)
    if broken:
        run.model.poison[2] = lambda loss: 1 / 0
    with pytest.raises(ZeroDivisionError) if broken else nullcontext():
        run.run()
    assert threading.active_count() == before


def test_memory_is_counted_in_bytes():
    assert 10**7 < peak_memory() < 10**12
