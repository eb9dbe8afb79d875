"""Texts of a source never command the terminal: what they hold is shown, on stdout and on stderr."""

import csv
import json

import pytest

from app.cli import main

EVIL = "\x1b]0;owned\x07\x9b31m"


@pytest.fixture(autouse=True)
def _word_encoder(monkeypatch, word_embedder):
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: word_embedder)


@pytest.fixture
def hostile(tmp_path):
    file = tmp_path / "hostile.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "title", "text", f"topic{EVIL}"])
        writer.writerow(
            ["a", f"Bread{EVIL}", f"Flour, water and salt make bread, they say.{EVIL}", f"x{EVIL}"]
        )
        writer.writerow(["b", "Roads", "Tolls pay for the roads and bridges of a country.", "y"])
    return file


def commands(captured):
    return {character for character in captured.out + captured.err if character in "\x1b\x07\x9b"}


def test_a_hostile_header_and_title_are_shown_and_not_obeyed(capsys, hostile, tmp_path):
    into = tmp_path / "into"
    assert main(["index", str(hostile), "--into", str(into)]) == 0
    captured = capsys.readouterr()
    assert "topic␛]0;owned␇⟨U+009B⟩31m" in captured.err
    assert not commands(captured)
    for arguments in (["info", str(into)], ["search", str(into), "bread", "--mode", "keyword"]):
        assert main(arguments) == 0
        assert not commands(capsys.readouterr())


def test_json_stays_true_without_a_raw_control_character(capsys, hostile, tmp_path):
    into = tmp_path / "into"
    assert main(["index", str(hostile), "--into", str(into), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["search", str(into), "bread", "--mode", "keyword", "--json"]) == 0
    captured = capsys.readouterr()
    assert not commands(captured)
    assert json.loads(captured.out)["hits"][0]["title"] == f"Bread{EVIL}"


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_error_quotes_hostile_names_harmlessly(capsys, hostile, tmp_path, form):
    assert (
        main(["index", str(hostile), "--into", str(tmp_path / "x"), "--text", "nosuch", "--quiet", *form])
        == 1
    )
    captured = capsys.readouterr()
    assert "owned" in captured.err
    assert not commands(captured)
