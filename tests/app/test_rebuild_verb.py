"""`llm2comp rebuild --transform`, and the commands that follow on a transformed collection."""

import json

import pytest

from app.cli import main


@pytest.fixture
def articles(tmp_path, monkeypatch, word_embedder):
    monkeypatch.setenv("LLM2COMP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: word_embedder)
    rows = [f"{number},words about the fox and number {number}" for number in range(4)]
    file = tmp_path / "articles.csv"
    file.write_text("\n".join(["id,text", *rows]))
    return file


@pytest.fixture
def collection(articles, tmp_path, capsys):
    into = tmp_path / "collection"
    assert main(["index", str(articles), "--into", str(into), "--quiet"]) == 0
    capsys.readouterr()
    return into


def as_json(capsys, *arguments):
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_transformation_is_made_searched_added_to_and_taken_back(capsys, collection, articles, tmp_path):
    progress = tmp_path / "progress.json"
    code, info = as_json(
        capsys, "rebuild", collection, "--transform", "centre", "--quiet", "--progress-file", progress
    )
    assert (code, info["transform"], info["encoder"]) == (0, "centre", "words (centre)")
    assert json.loads(progress.read_text())["state"] == "done"
    code, found = as_json(capsys, "search", collection, "fox")
    assert code == 0 and found["provenance"]["encoder"] == "words (centre)" and found["hits"]
    for encoder in ([], ["--encoder", "default"]):
        code, done = as_json(capsys, "index", articles, "--into", collection, "--quiet", *encoder)
        assert (code, done["unchanged"], done["added"]) == (0, 4, 0)
    assert as_json(capsys, "verify", collection)[0] == 0
    code, info = as_json(capsys, "rebuild", collection, "--transform", "none", "--quiet")
    assert (code, info["transform"], info["encoder"]) == (0, "", "words")


def test_people_are_told_of_the_transformation(capsys, collection):
    assert main(["rebuild", str(collection), "--transform", "centre+pca:3", "--quiet"]) == 0
    assert "vectors are transformed: centre+pca:3" in capsys.readouterr().out
    assert main(["info", str(collection)]) == 0
    assert "transform: centre+pca:3" in capsys.readouterr().out
    assert main(["rebuild", str(collection), "--transform", "cut:5"]) == 0
    assert "every passage is embedded again" in capsys.readouterr().err


@pytest.mark.parametrize(("steps", "message"), [("center", "not understood"), ("cut:99", "more than the 32")])
def test_steps_that_cannot_be_are_wrong_usage(capsys, collection, steps, message):
    assert main(["rebuild", str(collection), "--transform", steps, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert message in error and "do:" in error
