"""The benchmark of a GPU runs small on a processor, goes on where it was cut, and says what it could not run."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
GPU = ROOT / "benchmarks" / "gpu"
NO_GPU = ("faiss-gpu", "cuvs", "ivf-sq8: filtered", "memory fills up")
FACTS = {
    "command": "python benchmarks/gpu/measure.py all",
    "commit": "abc",
    "device": "cpu",
    "driver": "none",
}
FACTS |= {"cuda": "none", "threads": 1, "versions": {"Python": "3.11"}, "small": True}
MARKED = "# A title\n\n<!-- figures: written by measure.py report -->\n\n<!-- end of figures -->\n\nthe end\n"


@pytest.fixture
def module(monkeypatch):
    """A module of the benchmark by its name."""
    monkeypatch.syspath_prepend(str(GPU.parent))
    monkeypatch.syspath_prepend(str(GPU))
    return importlib.import_module


def measure(*arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    line = [sys.executable, str(GPU / "measure.py"), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=environment, check=False)


def folder_of(module, path, **options):
    folder = module("steps").StepFolder(path, {"small": True, "device": "cpu"}, FACTS, **options)
    folder.prepare()
    return folder


def results_of(work):
    return {
        each["name"]: each for each in map(json.loads, (f.read_text() for f in work.glob("steps/*.json")))
    }


def counting(module, name, calls, minutes=0.0):
    def run():
        calls.append(name)
        return {"taken": module("steps").figure([3.0, 1.0, 2.0], "s", at_most=2.5)}

    return module("steps").Step(name, run, minutes)


def test_a_second_start_runs_only_what_has_no_result(module, tmp_path):
    calls = []
    steps = [counting(module, "a step", calls), counting(module, "another: step", calls)]
    folder_of(module, tmp_path).run("see", steps[:1])
    folder_of(module, tmp_path).run("see", steps)
    folder_of(module, tmp_path).run("see", steps)
    assert calls == ["a step", "another: step"]
    found = results_of(tmp_path)["a step"]
    assert found["figures"]["taken"]["median"] == 2.0 and found["figures"]["taken"]["runs"] == [3.0, 1.0, 2.0]
    assert found["command"] == FACTS["command"] and found["part"] == "see"


def test_a_step_that_raises_is_not_run_and_the_others_go_on(module, tmp_path):
    steps, calls = module("steps"), []

    def refuse():
        raise steps.NotRunError("no such device")

    def fail():
        calls.append("fails")
        raise MemoryError("CUDA out of memory\nand more")

    broken = [steps.Step("refuses", refuse), steps.Step("fails", fail), counting(module, "goes on", calls)]
    assert folder_of(module, tmp_path).run("see", broken)
    found = results_of(tmp_path)
    assert [found[name]["status"] for name in ("refuses", "fails", "goes on")] == [
        "not run",
        "not run",
        "done",
    ]
    assert found["refuses"]["reason"] == "no such device"
    assert found["fails"]["reason"] == "MemoryError: CUDA out of memory"
    folder_of(module, tmp_path).run("see", broken)
    assert calls == ["fails", "goes on"]
    folder_of(module, tmp_path, is_retrying=True).run("see", broken)
    assert calls == ["fails", "goes on", "fails"]


def test_a_lost_device_ends_the_process_behind_the_step_that_lost_it(module, tmp_path):
    steps, calls = module("steps"), []

    def lose():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    both = [steps.Step("loses", lose), counting(module, "next", calls)]
    with pytest.raises(SystemExit, match="the device is lost to this process"):
        folder_of(module, tmp_path).run("see", both)
    folder_of(module, tmp_path).run("see", both)
    assert calls == ["next"]


def test_a_step_during_which_the_process_ended_twice_is_given_up(module, tmp_path):
    steps, folder = module("steps"), folder_of(module, tmp_path)

    def killed():
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            folder.run("see", [steps.Step("kills", killed)])
    assert results_of(tmp_path) == {}
    folder.run("see", [steps.Step("kills", killed)])
    assert results_of(tmp_path)["kills"]["reason"] == "the process ended 2 times while it ran"


def test_no_step_is_begun_that_would_not_end_in_time(module, tmp_path, capsys):
    calls = []
    steps = [counting(module, "short", calls, 1), counting(module, "long", calls, 9)]
    assert not folder_of(module, tmp_path, minutes=5).run("see", steps)
    assert calls == ["short"] and "stopped before 'long'" in capsys.readouterr().err


def test_a_folder_holds_figures_of_one_kind(module, tmp_path):
    folder_of(module, tmp_path)
    other = module("steps").StepFolder(tmp_path, {"small": False, "device": "cpu"}, FACTS)
    with pytest.raises(module("steps").OtherKindError, match="name another --work"):
        other.prepare()


def test_the_share_of_the_peak_is_that_of_a_case_computed_by_hand(module):
    flops = module("flops")
    size = flops.DecoderSize(parameters=1000, layers=2, attention=8)
    # 2 * 1000 * (3 + 5) + 4 * 2 * 8 * (9 + 25) = 16,000 + 2,176
    assert size.forward([3, 5]) == 18_176
    assert size.forward([3, 5], is_causal=True) == 16_000 + 1_088
    assert size.backward([3, 5]) == 16_000 + 2 * 2_176
    assert flops.head_operations(100, 4, 7, 3) == 2 * 100 * 4 * 7 * 3
    assert flops.peak("NVIDIA A100-SXM4-80GB") == 312e12 and flops.peak("NVIDIA L40S") == 362e12
    assert flops.peak("NVIDIA H100 80GB HBM3") == 989e12 and flops.peak("NVIDIA H100 PCIe") == 756e12
    assert flops.share_of_peak(156e12, 1.0, "NVIDIA A100-PCIE-40GB") == 0.5
    assert flops.share_of_peak(1.0, 1.0, "a card of tomorrow") is None


def test_the_operations_of_training_steps_are_those_computed_by_hand(module):
    part = module("train_part")
    size = module("flops").DecoderSize(parameters=10, layers=1, attention=1)
    # One text of 6 tokens cut after 2: 11 tokens compressed, 13 decoded, 7 of the teacher, 5 judged.
    linear = 2 * 2 * 10 * (11 + 13) + 2 * 10 * 7
    attention = 3 * 4 * 11**2 + 3 * 2 * 13**2 + 2 * 7**2
    assert part.stage_1_operations(size, (5, 3), 6, [[2]]) == linear + attention + 3 * 2 * 5 * 3 * 5
    assert part.stage_3_operations(size, 2, 4) == (2 * (160 + 3 * 64), 2 * (240 + 4 * 64))


def test_the_size_of_a_decoder_leaves_its_token_table_out(module):
    from tests.encoder.tiny import tiny_backbone

    backbone = tiny_backbone("qwen3")
    size = module("flops").decoder_size(backbone)
    assert size.parameters == sum(weight.numel() for weight in backbone.layers.parameters()) + 32
    assert (size.layers, size.attention) == (2, 32)


def test_overlap_counts_the_true_answers_that_were_given(module):
    truth = np.arange(20).reshape(2, 10)
    found = truth.copy()
    found[0, :5] = -1
    assert module("asking").overlap(found, truth) == 0.75


def test_texts_have_the_tokens_that_are_asked_for(module):
    shapes = module("shapes")
    tokenizer = shapes.word_tokenizer(is_small=True)
    lengths = shapes.mixed_lengths(2000, 64)
    texts = shapes.made_texts(shapes.whole_words(tokenizer), lengths)
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert [len(row) for row in ids] == lengths.tolist()
    assert lengths.min() >= 8 and lengths.max() <= 64 and abs(lengths.sum() - 2000) < 400


def test_the_report_has_every_step_between_the_marks(module, tmp_path):
    steps, calls = module("steps"), []

    def refuse():
        raise steps.NotRunError("no | such device")

    folder_of(module, tmp_path).run("see", [counting(module, "works", calls), steps.Step("refuses", refuse)])
    into = tmp_path / "shown.md"
    into.write_text(MARKED)
    for _ in range(2):
        module("gpu_report").publish(tmp_path, into, is_ours=False)
    text = into.read_text()
    assert text.startswith("# A title") and text.endswith("the end\n")
    assert text.count("| works | taken | 2 s | 3, 1, 2 | <= 2.50 s | yes |") == 1
    assert "| refuses | no \\| such device |" in text and "a trial: these are no figures" in text
    assert str(tmp_path) not in text


def test_the_committed_readme_has_the_marks_and_takes_no_figures_of_a_processor(tmp_path):
    readme = GPU / "README.md"
    before = readme.read_text()
    assert (
        before.count("<!-- figures: written by measure.py report -->") == 1
        and "<!-- end of figures -->" in before
    )
    work = tmp_path / "work" / "steps"
    work.mkdir(parents=True)
    result = {"name": "x", "part": "see", "status": "done", "figures": {}, "measured": "now"} | FACTS
    (work / "x.json").write_text(json.dumps(result))
    done = measure("report", "--work", work.parent)
    assert done.returncode == 1 and "figures of a trial or of a processor" in done.stderr
    assert readme.read_text() == before


def test_setup_keeps_wheels_and_says_how_it_is_called(tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "some-1-py3-none-any.whl.part-aa").write_bytes(b"PK")
    line = ["sh", str(GPU / "setup.sh"), "--wheels", str(wheels), "--venv", str(tmp_path / "venv")]
    done = subprocess.run([*line, "--gather"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1 wheels and pieces are kept" in done.stderr
    assert (tmp_path / "venv" / "wheels" / "some-1-py3-none-any.whl.part-aa").read_bytes() == b"PK"
    wrong = subprocess.run([*line, "--nosuch"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "--gather" in wrong.stderr


@pytest.mark.slow
def test_all_parts_run_small_on_a_processor_and_the_second_start_runs_nothing(tmp_path):
    work = tmp_path / "work"
    done = measure("all", "--small", "--device", "cpu", "--work", work)
    assert done.returncode == 0, done.stderr[-2000:]
    found = results_of(work)
    assert {each["part"] for each in found.values()} == {"index", "encode", "train", "see"}
    missed = {name: each["reason"] for name, each in found.items() if each["status"] != "done"}
    assert all(any(part in name for part in NO_GPU) for name in missed), missed
    _check_targets(found)
    for name in ("no room for a copy", "the GPU fails in the middle"):
        said = found[f"index product: {name}"]["figures"]["said with the answers"]["text"]
        assert said.startswith("the GPU failed (") and said.endswith("searched on the CPU")
    assert (work / "profile.txt").read_text()
    times = {file: file.stat().st_mtime_ns for file in work.glob("steps/*")}
    again = measure("all", "--small", "--device", "cpu", "--work", work)
    assert again.returncode == 0 and {f: f.stat().st_mtime_ns for f in work.glob("steps/*")} == times
    into = tmp_path / "shown.md"
    into.write_text(MARKED)
    assert measure("report", "--work", work, "--into", into).returncode == 0
    text = into.read_text()
    assert all(name in text for name in found) and str(tmp_path) not in text


def _check_targets(found):
    """What is no matter of speed holds on a processor as well."""
    for name, result in found.items():
        for label, figure in result.get("figures", {}).items():
            if label == "mixed of fixed" or "text" in figure:
                continue
            least, most = figure["at_least"], figure["at_most"]
            assert least is None or figure["median"] >= least, (name, label)
            assert most is None or figure["median"] <= most, (name, label)


@pytest.mark.slow
def test_a_missing_cuda_device_is_said(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = measure("all", "--device", "cuda", "--work", tmp_path)
    assert done.returncode == 1 and "sees no CUDA device" in done.stderr
