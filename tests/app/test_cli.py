"""The command as a user meets it: help, mistakes, exit codes, stdout and stderr, in fresh processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import VERBS, build_parser, main

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "pandas", "faiss", "lance", "streamlit", "transformers", "pyarrow", "numpy"}


def run(*arguments, stdin="", **environment):
    return subprocess.run(
        [sys.executable, "-P", "-m", "app.cli", *map(str, arguments)],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_loads_nothing_heavy_and_ends_with_examples(verb):
    arguments = [verb, "--help"] if verb else ["--help"]
    code = (
        "import sys; from app.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        f"sys.stderr.write(' '.join({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    if verb != "train":
        assert done.stdout.count("llm2comp", done.stdout.index("examples:")) >= 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: VERB"),
        (["nosuch"], "invalid choice: 'nosuch'"),
        (["search"], "required: DIR"),
        (["search", "somewhere", "--mode", "magic", "x"], "invalid choice: 'magic'"),
        (["search", "somewhere"], "give a QUERY, or a file of them"),
        (["search", "somewhere", "x", "-k", "many"], "invalid int value: 'many'"),
    ],
)
def test_wrong_usage_is_said_in_three_lines_and_exits_with_2(capsys, arguments, said):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    what, where, fix = captured.err.splitlines()
    assert what.startswith("error: ") and said in what
    assert where.startswith("where: llm2comp")
    assert fix.startswith("do:    ")


def test_a_mistyped_verb_is_answered_with_the_nearest(capsys):
    assert main(["serach", "x"]) == 2
    assert "do:    did you mean search? see llm2comp --help" in capsys.readouterr().err


def test_a_known_failure_exits_with_1_and_is_json_on_request(capsys, tmp_path):
    missing = tmp_path / "missing"
    assert main(["info", str(missing)]) == 1
    assert "error: there is no collection at this path" in capsys.readouterr().err
    assert main(["info", str(missing), "--json"]) == 1
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["kind"] == "CollectionError"
    assert error["where"] == str(missing)
    assert "llm2comp index" in error["fix"]


def test_a_bug_of_ours_exits_with_70_and_shows_where(capsys, monkeypatch):
    def explode(args):
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("app.verbs.info.run", explode)
    assert main(["info", "x"]) == 70
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: boom" in shown
    assert "this is a bug of llm2comp" in shown


def test_an_interrupt_exits_with_130_and_says_what_is_kept(capsys, monkeypatch):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("app.verbs.info.run", interrupt)
    assert main(["info", "x"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_a_command_that_is_told_to_stop_ends_as_after_an_interrupt(tmp_path):
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # as in the background of a shell
        "import app.verbs.info\n"
        "from app.cli import main\n"
        "app.verbs.info.run = lambda args: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(main(['info', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 130
    assert "the same command goes on" in done.stderr


def test_every_verb_has_json():
    parser = build_parser()
    verbs = parser._subparsers._group_actions[0].choices
    assert set(verbs) == set(VERBS)
    for name, verb in verbs.items():
        if name not in {"train", "app"}:
            assert "--json" in verb.format_help(), name


def test_a_collection_may_be_named_as_the_page_names_it(roads, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["info", "roads", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(roads.path.resolve())
    (tmp_path / "roads").mkdir()  # what stands here wins
    assert main(["info", "roads"]) == 1
    assert main(["info", "nosuch"]) == 1
    assert main(["info", "x" * 5000]) == 1
    assert "no collection" in capsys.readouterr().err
