"""What a running job tells people on stderr and the page in its progress file."""

import json

from app.cli import main
from app.job_meter import JobMeter
from indexer.progress import JobProgress


def report(tmp_path, *steps):
    file = tmp_path / "progress.json"
    with JobMeter(file=file) as meter:
        for step in steps:
            meter.report(step)
    return json.loads(file.read_text())


def test_documents_are_counted_where_there_are_any(capsys, tmp_path):
    told = report(tmp_path, JobProgress("indexing", documents=4, passages=9, tokens=90, fraction=0.5))
    assert (told["done"], told["total"]) == (4, 8)
    assert capsys.readouterr().err == "indexing: 4 documents in 0 s\n"


def test_a_stage_without_documents_counts_passages(capsys, tmp_path):
    told = report(tmp_path, JobProgress("exporting", passages=5, fraction=0.25))
    assert (told["stage"], told["done"], told["total"], told["state"]) == ("exporting", 5, 20, "done")
    assert capsys.readouterr().err == "exporting: 5 passages in 0 s\n"


def test_a_progress_file_that_cannot_be_written_stops_no_job(capsys, tmp_path):
    file = tmp_path / "gone" / "progress.json"
    with JobMeter(file=file, quiet=True) as meter:
        meter.report(JobProgress("indexing", documents=4))
    assert not file.exists()


def test_a_job_ends_well_without_its_progress_folder(capsys, tmp_path, monkeypatch, word_embedder):
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: word_embedder)
    source = tmp_path / "a.csv"
    source.write_text("id,text\n1,Flour water and salt make bread\n")
    gone = tmp_path / "gone" / "progress.json"
    assert main(["index", str(source), "--into", str(tmp_path / "c"), "--progress-file", str(gone)]) == 0
