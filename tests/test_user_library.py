"""Tests write into no library but their own, whichever way they come by one."""

import os
import subprocess
import sys
from pathlib import Path

from app import library
from app.cli import main

_TOLD_HOME = "from app import library; print(library.home())"


def told_home(environment):
    done = subprocess.run(
        [sys.executable, "-c", _TOLD_HOME], env=environment, capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


def test_the_library_of_a_test_is_a_temporary_one(no_library_of_the_user):
    assert library.home() == no_library_of_the_user / "library"
    assert told_home(dict(os.environ)) == library.home()


def test_without_the_setting_it_is_one_too(no_library_of_the_user, monkeypatch):
    monkeypatch.delenv("LLM2COMP_HOME")
    assert library.home() == no_library_of_the_user / "data" / "llm2comp"
    assert told_home(dict(os.environ)) == library.home()


def test_what_a_test_indexes_is_remembered_there_only(
    no_library_of_the_user, tmp_path, word_embedder, monkeypatch
):
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: word_embedder)
    (tmp_path / "a.csv").write_text("id,title,text\n1,Roads,The state pays for roads.\n")
    assert main(["index", str(tmp_path / "a.csv"), "--into", str(tmp_path / "mine"), "--quiet"]) == 0
    assert str(tmp_path / "mine") in (no_library_of_the_user / "library" / "library.json").read_text()
