"""`llm2comp diagnose` on a collection and on files: what it prints, writes, and how it ends."""

import csv
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from app.cli import main
from tests.indexer.making import PresetEmbedder, doc, new_collection

EVIL = "<script>alert(1)</script>\x1b[31m **b** \u202e"


class ByLastWord(PresetEmbedder):
    """The text ends in the number of its vector, so that a title may stand before."""

    def _encode(self, texts):
        return np.stack([self.vectors[int(text.split()[-1])] for text in texts]).astype(np.float32)


@pytest.fixture
def healthy(tmp_path):
    np.save(tmp_path / "healthy.npy", np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32))
    return tmp_path / "healthy.npy"


@pytest.fixture
def collapsed(tmp_path):
    rows = np.random.default_rng(0).normal(size=(400, 16)) * 0.01
    rows[:, 0] += np.random.default_rng(1).normal(size=400)
    np.save(tmp_path / "collapsed.npy", rows.astype(np.float32))
    return tmp_path / "collapsed.npy"


@pytest.fixture
def collection(tmp_path, monkeypatch):
    vectors = np.random.default_rng(3).normal(size=(90, 8))
    vectors[5] = vectors[4]
    embedder = ByLastWord(vectors)
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: embedder)
    documents = [doc(f"d{at}", f"row {at}", EVIL if at in (4, 5) else "", year=at) for at in range(90)]
    return new_collection(tmp_path / "c", documents, encoder=embedder)[0]


