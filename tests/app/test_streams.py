"""A reader that is gone, as `| head` is, costs neither the exit code nor a traceback; with real pipes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def run_unread(*arguments, is_stderr_read=True):
    """The code and what stderr said of a command that nobody reads: the pipe is closed before it starts."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "app.cli", *map(str, arguments)],
            cwd=ROOT,
            stdout=write,
            stderr=subprocess.PIPE if is_stderr_read else write,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    finally:
        os.close(write)
    return done.returncode, (done.stderr or b"").decode()


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    file = tmp_path_factory.mktemp("streams") / "v.npy"
    np.save(file, np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32))
    return file


@pytest.mark.parametrize("is_json", [False, True])
def test_a_check_that_said_no_says_it_to_nobody_too(vectors, is_json):
    options = ["--require", "first_direction<0", *(["--json"] if is_json else [])]
    code, said = run_unread("diagnose", vectors, *options)
    assert code == 3 and "first_direction<0 does not hold" in said
    assert "Traceback" not in said and "BrokenPipe" not in said and "Broken pipe" not in said
    assert run_unread("diagnose", vectors, *options, is_stderr_read=False)[0] == 3


def test_a_check_that_holds_is_a_success_to_nobody_too(vectors):
    assert run_unread("diagnose", vectors, "--quiet") == (0, "")
    assert run_unread("--help") == (0, "")


def test_mistakes_keep_their_code_with_both_streams_closed(tmp_path):
    assert run_unread("diagnose", tmp_path / "no.npy", is_stderr_read=False)[0] == 1
    assert run_unread("nosuch", is_stderr_read=False)[0] == 2


def test_a_reader_that_leaves_in_the_middle_does_not_change_the_code(vectors):
    command = [sys.executable, "-P", "-m", "app.cli", "diagnose", str(vectors), "--json"]
    process = subprocess.Popen(
        [*command, "--require", "state==collapsed"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout.read(1) == b"{"
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 3 and "state is healthy" in said and "BrokenPipe" not in said


def test_a_named_pipe_without_a_reader_is_a_failure(monkeypatch, capsys):
    from app.cli import main

    def write(args):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("app.verbs.info.run", write)
    assert main(["info", "x"]) == 1
    assert "nobody reads any more" in capsys.readouterr().err
