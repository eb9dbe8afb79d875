"""The study of benchmarks/paper: its plan, its pictures, its verdicts, and all of it at a tiny size with a kill."""

import importlib
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "benchmarks" / "paper"
POOLINGS = ("mean", "last")


@pytest.fixture
def module(monkeypatch):
    """A module of the study by its name."""
    monkeypatch.syspath_prepend(str(PAPER.parent))
    monkeypatch.syspath_prepend(str(PAPER))
    return importlib.import_module


def made_results(module, means, seeds=3):
    """Results with the means of some encoders: name to mean."""
    scale = module("scale").REAL
    sizes = {key: getattr(scale, key) for key in ("n_memory", "pairs", "memory_counts", "pair_counts")}
    parts = {part: {"done": 0, "of": 9} for part in module("plan").PARTS}
    encoders = {
        name: {"means": {"mean": value, "retrieval": value}, "scores": {}, "space": {}}
        for name, value in means.items()
    }
    content = {"seeds": seeds, "scale": sizes, "sets": [], "complete": parts, "encoders": encoders}
    return module("results").Results(content)


def test_every_step_begins_from_one_that_is_done_before(module):
    plan, scale = module("plan"), module("scale").REAL
    ordered = plan.in_order(plan.make_plan(scale, 3, POOLINGS))
    names = [step.name for step in ordered]
    assert len(set(names)) == len(names)
    for number, step in enumerate(ordered):
        assert not step.start or step.start in names[:number]
    assert len([step for step in ordered if step.kind == "pretrain"]) == 1


def test_the_first_seed_answers_the_first_questions_before_the_second_begins(module):
    plan, scale = module("plan"), module("scale").REAL
    parts = plan.make_plan(scale, 2, POOLINGS)
    names = [step.name for step in plan.in_order(parts)]
    first = [step.name for part in ("pretext", "stages") for step in parts[part] if step.seed == 0]
    second = [step.name for step in parts["pretext"] if step.seed == 1]
    others = [step.name for step in parts["memory"] if step.name not in first + second]
    assert max(map(names.index, first)) < min(map(names.index, second)) < names.index("seed0/ctkd-1")
    assert max(map(names.index, second)) < names.index(next(name for name in others if "-32" in name))


def test_a_verdict_needs_every_seed(module):
    table = module("claims").claims
    better = {f"seed{seed}/ctkd-8": 50.0 for seed in range(3)}

    def verdict(*nll):
        results = made_results(module, better | {f"seed{n}/nll-8": value for n, value in enumerate(nll)})
        return table(results).splitlines()[2].split(" | ")[2:]

    assert verdict(40.0, 49.0, 48.0) == ["+4.3 ± 4.9", "yes |"]
    assert verdict(51.0, 52.0, 53.0) == ["-2.0 ± 1.0", "no |"]
    assert verdict(40.0, 51.0, 48.0)[1] == "undecided: the seeds differ |"
    assert verdict(40.0) == ["+10.0", "yes, in one seed |"]
    assert verdict() == ["not measured", "not measured |"]


def test_what_was_not_measured_is_said_so_in_every_table_and_picture(module):
    results = made_results(module, {})
    tables = module("tables")
    for name in ("stages", "memory", "pairs", "spectra", "slots", "continuation"):
        rows = getattr(tables, name)(results).splitlines()[2:]
        assert rows and all("not measured" in row for row in rows)
    for picture in module("figures").figures(results).values():
        assert "not measured yet" in picture


def test_a_mean_is_over_the_seeds_that_are_there(module):
    results = made_results(module, {"seed0/ctkd-8": 40.0, "seed2/ctkd-8": 44.0})
    found = results.over_seeds(module("tables").stage_names(results, "ctkd", 1), "mean")
    assert (found.mean, found.seeds) == (42.0, 2) and found.deviation == pytest.approx(8**0.5)
    assert str(found) == "42.0 ± 2.8"


