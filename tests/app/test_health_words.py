"""What is said beside the measures: advice that fits where it is read, intervals that are explained, rows from 0."""

import json

import numpy as np
import pytest

from app.cli import main
from app.health_advice import advice_for_page
from app.health_words import MEASURES
from encoder.spectrum import diagnose, judge
from tests.app.test_diagnose_verb import ByLastWord
from tests.indexer.making import doc, new_collection

MEAN = "Take the mean away."


def _normal(n=400, d=16, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.fixture
def file(tmp_path):
    def save(rows):
        np.save(tmp_path / "v.npy", rows)
        return tmp_path / "v.npy"

    return save


@pytest.fixture
def cone():
    rows = _normal()
    rows[:, 0] += 24
    return rows


def run(capsys, *arguments):
    code = main(["diagnose", *map(str, arguments), "--quiet"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_vectors_are_told_the_option_and_nothing_of_a_rebuild(capsys, file, cone, tmp_path):
    page = tmp_path / "h.html"
    _, out, _ = run(capsys, file(cone), "--html", page)
    assert f"  - {MEAN} Try it with --what-if centre.\n" in out
    for text in (out, page.read_text()):
        assert "rebuild" not in text and "repeated texts" not in text
    assert f"<li>{MEAN} Try it with --what-if centre.</li>" in page.read_text()


@pytest.mark.parametrize("tried", ["centre", "centre+drop:1"])
def test_what_was_tried_is_not_told_to_be_tried(capsys, file, cone, tried):
    _, out, _ = run(capsys, file(cone), "--what-if", tried)
    assert "--what-if centre" not in out.replace("--what-if centre+", "")
    assert (
        f"See {tried} under What if; to keep it, subtract their mean from documents and questions alike"
        in out
    )


def test_another_trial_does_not_count(capsys, file, cone):
    _, out, _ = run(capsys, file(cone), "--what-if", "drop:1")
    assert f"{MEAN} Try it with --what-if centre." in out


def test_a_collection_is_told_how_to_keep_it_or_that_it_does_not_help(capsys, tmp_path, monkeypatch):
    vectors = np.random.default_rng(3).normal(size=(90, 8))
    vectors[:, 0] += 24
    embedder = ByLastWord(vectors)
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: embedder)
    documents = [doc(f"d{at}", f"row {at}", "", year=at) for at in range(90)]
    collection = new_collection(tmp_path / "my c", documents, encoder=embedder)[0]
    keep = f"{MEAN} See centre under What if; to keep it: llm2comp rebuild '{collection.path}' --transform centre"
    for found, said in {
        "not known": keep,
        "finds more": keep,
        "finds less": f"{MEAN} But centre, as tried here, finds less: leave the vectors as they are.",
        "may be chance": f"{MEAN} But centre, as tried here, makes no sure difference to what is found.",
    }.items():
        monkeypatch.setattr("app.health_advice.gain_words", lambda gain, found=found: found)
        assert f"  - {said}\n" in run(capsys, collection.path, "--what-if", "centre")[1]


def test_the_page_names_its_part(cone):
    assert advice_for_page(judge(diagnose(cone))) == [
        f"{MEAN} Try centre under What if, and save it there if it helps."
    ]


def test_of_one_point_centring_leaves_nothing(capsys, file, tmp_path):
    page = tmp_path / "h.html"
    _, out, _ = run(capsys, file(np.repeat(_normal(1), 100, 0)), "--what-if", "centre", "--html", page)
    said = "centre leaves nothing to tell vectors apart by: all of them are the same then."
    assert out.startswith("Collapsed: all vectors are the same.") and said in out and said in page.read_text()
    assert "  - Mend the encoder or train it anew: it gives every text the same vector." in out
    assert "Take the mean away" not in out


def test_what_leaves_something_is_not_said_to_leave_nothing(capsys, file, cone):
    assert "leaves nothing" not in run(capsys, file(cone), "--what-if", "centre")[1]


def test_a_requirement_is_on_the_number_that_the_table_shows(capsys, file, cone):
    path = file(cone)
    _, out, _ = run(capsys, path)
    measures = json.loads(run(capsys, path, "--json")[1])["measures"]
    shown = {line[:28].strip(): line[28:].split()[0] for line in out.splitlines() if len(line) > 40}
    assert set(MEASURES) <= set(measures)
    for name, (label, _) in MEASURES.items():
        if name in ("effective_rank", "effective_rank_with_mean", "participation_ratio"):
            assert float(shown[label]) == pytest.approx(measures[name], rel=0.01), name
    assert measures["effective_rank"] > 2 * measures["effective_rank_with_mean"]
    assert run(capsys, path, "--require", "effective_rank>=10")[0] == 0
    assert run(capsys, path, "--require", "effective_rank_with_mean>=10")[0] == 3


def test_rows_of_a_file_are_counted_from_0_and_it_is_said_once(capsys, file, tmp_path):
    rows = _normal()
    rows[[7, 391]] = rows[3]
    page = tmp_path / "h.html"
    path = file(rows)
    _, out, _ = run(capsys, path, "--html", page)
    told = json.loads(run(capsys, path, "--json")[1])
    assert [row["position"] for row in told["rows"]["equal"][0]["rows"]] == [3, 7, 391]
    assert "duplicates: 3 rows equal: row 3, row 7, row 391" in out
    assert "row 3; row 7; row 391" in page.read_text()
    for text in (out, page.read_text()):
        assert text.count("Rows are counted from 0, as in numpy.") == 1 and "3 passages" not in text


def test_an_interval_without_its_value_is_explained(capsys, file, tmp_path):
    page = tmp_path / "h.html"
    said = "An interval is of the value that many more rows would give, so the value of these rows can lie outside it."
    _, out, _ = run(capsys, file(_normal()), "--html", page)
    measures = {line[:28].strip(): line[28:].split() for line in out.splitlines()}
    assert float(measures["Effective rank"][0]) < float(measures["Effective rank"][1])  # it is outside
    assert said in out and said in page.read_text()
    _, out, _ = run(capsys, file(_normal(n=10)))  # no intervals
    assert said not in out
