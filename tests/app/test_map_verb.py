"""`llm2comp map` on a small collection of given vectors."""

import csv
import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.cli import main
from indexer.derived import build_folder
from indexer.maps.stored import list_maps, open_map
from tests.indexer.making import ListSource, PresetEmbedder, doc, new_collection, numbered


def documents(count, start=0):
    topics = ("roads", "bread", "=SUM(1)")
    return [
        doc(f"d{i}", f"row {i}", f"Title {i}" * (i != 3), topic=topics[i % 3], year=1990 + i, tags=["x"])
        for i in range(start, start + count)
    ]


@pytest.fixture
def embedder():
    rng = np.random.default_rng(3)
    preset = PresetEmbedder(
        (4 * rng.standard_normal((4, 8)))[rng.integers(0, 4, 80)] + rng.standard_normal((80, 8))
    )
    preset.encode_texts = preset._encode
    # The title is no part of what the tests' vectors are made of.
    preset._encode = lambda texts: preset.encode_texts([t[t.rindex("row ") :] for t in texts])
    return preset


@pytest.fixture
def collection(tmp_path, embedder, monkeypatch):
    monkeypatch.setenv("LLM2COMP_HOME", str(tmp_path / "home"))
    return new_collection(tmp_path / "c", documents(60), encoder=embedder)[0]