def test_a_picture_is_xml_and_puts_points_where_they_belong(module):
    plots = module("plots")
    points = [plots.Point(x, y, 0.5) for x, y in ((1, 10), (10, 20), (100, 30))]
    lines = [plots.Line("<a & b>", points), plots.Line("c", points[:1], True)]
    tree = ElementTree.fromstring(plots.line_chart(plots.Axes("T & t", "x", "y", is_log=True), lines))
    circles = tree.findall("{*}circle")
    xs, ys = ([float(each.get(key)) for each in circles[:3]] for key in ("cx", "cy"))
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2) and xs[0] < xs[1]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2) and ys[0] > ys[1]
    assert any(text.text == "<a & b>" for text in tree.findall("{*}text"))
    maps = ElementTree.fromstring(plots.heat_maps("h", [("m", [[1.0, 0.25], [0.25, 1.0]])]))
    assert [text.text for text in maps.findall("{*}text")].count("0.25") == 2
    assert ElementTree.fromstring(plots.dot_chart(plots.Axes("d", "x", ""), [("one", 3.0, 0.0)])) is not None


def test_parts_of_sets_keep_what_answers_their_queries(module, tmp_path):
    development = module("development")
    _, sets = module("made").make_material(tmp_path)
    scale = module("scale").SMALL
    parts = {task.name: task for task in development.read_parts(sets, scale)}
    search = parts["search"]
    assert len(search.queries) == scale.queries and len(search.documents) == scale.documents
    assert all(name in search.document_ids for answers in search.judgements for name in answers)
    assert len(parts["graded"].left) == len(parts["graded"].grades) == scale.sts_pairs
    again = {task.name: task for task in development.read_parts(sets, scale)}
    assert again == parts


def test_the_readme_has_every_marker_and_keeps_what_stands_around_them(module):
    publish = module("publish")
    text = (PAPER / "README.md").read_text(encoding="utf-8")
    for name in publish._PARTS:
        filled = publish.fill(text, name, "| new |", "README.md")
        assert f"<!-- {name} -->\n| new |\n<!-- /{name} -->" in filled
        assert filled.split(f"<!-- {name} -->")[0] == text.split(f"<!-- {name} -->")[0]
    with pytest.raises(Exception, match="the marker <!-- absent --> is missing"):
        publish.fill(text, "absent", "", "README.md")


def study(work, *arguments, **more):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    line = [sys.executable, str(PAPER / "study.py"), "--small", "--work", str(work), "--seeds", "1"]
    return subprocess.Popen(
        [*line, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        **more,
    )


@pytest.mark.slow
def test_a_killed_study_goes_on_in_two_processes_and_reports_all_of_it(tmp_path):
    work = tmp_path / "work"
    begun = study(work)
    for line in begun.stdout:
        if line.startswith("seed0/nll-2: begun"):
            break
    begun.send_signal(signal.SIGKILL)
    assert begun.wait() == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in work.rglob("done.json")}
    assert work / "seed0/ctkd-2/done.json" in before and work / "seed0/nll-2/done.json" not in before

    both = [study(work), study(work)]
    outputs = [process.communicate()[0] for process in both]
    assert all(process.returncode == 0 for process in both), outputs
    done = [line.split(":")[0] for output in outputs for line in output.splitlines() if ": done in" in line]
    assert len(done) == len(set(done)) and "seed0/nll-2" in done
    assert any("nothing is left" in output.splitlines()[-1] for output in outputs), outputs
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    results = json.loads((work / "report" / "results.json").read_text(encoding="utf-8"))
    assert all(part["done"] == part["of"] > 0 for part in results["complete"].values())
    assert len(results["encoders"]) == len(list((work / "scores").glob("*.json")))
    for name, found in results["encoders"].items():
        assert len(found["scores"]) == 4, name
        if found["kind"] == "peer":
            continue
        assert found["space"]["effective_rank"] >= 1, name
        assert len(found["space"].get("slots", [])) in (0, found["n_memory"])
    readme = (work / "report" / "README.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in readme + json.dumps(results)
    assert results["encoders"]["seed0/ctkd-2"]["continuation"]["loss_without_memory"] > 0
    for part in ("pretext", "stages", "memory", "pairs", "spectra", "continuation"):
        table = readme.split(f"<!-- {part} -->")[1].split(f"<!-- /{part} -->")[0]
        assert "not measured" not in table and table.count("|") > 20
    for picture in ("pretext", "stages", "memory", "rank", "spectra", "slots", "pairs"):
        text = (work / "report" / "img" / f"{picture}.svg").read_text(encoding="utf-8")
        assert ElementTree.fromstring(text) is not None and "not measured" not in text

    other, _ = study(
        work, "--data", str(work / "made/data"), "--eval", str(work / "made/sets/graded.parquet")
    ).communicate()
    assert "stopped: the study there was begun with another described, sets" in other
