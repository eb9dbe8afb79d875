"""A proposed command is one that works when it is typed where the last one was."""

import subprocess
import sys

import pytest

from app import program


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A virtual environment's folder of commands, and the current folder above it."""
    script = tmp_path / ".venv" / "bin" / "llm2comp"
    script.parent.mkdir(parents=True)
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {sys.path[0]!r})\nfrom app.program import command\n"
        "print(command())\n"
    )
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    return script


def told(*line):
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


def test_off_the_path_it_is_what_was_typed(environment):
    assert told(".venv/bin/llm2comp") == ".venv/bin/llm2comp"
    assert told(str(environment)) == str(environment)


def test_on_the_path_it_is_the_name(environment, monkeypatch):
    monkeypatch.setenv("PATH", f"{environment.parent}:/usr/bin:/bin")
    assert told("llm2comp") == "llm2comp"
    assert told(".venv/bin/llm2comp") == "llm2comp"


def test_another_one_on_the_path_is_not_meant(environment, tmp_path, monkeypatch):
    other = tmp_path / "other" / "llm2comp"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{other.parent}:/usr/bin:/bin")
    assert told(".venv/bin/llm2comp") == ".venv/bin/llm2comp"


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        ("/usr/lib/pytest/__main__.py", "llm2comp"),
        ("llm2comp", "llm2comp"),
        ("", "llm2comp"),
        ("./gone/llm2comp", "./gone/llm2comp"),
        ("./my folder/llm2comp", "'./my folder/llm2comp'"),
    ],
)
def test_odd_ways_to_be_called(monkeypatch, called, shown):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", [called])
    assert program.command() == shown