def run(capsys, *arguments):
    code = main([*map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def as_json(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    return code, json.loads(out if code == 0 else err)


def test_it_builds_a_map_and_says_so(capsys, collection):
    code, told = as_json(capsys, "map", collection.path, "--seed", "4", "--neighbours", "10", "--quiet")
    stored = open_map(collection)
    assert code == 0
    assert (told["format"], told["id"], told["facts"]["points"]) == (1, stored.id, 60)
    assert (told["recipe"]["method"], told["recipe"]["seed"], told["recipe"]["neighbours"]) == ("umap", 4, 10)
    code, out, _ = run(capsys, "map", collection.path, "--id", stored.id)
    assert code == 0
    assert out.startswith(f"map {stored.id}: 60 points by umap, seed 4; version 1")
    assert "mean trust" in out


def test_what_a_reader_must_know_is_said(capsys, collection):
    _, out, _ = run(
        capsys,
        "map",
        collection.path,
        "--where",
        "year < 2040",
        "--most",
        "30",
        "--min-dist",
        "0.5",
        "--quiet",
    )
    assert "not laid out but placed by neighbours: 20 points" in out
    assert "where year < 2040" in out
    _, out, _ = run(capsys, "map", collection.path, "--where", "year < 1995", "--quiet")
    assert "too few different passages for umap: pca" in out


@pytest.mark.parametrize(
    "changes",
    [
        {"facts": {}},
        {"facts": {"share": "x", "placed": {"a": 1}, "points": [1]}},
        {"facts": {"share": -(10**400), "on_rim": 10**400, "drawn_by": None}},
        {"recipe": {"format": 1}},
    ],
)
def test_a_foreign_build_says_less_and_fails_nowhere(capsys, collection, tmp_path, changes):
    run(capsys, "map", str(collection.path), "--method", "pca")
    (build,) = list_maps(collection)
    file = build_folder(collection, "map", build.id) / "build.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    code, out, _ = run(
        capsys, "map", str(collection.path), "--id", build.id, "--out", str(tmp_path / "m.svg")
    )
    assert code == 0 and f"map {build.id}" in out and "0%" not in out
    assert run(capsys, "map", str(collection.path), "--list")[0] == 0


def test_list_and_remove(capsys, collection):
    assert run(capsys, "map", collection.path, "--list")[1].startswith("no map yet")
    run(capsys, "map", collection.path, "--method", "pca", "--quiet")
    first = list_maps(collection)[0].id
    run(capsys, "map", collection.path, "--method", "pca", "--quiet")
    _, told = as_json(capsys, "map", collection.path, "--list")
    assert [one["id"] for one in told["maps"]][1] == first
    assert run(capsys, "map", collection.path, "--list")[1].count("by pca") == 2
    assert as_json(capsys, "map", collection.path, "--remove", first) == (0, {"format": 1, "removed": first})
    assert first not in [build.id for build in list_maps(collection)]
    assert "is deleted" in run(capsys, "map", collection.path, "--remove", list_maps(collection)[0].id)[1]
    code, told = as_json(capsys, "map", collection.path, "--remove", first)
    assert (code, told["error"]["kind"]) == (1, "InputError")


@pytest.mark.parametrize("ending", [".svg", ".png", ".html"])
@pytest.mark.parametrize("colour", ["", "topic", "year", "trust", "tags"])
def test_pictures(capsys, collection, tmp_path, ending, colour):
    out = tmp_path / f"map{ending}"
    options = ["--colour", colour] if colour else []
    code, told = as_json(capsys, "map", collection.path, "--method", "pca", "--quiet", "--out", out, *options)
    assert (code, told["out"]) == (0, str(out))
    content = out.read_bytes()
    assert content.startswith({".svg": b"<svg", ".png": b"\x89PNG", ".html": b"<!doctype html>"}[ending])
    if ending == ".svg" and colour == "topic":
        assert b"roads (20)" in content
    if ending == ".html":
        assert b'"Title 7' in content
        assert str(open_map(collection).id).encode() in content


def test_computed_topics_colour_a_map_where_a_column_is_called_topic(capsys, collection, tmp_path):
    run(capsys, "map", collection.path, "--method", "pca", "--quiet")
    export = ["map", collection.path, "--id", "newest", "--colour", "derived.topic"]
    code, _, err = run(capsys, *export, "--out", tmp_path / "none.svg")
    assert code == 1 and "there are no topics of this collection yet" in err
    run(capsys, "topics", collection.path, "--method", "kmeans", "-n", "2", "--quiet")
    assert run(capsys, *export, "--out", tmp_path / "map.svg")[0] == 0
    assert run(capsys, *export, "--out", tmp_path / "map.parquet")[0] == 0
    table = pq.read_table(tmp_path / "map.parquet")
    assert set(table["derived.topic"].to_pylist()) == {0, 1}
    assert run(capsys, *export[:-1], "derived.trust", "--out", tmp_path / "trust.csv")[0] == 0


def test_tables_as_of_the_newest_version(capsys, collection, tmp_path, embedder):
    run(capsys, "map", collection.path, "--method", "pca", "--quiet")
    stored = open_map(collection)
    collection.delete(ids=["d5"])
    collection.add(ListSource(documents(4, start=60)), encoder=embedder)
    out = tmp_path / "map.parquet"
    assert run(capsys, "map", collection.path, "--id", "newest", "--out", out, "--colour", "topic")[0] == 0
    table = pq.read_table(out)
    assert table.column_names == ["id", "document_id", "title", "x", "y", "trust", "is_placed", "topic"]
    rows = {row["document_id"]: row for row in table.to_pylist()}
    assert len(rows) == 63
    assert "d5" not in rows
    assert rows["d62"]["is_placed"]
    assert rows["d62"]["trust"] is None
    assert not rows["d7"]["is_placed"]
    assert rows["d7"]["topic"] == "bread"
    assert rows["d7"]["x"] in stored.x
    origin = json.loads(table.schema.metadata[b"llm2comp"])
    assert (origin["map"], origin["version"], origin["recipe"]["method"]) == (stored.id, 3, "pca")

    sheet = tmp_path / "map.csv"
    run(capsys, "map", collection.path, "--id", stored.id, "--out", sheet, "--colour", "topic")
    records = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8-sig"))))
    assert {record["topic"] for record in records} == {"roads", "bread", "'=SUM(1)"}
    assert {record["trust"] for record in records if record["document_id"] == "d62"} == {""}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--list", "--id", "0" * 8], 2, "--list and --id exclude each other"),
        (["--id", "0" * 8, "--seed", "1"], 2, "--seed makes a new map, --id is for one that exists"),
        (["--list", "--out", "m.svg"], 2, "--list writes no file"),
        (["--colour", "year"], 2, "are for --out"),
        (["--method", "tsne"], 2, "invalid choice: 'tsne'"),
        (["--seed", "-1"], 1, "seed -1 is impossible"),
        (["--neighbours", "1"], 1, "neighbours 1 is impossible"),
        (["--where", "year > 3000"], 1, "no passage passes the filter"),
        (["--where", "nothing = 1"], 1, "nothing"),
        (["--id", "../../x"], 1, "is no id of a map build"),
        (["--id", "newest"], 1, "this collection has no map"),
        (["--out", "map.gif"], 1, "cannot be written as .gif"),
        (["--out", "map.svg", "--colour", "derived.year"], 1, "there is no column 'derived.year'"),
        (["--out", "map.svg", "--colour", "colour"], 1, "there is no column 'colour'"),
    ],
)
def test_what_cannot_be(capsys, collection, monkeypatch, tmp_path, options, code, message):
    monkeypatch.chdir(tmp_path)
    found, _, err = run(capsys, "map", collection.path, *options, "--quiet")
    assert (found, message in err) == (code, True), err
    assert "Traceback" not in err
    assert list_maps(collection) == []
    assert not (tmp_path / "map.svg").exists()


