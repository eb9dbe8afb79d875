"""A disk that is full when a job is asked for: a sentence, no process that nobody knows of, nothing half-made."""

import errno
import subprocess

import pandas as pd
import pytest

from app import jobs, library
from encoder.errors import InputError

SENTENCE = "the job cannot be kept: No space left on device"


def text_of(test):
    return "\n".join(str(element.value) for kind in (test.text, test.code) for element in kind)


@pytest.fixture
def full(monkeypatch):
    """Fills the disk for the files of jobs after so many of them; returns how to."""
    written, write = [], jobs.write_json

    def fill(after=0):
        def counted(path, content):
            written.append(path)
            if len(written) > after:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(path, content)

        monkeypatch.setattr(jobs, "write_json", counted)

    return fill


@pytest.fixture
def processes(monkeypatch):
    """Every process that is started, which would run for a minute."""
    started, popen = [], subprocess.Popen

    def counted(command, **options):
        started.append(popen(["sleep", "60"], **options))
        return started[-1]

    monkeypatch.setattr(jobs.subprocess, "Popen", counted)
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("after", [0, 1, 2])  # at writing the job, before its start, after it
def test_a_job_that_cannot_be_written_down_is_not_started(library_home, full, processes, after):
    full(after)
    with pytest.raises(InputError, match=SENTENCE) as caught:
        jobs.start_once("map", library_home / "c")
    assert caught.value.where == str(library.jobs_folder())
    assert caught.value.fix == "make room on the server's disk and try again"
    assert jobs.all_jobs() == []
    assert [path.name for path in library.jobs_folder().iterdir()] == ["queue.lock"]
    assert len(processes) == (after == 2)
    assert all(process.poll() is not None for process in processes)


@pytest.mark.parametrize("after", [0, 1])
def test_a_job_that_waits_goes_on_waiting_while_the_disk_is_full(library_home, full, processes, after):
    jobs.start("first", ["index"], library_home / "a")
    second = jobs.start("second", ["index"], library_home / "b")
    processes[0].kill()
    processes[0].wait()
    assert [jobs.status(job) for job in jobs.all_jobs()].count("lost") == 1
    full(after)
    jobs.start_waiting()
    assert jobs.status(next(job for job in jobs.all_jobs() if job.id == second.id)) == "queued"
    assert all(process.poll() is not None for process in processes)


def test_an_import_on_a_full_disk_is_a_sentence(library_home, open_app, tmp_path, full):
    source = tmp_path / "owls.csv"
    pd.DataFrame(
        {"id": range(9), "body": [f"The owl number {n} sleeps all day long." for n in range(9)]}
    ).to_csv(source, index=False)
    test = open_app("corpora")
    test.text_input(key="import_path").set_value(str(source)).run()
    full()
    next(found for found in test.button if found.key == "start_import").click().run()
    assert SENTENCE in text_of(test)
    assert "It is our mistake" not in text_of(test)
    assert not test.exception
    assert not library.collection_path("owls").exists()
