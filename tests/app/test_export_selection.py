"""`llm2comp export` of chosen passages, and filters by tag at the command line."""

import json
import zipfile

import pytest

from app.cli import main
from indexer.annotations import tags
from tests.indexer.making import doc, new_collection


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    made, _ = new_collection(tmp_path_factory.mktemp("x") / "c", [doc(f"d{n}", year=n) for n in range(10)])
    tags.add_tag(made, "it's good", [f"d{n}" for n in range(0, 10, 2)])
    tags.add_tag(made, "new", ["d8", "d9"])
    return made.path


def exported(capsys, collection, out, *arguments):
    assert (
        main(["export", str(collection), "--out", str(out), "--quiet", "--force", "--json", *arguments]) == 0
    )
    count = json.loads(capsys.readouterr().out)["passages"]
    found = [json.loads(line)["document_id"] for line in out.read_text().splitlines()]
    assert len(found) == count
    return sorted(found)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--where", "year >= 8"], ["d8", "d9"]),
        (["--tag", "it's good"], ["d0", "d2", "d4", "d6", "d8"]),
        (["--tag", "it's good", "new"], ["d8"]),
        (["--where", "year = 1 or year = 2", "--tag", "it's good"], ["d2"]),
        (["--where", "tag is null and year < 4"], ["d1", "d3"]),
    ],
)
def test_export_writes_what_was_chosen(capsys, collection, tmp_path, arguments, expected):
    assert exported(capsys, collection, tmp_path / "e.jsonl", *arguments) == expected


def test_export_writes_a_bundle(capsys, collection, tmp_path):
    out = tmp_path / "b.zip"
    assert main(["export", str(collection), "--out", str(out), "--where", "year < 3", "--quiet"]) == 0
    assert capsys.readouterr().out == f"3 passages in {out}\n"
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["b/passages.parquet", "b/passages.jsonl", "b/README.txt"]
    assert main(["export", str(collection), "--out", str(out), "--quiet"]) == 1  # nothing is replaced


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--out", "b.zip", "--vectors"], 2, "a bundle holds no vectors"),
        (["--out", "e.csv", "--topic", "3"], 1, "no topics of this collection yet"),
        (["--out", "e.csv", "--tag", ""], 1, "cannot be a tag"),
        (["--out", "e.csv", "--where", "yaer = 1"], 1, 'there is no column "yaer"'),
        (["--out", "e.csv", "--tag", "new", "--where", "year = 1) or (year = 2"], 1, "is one too many"),
    ],
)
def test_impossible_choices_are_refused(capsys, collection, tmp_path, monkeypatch, arguments, code, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(collection), "--quiet", *arguments]) == code
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