def test_topics_are_asked_for_where_there_are_none(capsys, tmp_path, monkeypatch, embedder):
    plain = [doc(f"d{i}", f"row {i}") for i in range(20)]
    collection = new_collection(tmp_path / "c", plain, encoder=embedder, columns={})[0]
    out = tmp_path / "m.svg"
    code, _, err = run(capsys, "map", collection.path, "--out", out, "--colour", "topic", "--quiet")
    assert code == 1
    assert "llm2comp topics" in err
    assert list_maps(collection) == []


def test_a_file_is_not_replaced_unasked(capsys, collection, tmp_path):
    out = tmp_path / "map.svg"
    out.write_text("mine")
    code, _, err = run(capsys, "map", collection.path, "--method", "pca", "--out", out, "--quiet")
    assert (code, "exists already" in err, out.read_text()) == (1, True, "mine")
    assert list_maps(collection) == []
    assert run(capsys, "map", collection.path, "--method", "pca", "--out", out, "--force", "--quiet")[0] == 0
    assert out.read_text().startswith("<svg")


def test_the_progress_file_ends_with_done(capsys, collection, tmp_path):
    file = tmp_path / "progress.json"
    run(capsys, "map", collection.path, "--method", "pca", "--progress-file", file, "--quiet")
    assert json.loads(file.read_text())["state"] == "done"


def test_interrupted_it_exits_130_and_leaves_nothing(capsys, collection, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("indexer.maps.laid_out.umap_layout", stop)
    assert run(capsys, "map", collection.path, "--quiet")[0] == 130
    assert list_maps(collection) == []


def test_a_map_of_few_passages_is_listed_by_what_drew_it(tmp_path, capsys):
    collection, _ = new_collection(tmp_path / "few", numbered(8))
    assert main(["map", str(collection.path)]) == 0
    said = capsys.readouterr()
    assert "8 points by pca" in said.out and "compiled" not in said.err
    assert main(["map", str(collection.path), "--list"]) == 0
    assert "8 points by pca" in capsys.readouterr().out


def test_a_second_map_says_what_it_changes(capsys, collection):
    _, first, _ = run(capsys, "map", collection.path, "--neighbours", "10", "--quiet")
    umap = open_map(collection).id
    assert "from now on" not in first
    _, out, _ = run(capsys, "map", collection.path, "--method", "pca", "--quiet")
    pca = open_map(collection).id
    assert f"the one before, {umap}, is in its list" in out
    assert f"new topics are still found on {umap}" in out
    assert "from now on" not in run(capsys, "map", collection.path, "--id", "newest")[1]
    undo = out[out.index("--remove") :].split()[:2]
    assert undo == ["--remove", pca]
    run(capsys, "map", collection.path, *undo)
    assert open_map(collection).id == umap
