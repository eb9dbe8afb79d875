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


def test_people_are_told_before_and_after_what_goes_with_the_old_vectors(capsys, collection):
    for verb in (
        ["topics", "--method", "kmeans", "-n", "2"],
        ["map", "--method", "pca"],
        ["topics", "-n", "1"],
    ):
        assert main([verb[0], str(collection), *verb[1:], "--quiet"]) == 0
    capsys.readouterr()
    assert main(["rebuild", str(collection), "--index", "flat"]) == 0
    out, err = capsys.readouterr()
    assert "gone" not in out + err and (collection / "derived").is_dir()
    assert main(["rebuild", str(collection), "--transform", "centre"]) == 0
    out, err = capsys.readouterr()
    assert "all vectors change, and 1 map and 2 runs of topics of the old ones will be gone" in err
    assert (
        "1 map and 2 runs of topics were of the old vectors and are gone; "
        f"make anew: llm2comp map {collection} and llm2comp topics {collection}"
    ) in out
    assert "tags, notes, sets and saved searches are kept" in out
    assert (
        main(["rebuild", str(collection), "--transform", "centre"]) == 0
    )  # the same again changes no vector
    assert "gone" not in capsys.readouterr().out


def test_programs_are_told_what_went_with_the_old_vectors(capsys, collection):
    assert main(["topics", str(collection), "-n", "2", "--method", "kmeans", "--quiet"]) == 0
    capsys.readouterr()
    assert as_json(capsys, "rebuild", collection, "--index", "flat", "--quiet")[1]["gone"] == {}
    assert as_json(capsys, "rebuild", collection, "--transform", "centre", "--quiet")[1]["gone"] == {
        "topics": 1
    }
    assert as_json(capsys, "topics", collection, "--list")[1]["runs"] == []