def run(capsys, *arguments):
    code = main(["diagnose", *map(str, arguments), "--quiet"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_verdict_comes_first(capsys, healthy, collapsed):
    code, out, err = run(capsys, healthy)
    assert code == 0 and out.startswith("Healthy: effective rank") and err == ""
    assert "what to do" not in out
    code, out, _ = run(capsys, collapsed)
    assert code == 0 and out.startswith(
        "Collapsed: 1 direction holds 90% of the variance (healthy: at least "
    )
    assert "the first direction carries 94% (healthy: at most " in out.splitlines()[0]
    assert "what to do:\n  - " in out


def test_json_has_the_fields_of_the_diagnosis(capsys, healthy):
    code, out, _ = run(capsys, healthy, "--json")
    told = json.loads(out)
    assert code == 0 and told["format"] == 2 and told["state"] == "healthy"
    assert 14 < told["effective_rank"] <= 16 and told["n"] == 400 and told["failures"] == []


@pytest.mark.parametrize(
    ("conditions", "code", "said"),
    [
        (["effective_rank>=10", "state!=collapsed"], 0, ""),
        (["effective_rank>=50"], 3, "effective_rank>=50 does not hold: effective_rank is 15."),
        (["state==watch"], 3, "state==watch does not hold: state is healthy"),
        (["ann_recall>=0.5"], 3, "ann_recall>=0.5 does not hold: ann_recall is not defined"),
    ],
)
def test_conditions_decide_the_exit_code(capsys, healthy, conditions, code, said):
    options = [part for each in conditions for part in ("--require", each)]
    found, out, err = run(capsys, healthy, *options)
    assert found == code and out.startswith("Healthy") and said in err and bool(err) == bool(said)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--require", "rank is fine"], 2, "is not a measure, a comparison and a bound"),
        (["--require", "nosuch>1"], 2, "There is no measure 'nosuch'"),
        (["--what-if", "nonsense"], 2, "nonsense"),
        (["--seed", "-1"], 2, "the seed is -1"),
        (["--where", "year > 1"], 2, "a file of vectors has no metadata and no topics"),
        (["--out", "x.xlsx"], 2, "x.xlsx has no ending that is known"),
        (["--force"], 2, "--force is for --html and --out"),
        (["--against", "nosuch.npy"], 1, "there is no collection and no file of vectors of this name"),
        (["--html", "/nosuch/folder/x.html"], 1, "its folder does not exist"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, healthy, arguments, code, message):
    found, out, err = run(capsys, healthy, *arguments)
    assert (found, out) == (code, "") and message in err


def test_a_file_that_is_none_is_refused(capsys, tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    code, _, err = run(capsys, tmp_path / "x.txt")
    assert code == 1 and "there is no collection and no file of vectors" in err
    (tmp_path / "x.npy").write_bytes(b"hello")
    code, _, err = run(capsys, tmp_path / "x.npy")
    assert code == 1 and "the vectors cannot be read" in err


def test_a_second_one_is_laid_over(capsys, healthy, collapsed, tmp_path):
    code, out, _ = run(capsys, healthy, "--against", collapsed, "--html", tmp_path / "h.html")
    assert code == 0 and "against collapsed.npy: Collapsed" in out
    assert "effective_rank" not in out  # a table speaks in words
    assert "collapsed.npy" in (tmp_path / "h.html").read_text()
    _, out, _ = run(capsys, healthy, "--against", collapsed, "--json")
    assert json.loads(out)["against"]["state"] == "collapsed"


def test_an_older_version_is_laid_over(capsys, collection, tmp_path):
    collection.delete(where="year >= 60")
    file = tmp_path / "h.html"
    code, out, _ = run(capsys, collection.path, "--against-version", 1, "--html", file)
    assert code == 0 and "against c, version 1: " in out
    assert "The first has 60 rows, the second 90" in out and "c, version 1" in file.read_text()
    told = json.loads(run(capsys, collection.path, "--against-version", 1, "--json")[1])
    assert (told["of"]["version"], told["n"]) == (2, 60)
    assert (told["against"]["of"]["version"], told["against"]["n"]) == (1, 90)


def test_a_version_that_is_not_kept_is_refused_before_the_work(capsys, collection, healthy):
    code, _, err = run(capsys, collection.path, "--against-version", 7)
    assert code == 1 and "version 7 is not kept" in err and "choose one of 1; the last three" in err
    code, _, err = run(capsys, healthy, "--against-version", 1)
    assert code == 2 and "a file of vectors has no versions" in err
    code, _, err = run(capsys, healthy.parent / "gone", "--against-version", 1)
    assert code == 1 and "there is no collection and no file of vectors of this name" in err
    code, _, err = run(capsys, collection.path, "--against-version", 1, "--against", healthy)
    assert code == 2 and "not allowed with argument" in err


def test_a_filter_chooses_passages(capsys, collection):
    code, out, _ = run(capsys, collection.path, "--where", "year < 60")
    assert code == 0 and "60 passages: year < 60" in out
    code, _, err = run(capsys, collection.path, "--topic", "3")
    assert code == 1 and "topics" in err


def test_hostile_titles_do_not_command_the_terminal(capsys, collection):
    code, out, _ = run(capsys, collection.path)
    assert code == 0 and "duplicates: 2 passages equal" in out and "\x1b" not in out and "\u202e" not in out


def test_the_html_needs_no_network_and_runs_nothing(capsys, collection, tmp_path):
    file = tmp_path / "h.html"
    code, _, _ = run(capsys, collection.path, "--what-if", "centre", "--html", file)
    text = file.read_text()
    assert code == 0 and "<script" not in text and "&lt;script&gt;" in text
    assert "default-src 'none'" in text
    assert not [part for part in ("href=", "src=", "url(", "@import") if part in text]
    pictures = [part.split("</svg>")[0] + "</svg>" for part in text.split("<figure>")[1:]]
    assert len(pictures) == 6 + 3  # of the whole and by length
    for picture in pictures:
        ElementTree.fromstring(picture)


def test_the_spectra_by_length_are_in_the_html_and_the_json(capsys, tmp_path, monkeypatch):
    vectors = np.random.default_rng(3).normal(size=(90, 8))
    embedder = ByLastWord(vectors)
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: embedder)
    # A token of this encoder is a word.
    documents = [doc(f"d{at}", "word " * (1 + at // 30 * 4) + str(at), year=at) for at in range(90)]
    collection = new_collection(tmp_path / "c", documents, encoder=embedder)[0]
    file = tmp_path / "h.html"
    code, out, _ = run(capsys, collection.path, "--html", file, "--json")
    told = json.loads(out)["lengths"]
    assert (
        code == 0
        and told["curve_rows"] == 30
        and [len(each["eigenvalues"]) for each in told["bins"]] == [8] * 3
    )
    section = file.read_text().partition("<h2>Length</h2>")[2]
    assert section.count("<figure>") == 3 and "2 to 2 tokens" in section
    for picture in section.split("<figure>")[1:]:
        ElementTree.fromstring(picture.split("</svg>")[0] + "</svg>")


def test_temperatures_are_tried_and_shown_everywhere(capsys, tmp_path, monkeypatch):
    vectors = np.random.default_rng(3).normal(size=(40, 8))
    plain, loaded = ByLastWord(vectors), []

    def load(spec="default", **_):
        loaded.append(spec)
        # At the other temperature all vectors share a direction.
        return ByLastWord(vectors + 9 * np.eye(8)[0]) if spec.endswith("?temperature=0.8") else plain

    monkeypatch.setattr("encoder.checkpoint.load_encoder", load)
    documents = [doc(f"d{at}", " ".join([str(at)] * 20), year=at) for at in range(40)]
    collection = new_collection(tmp_path / "c", documents, encoder=plain)[0]
    file = tmp_path / "h.html"
    code, out, _ = run(capsys, collection.path, "--temperatures", 1, 0.8, 1, "--html", file)
    assert code == 0 and [spec.partition("?")[2] for spec in loaded if "?" in spec] == [
        "temperature=1",
        "temperature=0.8",
    ]
    assert "Tried on 40 passages, 40 of them long enough to be cut in two." in out
    table = [line.split() for line in out.partition("Halves found")[2].splitlines()[1:3]]
    assert [line[0] for line in table] == ["1", "0.8"] and float(table[1][1]) > 0.8 > float(table[0][1])
    assert "<h2>Temperatures of attention</h2>" in file.read_text() and "<td>0.8</td>" in file.read_text()
    told = json.loads(run(capsys, collection.path, "--temperatures", 0.8, "--json")[1])["temperatures"]
    assert (told["n"], [row["temperature"] for row in told["rows"]]) == (40, [0.8])
    assert told["rows"][0]["mean_cosine"] == pytest.approx(float(table[1][1]), abs=1e-3)


def test_temperatures_that_cannot_be_tried_are_said(capsys, collection, healthy):
    code, out, err = run(capsys, collection.path, "--temperatures", 1, 7)
    assert (code, out) == (2, "") and "temperature" in err
    code, out, _ = run(capsys, collection.path, "--temperatures", 1, 0.9)
    assert code == 0 and "note: 2 of 90 texts have 16 tokens" in out
    code, out, _ = run(capsys, healthy, "--temperatures", 1)
    assert code == 0 and "note: A file has no texts to encode at other temperatures." in out
    code, out, _ = run(capsys, collection.path, "--where", "year > 500", "--temperatures", 1)
    assert code == 0 and "note: there is no passage to try a temperature on" in out


def test_files_are_not_replaced_unasked(capsys, healthy, tmp_path):
    file = tmp_path / "h.html"
    file.write_text("mine")
    code, _, err = run(capsys, healthy, "--html", file)
    assert code == 1 and "the file exists already" in err and file.read_text() == "mine"
    code, out, _ = run(capsys, healthy, "--html", file, "--force")
    assert code == 0 and f"written: {file}" in out and file.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_spectrum_is_written(capsys, healthy, tmp_path, ending):
    import pyarrow.parquet as pq

    file = tmp_path / f"s.{ending}"
    assert run(capsys, healthy, "--out", file)[0] == 0
    rows = list(csv.DictReader(file.open())) if ending == "csv" else pq.read_table(file).to_pylist()
    told = json.loads(run(capsys, healthy, "--json")[1])
    assert [float(row["eigenvalue"]) for row in rows] == told["eigenvalues"]
    assert [int(row["direction"]) for row in rows] == list(range(1, 17))


def test_progress_is_written_for_the_app(capsys, healthy, tmp_path):
    run(capsys, healthy, "--progress-file", tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text())["state"] == "done"


def test_an_empty_file_cannot_be_told(capsys, tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((0, 4), np.float32))
    code, out, _ = run(capsys, tmp_path / "v.npy", "--html", tmp_path / "h.html")
    assert code == 0 and out.startswith("Cannot tell: there are no vectors.")
    html = (tmp_path / "h.html").read_text()
    assert "<svg" not in html and "A verdict takes 50 vectors" in html
    assert "Not measured here: Effective rank," in html and "<td>Effective rank" not in html


@pytest.mark.parametrize("rows", [1, 10])
def test_few_rows_say_what_is_missing_and_only_what_is_measured(capsys, tmp_path, rows):
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(rows, 64)))
    code, out, _ = run(capsys, tmp_path / "v.npy", "--html", tmp_path / "h.html")
    assert code == 0 and out.startswith("Cannot tell: ")
    assert (
        f"A verdict takes 64 vectors, as many as there are dimensions and 50 at least: {64 - rows} more"
        in out
    )
    assert (
        f"{rows} row{' is' if rows == 1 else 's are'} too few for intervals" in out and "they need 192" in out
    )
    table = out.partition("measure")[2].partition("Not measured here:")[0].splitlines()[1:]
    assert table and "95 %" not in out
    for line in table:
        assert line.split("  ", 1)[1].split()[0] != "\u2013"
    assert "<svg" not in (tmp_path / "h.html").read_text()


def test_in_a_pipe_nothing_of_a_table_is_cut(capsys, healthy):
    steps = "drop:2+whiten:0.05+pca:10"
    long = healthy.with_name(f"{'long' * 20}.npy")
    healthy.rename(long)
    _, out, _ = run(capsys, long, "--what-if", steps, "--against", long)
    assert "\u2026" not in out
    lines = out.splitlines()
    (titles,) = (line for line in lines if line.startswith("What if"))
    assert titles.endswith("Known items found first  Change") and any(
        line.startswith(steps) for line in lines
    )
    assert max(map(len, lines)) > 120
