"""A disk that is full when a job is asked for: a sentence, no process that nobody knows of, nothing half-made."""

import errno
import json
import os
import signal
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


def latest(job):
    return next(found for found in jobs.all_jobs() if found.id == job.id)


def end(process):
    process.kill()
    process.wait()


@pytest.mark.parametrize("after", [0, 1, 2])  # at writing the job, before its start, after it
def test_a_job_that_cannot_be_resumed_stays_as_it_was(library_home, full, processes, after):
    job = jobs.start("first", ["index"], library_home / "a")
    (job.folder / "progress.json").write_text('{"done": 3, "state": "failed"}')
    end(processes[0])
    assert jobs.status(job) == "lost"
    before = {path.name: path.read_bytes() for path in job.folder.glob("*.json")}
    full(after)
    with pytest.raises(jobs.NotKeptError, match=SENTENCE):
        jobs.resume(job)
    assert {name: (job.folder / name).read_bytes() for name in before} == before
    assert jobs.status(latest(job)) == "lost"
    assert jobs.progress(latest(job)).done == 3
    jobs.start_waiting()
    assert all(process.poll() is not None for process in processes)
    assert len(processes) == 1 + (after == 2)


def test_what_is_kept_for_a_resume_that_fails_goes_with_one_that_works(library_home, processes):
    job = jobs.start("first", ["index"], library_home / "a")
    (job.folder / "progress.json").write_text('{"done": 3}')
    end(processes[0])
    assert jobs.status(jobs.resume(job)) == "running"
    assert {path.name for path in job.folder.iterdir()} == {"job.json", "log.txt"}


def test_a_deaf_process_can_be_killed_while_the_disk_is_full(library_home, full, processes):
    job = jobs.start("first", ["index"], library_home / "a")
    os.kill(job.pid, signal.SIGSTOP)  # deaf to a polite request
    full()
    assert jobs.cancel(job).cancelled_at is not None
    assert processes[0].poll() is None
    assert latest(job).cancelled_at is not None  # the page offers to kill it
    jobs.cancel(job)  # the same stale handle, as a page holds that was drawn before
    assert processes[0].wait(20) == -signal.SIGKILL
    assert jobs.status(latest(job)) == "cancelled"


def test_a_wish_that_could_not_be_written_is_written_with_the_end_and_not_held_against_a_resume(
    library_home, processes, monkeypatch
):
    job = jobs.start("first", ["index"], library_home / "a")
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "write_json", no_room)
        jobs.cancel(job)
    processes[0].wait()
    assert jobs.status(latest(job)) == "cancelled"
    assert json.loads((job.folder / "job.json").read_text())["cancelled_at"] is not None
    assert jobs.resume(job).cancelled_at is None
    assert latest(job).cancelled_at is None


def no_room(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_job_that_waits_is_not_said_to_be_cancelled_while_the_disk_is_full(library_home, full, processes):
    jobs.start("first", ["index"], library_home / "a")
    second = jobs.start("second", ["index"], library_home / "b")
    full()
    with pytest.raises(jobs.NotKeptError, match=SENTENCE):
        jobs.cancel(second)
    assert jobs.status(latest(second)) == "queued"


@pytest.fixture
def broken(library_home, processes):
    """A job whose log cannot be written, that waits for a turn that has come."""
    jobs.start("first", ["index"], library_home / "a")
    job = jobs.start("broken", ["index"], library_home / "b")
    (job.folder / "log.txt").mkdir()
    end(processes[0])
    return job


def test_a_broken_job_that_waits_has_failed_and_a_new_one_starts(broken, library_home):
    new = jobs.start("new", ["index"], library_home / "c")
    assert jobs.status(new) == "running"
    assert jobs.status(latest(broken)) == "failed"
    assert "Is a directory" in latest(broken).reason
    with pytest.raises(InputError, match="is still at work"):
        jobs.resume(new)


def test_a_broken_job_that_waits_holds_up_no_other_that_waits(broken, library_home, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "_start_first", lambda asked="": None)
        waiting = jobs.start("waiting", ["index"], library_home / "c")
    jobs.start_waiting()
    assert jobs.status(latest(waiting)) == "running"
    assert jobs.status(latest(broken)) == "failed"


def test_a_broken_job_that_cannot_even_be_marked_holds_up_no_other(broken, library_home, monkeypatch):
    write = jobs.write_json

    def refused(path, content):
        if path.parent == broken.folder:
            raise PermissionError(errno.EACCES, "Permission denied")
        write(path, content)

    monkeypatch.setattr(jobs, "write_json", refused)
    assert jobs.status(jobs.start("new", ["index"], library_home / "c")) == "running"
    assert jobs.status(latest(broken)) == "queued"


def test_a_broken_job_says_why_when_it_is_resumed_and_works_once_mended(broken):
    jobs.start_waiting()
    with pytest.raises(jobs.NotKeptError, match="the job cannot be kept: Is a directory") as caught:
        jobs.resume(broken)
    assert caught.value.fix == "see that the server can write into its folder of jobs, and try again"
    assert jobs.status(latest(broken)) == "failed"
    (broken.folder / "log.txt").rmdir()
    assert jobs.status(jobs.resume(broken)) == "running"
    assert latest(broken).reason == ""


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "make room on the server's disk and try again"),
        (errno.EDQUOT, "make room on the server's disk and try again"),
        (errno.EAGAIN, "try again when the server has less to do"),
        (errno.EMFILE, "try again when the server has less to do"),
        (errno.EROFS, "see that the server can write into its folder of jobs, and try again"),
    ],
)
def test_only_a_full_disk_is_to_be_made_room_on(library_home, monkeypatch, number, fix):
    def refuse(*_, **__):
        raise OSError(number, "no")

    monkeypatch.setattr(jobs.subprocess, "Popen", refuse)
    with pytest.raises(jobs.NotKeptError, match="the job cannot be kept: no") as caught:
        jobs.start("t", ["index"], library_home / "a")
    assert caught.value.fix == fix
    assert jobs.all_jobs() == []


def test_a_machine_that_is_too_busy_fails_no_job_that_waits(library_home, processes, monkeypatch):
    jobs.start("first", ["index"], library_home / "a")
    second = jobs.start("second", ["index"], library_home / "b")
    end(processes[0])

    def refuse(*_, **__):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(jobs.subprocess, "Popen", refuse)
        jobs.start_waiting()
    assert jobs.status(latest(second)) == "queued"
    jobs.start_waiting()
    assert jobs.status(latest(second)) == "running"


def test_the_list_says_what_was_not_done_and_why_a_job_failed(broken, open_app, full):
    jobs.start_waiting()
    test = open_app("corpora")
    assert "It could not be started: [Errno 21] Is a directory" in text_of(test)
    full()
    next(found for found in test.button if found.key == f"resume_{broken.id}").click().run()
    shown = "\n".join(
        str(element.value) for element in [*test.text, *test.warning, *test.info, *test.markdown]
    )
    assert (
        "Not done: the job cannot be kept: No space left on device; make room on the server's disk" in shown
    )
    assert not test.exception


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
