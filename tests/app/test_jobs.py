"""Jobs are processes: they end, fail, are stopped, are killed, and go on."""

import json
import os
import signal
import time

import pytest

from app import jobs, library, mode, processes
from encoder.errors import InputError

WORKER = """
import json, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.default_int_handler)  # as app.cli does
folder = pathlib.Path.cwd()
runs = folder / "runs"
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
def say(done):
    file = pathlib.Path(sys.argv[sys.argv.index("--progress-file") + 1])
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"stage": "indexing", "done": done, "total": 9, "rate": 3.0, "seconds_left": 2.0,
        "state": "running", "heartbeat": time.time(), "unknown": 1}))
    new.replace(file)
kind = sys.argv[1]
say(3)
print("hello from", kind, flush=True)
if kind == "fail":
    sys.exit(1)
if kind == "sleep":
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.fixture
def worker(library_home, monkeypatch):
    """Lets jobs run a small program of ours instead of the real command."""
    script = library_home / "worker.py"
    script.write_text(WORKER)
    popen = jobs.subprocess.Popen
    monkeypatch.setattr(
        jobs.subprocess,
        "Popen",
        lambda command, **rest: popen([command[0], str(script), *command[4:]], **rest),
    )

    def start(kind, *arguments):
        return jobs.start(f"Import {kind}", [kind, *arguments], library_home / "into")

    yield start
    for child in jobs._children.values():
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def latest(job):
    return next((found for found in jobs.all_jobs() if found.id == job.id), None)


def ended(*asked):
    """Whether the jobs have ended, looked at as a server does: it also starts what waits."""
    jobs.start_waiting()
    return all(jobs.status(latest(job)) not in jobs.ALIVE for job in asked)


def test_a_job_runs_the_command_that_a_person_would_type(library_home, monkeypatch):
    commands = []
    popen = jobs.subprocess.Popen
    monkeypatch.setattr(
        jobs.subprocess, "Popen", lambda command, **rest: commands.append(command) or popen(["true"], **rest)
    )
    job = jobs.start("t", ["index", "a.csv", "--into", "x"], library_home)
    (command,) = commands
    assert command[1:7] == ["-P", "-m", "app.cli", "index", "a.csv", "--into"]
    assert command[-2:] == ["--progress-file", str(job.folder / "progress.json")]


def test_a_job_ends_and_tells_its_progress_and_log(worker):
    job = worker("quick")
    wait_for(lambda: jobs.status(job) == "done")
    assert jobs.progress(job).done == 3
    assert jobs.log_tail(job) == "hello from quick"
    assert latest(job).exit_code == 0


def test_a_failed_job_is_told_from_a_lost_one(worker):
    job = worker("fail")
    wait_for(lambda: jobs.status(job) == "failed")


def test_a_cancelled_job_can_go_on(worker):
    job = worker("sleep")
    wait_for(lambda: jobs.progress(job).done == 3)
    job = jobs.cancel(job)
    wait_for(lambda: jobs.status(job) == "cancelled")
    again = jobs.resume(latest(job))
    assert again.id == job.id
    assert again.pid != job.pid
    wait_for(lambda: (job.folder / "runs").read_text() == "xx")
    assert jobs.status(again) == "running"
    with pytest.raises(InputError, match="still at work"):
        jobs.resume(again)


def test_a_second_cancel_kills(worker):
    job = worker("sleep")
    wait_for(lambda: jobs.progress(job).done == 3)
    os.kill(job.pid, signal.SIGSTOP)  # deaf to a polite request
    job = jobs.cancel(job)
    assert jobs.status(job) == "running"
    job = jobs.cancel(job)
    wait_for(lambda: jobs.status(job) == "cancelled")


def test_a_job_killed_from_outside_is_lost(worker):
    job = worker("sleep")
    wait_for(lambda: jobs.progress(job).done == 3)
    os.killpg(job.pid, signal.SIGKILL)
    wait_for(lambda: jobs.status(job) == "lost")


def test_a_job_of_an_earlier_server_is_judged_by_its_process(worker, monkeypatch):
    job = worker("sleep")
    wait_for(lambda: jobs.progress(job).done == 3)
    child = jobs._children.pop(job.id)  # as after a restart of the server
    assert jobs.status(latest(job)) == "running"
    os.killpg(job.pid, signal.SIGKILL)
    wait_for(lambda: jobs.status(latest(job)) == "lost")
    child.wait()


def test_another_process_with_the_same_number_is_not_the_job(worker):
    job = worker("quick")
    wait_for(lambda: jobs.status(job) == "done")
    file = job.folder / "job.json"
    content = json.loads(file.read_text()) | {"pid": os.getpid(), "exit_code": None, "process_start": "1"}
    file.write_text(json.dumps(content))
    assert jobs.status(latest(job)) == "lost"


def test_a_stale_heartbeat_is_told(worker, monkeypatch):
    job = worker("sleep")
    wait_for(lambda: jobs.progress(job).done == 3)
    assert jobs.status(job) == "running"
    later = time.time() + 500
    monkeypatch.setattr(jobs.time, "time", lambda: later)
    assert jobs.status(job) == "silent"


def test_an_ended_job_can_be_removed_and_a_working_one_not(worker):
    job = worker("quick")
    wait_for(lambda: jobs.status(job) == "done")
    working = worker("sleep")
    jobs.forget(job)
    jobs.forget(working)
    assert [found.id for found in jobs.all_jobs()] == [working.id]


@pytest.mark.parametrize(
    "content",
    [
        '{"format": 1, "id": "x", "title": "", "arguments": [], "into": "", "pid": -1}',
        "",
        "[]",
        '{"format": 99, "id": "x"}',
        '{"format": 1}',
        '{"format": 1, "id": "x", "title": 3, "arguments": [], "into": ""}',
        '{"format": 1, "id": "x", "title": "", "arguments": [], "into": "", "queued_at": "now"}',
        '{"format": 1, "id": "x", "title": "", "arguments": [], "into": "", "started_at": NaN}',
        '{"format": 1, "id": "x", "title": "", "arguments": [], "into": "", "pid": true}',
        '{"format": 1, "id": "x", "title": "", "arguments": [], "into": "", "pid": null}',
    ],
)
def test_a_foreign_or_damaged_job_folder_is_passed_over(library_home, content):
    folder = library_home / "jobs" / "x"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(content)
    assert jobs.all_jobs() == []


def test_a_second_page_cannot_resume_what_the_first_has_resumed(worker):
    job = worker("sleep")
    wait_for(lambda: jobs.progress(job).done == 3)
    os.killpg(job.pid, signal.SIGKILL)
    wait_for(lambda: jobs.status(job) == "lost")
    first, second = latest(job), latest(job)
    again = jobs.resume(first)
    with pytest.raises(InputError, match="still at work"):
        jobs.resume(second)
    assert latest(job).pid == again.pid


def test_a_page_drawn_before_a_resume_cancels_the_new_process(worker):
    job = worker("sleep")
    wait_for(lambda: jobs.progress(job).done == 3)
    stale = latest(job)
    os.killpg(job.pid, signal.SIGKILL)
    wait_for(lambda: jobs.status(job) == "lost")
    again = jobs.resume(latest(job))
    wait_for(lambda: jobs.progress(again).done == 3)
    jobs.cancel(stale)
    wait_for(lambda: jobs.status(latest(job)) == "cancelled")


def test_a_second_page_kills_what_the_first_asked_to_stop(worker):
    job = worker("sleep")
    wait_for(lambda: jobs.progress(job).done == 3)
    os.kill(job.pid, signal.SIGSTOP)  # deaf to a polite request
    jobs.cancel(job)
    jobs.cancel(job)  # the same stale handle, as a page holds that was drawn before
    wait_for(lambda: jobs.status(latest(job)) == "cancelled")


def test_a_stale_handle_that_learns_the_end_keeps_what_another_page_wrote(worker):
    job = worker("sleep")
    wait_for(lambda: jobs.progress(job).done == 3)
    jobs.cancel(latest(job))
    wait_for(lambda: jobs.status(job) not in jobs.ALIVE)  # never heard of the wish
    assert latest(job).cancelled_at is not None


def test_a_stale_handle_that_learns_the_end_does_not_end_the_job_that_was_resumed(worker):
    job = worker("fail")
    jobs._children[job.id].wait()
    first = worker("sleep")
    assert jobs.status(jobs.resume(job)) == "queued"
    assert jobs.status(job) == "failed"  # what a page drawn before holds
    assert latest(job).exit_code is None
    jobs.cancel(first)
    wait_for(lambda: ended(first, job))
    assert jobs.status(latest(job)) == "failed"
    assert (job.folder / "runs").read_text() == "xx"


def test_a_removed_job_is_said_to_be_gone_and_a_resumed_one_is_not_removed(worker):
    job, other = worker("quick"), worker("quick")
    wait_for(lambda: ended(job, other))
    jobs.forget(job)
    jobs.forget(job)
    for act in (jobs.resume, jobs.cancel):
        with pytest.raises(InputError, match="was removed from the list"):
            act(job)
    stale = latest(other)
    file = other.folder / "job.json"
    content = json.loads(file.read_text())
    me = {"pid": os.getpid(), "exit_code": None, "process_start": processes.start_of(os.getpid())}
    file.write_text(json.dumps(content | me))
    jobs.forget(stale)
    assert [found.id for found in jobs.all_jobs()] == [other.id]


def test_an_upload_goes_with_the_last_job_that_reads_it(worker):
    upload = library.store_upload("a.csv", b"x")
    first, second = worker("quick", str(upload)), worker("quick", str(upload))
    wait_for(lambda: ended(first, second))
    jobs.forget(first)
    assert upload.exists()
    jobs.forget(second)
    assert not upload.exists()


def test_one_job_works_at_a_time_and_the_others_wait_in_their_order(worker):
    first, second, third = worker("sleep"), worker("quick"), worker("quick")
    assert [jobs.status(job) for job in (first, second, third)] == ["running", "queued", "queued"]
    jobs.start_waiting()
    assert jobs.status(latest(second)) == "queued"  # the first still works
    wait_for(lambda: jobs.progress(first).done == 3)
    jobs.cancel(first)
    wait_for(lambda: ended(first, second, third))
    second, third = latest(second), latest(third)
    assert [jobs.status(second), jobs.status(third)] == ["done", "done"]
    assert second.started_at < third.started_at


def test_a_job_that_waits_can_be_taken_out_and_put_back(worker):
    first, second = worker("sleep"), worker("quick")
    with pytest.raises(InputError, match="still at work"):
        jobs.resume(second)
    jobs.forget(second)  # nothing is removed before it has ended
    second = jobs.cancel(second)
    assert jobs.status(second) == "cancelled"
    assert jobs.status(jobs.resume(second)) == "queued"
    wait_for(lambda: jobs.progress(first).done == 3)
    jobs.cancel(first)
    wait_for(lambda: ended(first, second))
    assert jobs.status(latest(second)) == "done"


def test_a_waiting_job_is_started_by_another_server(worker, monkeypatch):
    first, second = worker("sleep"), worker("quick")
    wait_for(lambda: jobs.progress(first).done == 3)
    child = jobs._children.pop(first.id)  # as in another process, or after a restart
    os.killpg(first.pid, signal.SIGKILL)
    child.wait()
    wait_for(lambda: ended(first, second))
    assert jobs.status(latest(first)) == "lost"
    assert jobs.status(latest(second)) == "done"


def test_two_clicks_start_one_build(worker, library_home):
    first = worker("sleep")
    folder = library_home / "roads"
    builds = [jobs.start_once("map", folder), jobs.start_once("map", folder)]
    other = jobs.start_once("map", folder, ["--method", "pca"])
    assert builds[0].id == builds[1].id != other.id
    assert builds[0].title == "Map of roads"
    assert builds[0].arguments[:2] == ("map", str(folder))
    assert len(jobs.all_jobs()) == 3
    wait_for(lambda: jobs.progress(first).done == 3)
    jobs.cancel(first)
    wait_for(lambda: ended(first, other))
    assert jobs.start_once("map", folder).id != builds[0].id  # the first has ended
    wait_for(lambda: ended(*jobs.all_jobs()))


def test_two_tabs_at_the_same_moment_start_one_build(worker, library_home):
    from concurrent.futures import ThreadPoolExecutor

    first = worker("sleep")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: jobs.start_once("topics", library_home / "roads"), range(16)))
    assert len({job.id for job in found}) == 1
    jobs.cancel(found[0])
    assert jobs.status(first) == "running"


def test_a_server_that_only_shows_changes_no_job(worker, monkeypatch):
    job = worker("sleep")
    monkeypatch.setattr(mode, "_chosen", mode.Mode(is_read_only=True))
    acts = [
        lambda: jobs.start("t", ["index"], job.folder),
        lambda: jobs.start_once("map", job.folder),
        lambda: jobs.resume(job),
        lambda: jobs.cancel(job),
        lambda: jobs.forget(job),
    ]
    for act in acts:
        with pytest.raises(InputError, match="this server only shows: it does not (start|stop|remove) jobs"):
            act()
    assert jobs.status(job) == "running"


def test_a_server_that_only_shows_starts_nothing_that_waits(worker, monkeypatch):
    first, second = worker("sleep"), worker("quick")
    wait_for(lambda: jobs.progress(first).done == 3)
    jobs.cancel(first)
    wait_for(lambda: jobs.status(latest(first)) == "cancelled")
    with monkeypatch.context() as patched:
        patched.setattr(mode, "_chosen", mode.Mode(is_read_only=True))
        jobs.start_waiting()
        assert jobs.status(latest(second)) == "queued"
    wait_for(lambda: ended(second))


def test_the_newest_job_of_a_kind_is_found(worker, library_home):
    folder = library_home / "roads"
    assert jobs.newest("map", folder) is None
    first = jobs.start_once("map", folder)
    second = jobs.start_once("topics", folder)
    assert jobs.newest("map", folder).id == first.id
    assert jobs.newest("topics", folder).id == second.id
    assert jobs.newest("map", library_home / "rivers") is None
    wait_for(lambda: ended(first, second))


def test_a_working_job_is_listed_however_old(library_home, monkeypatch):
    from app.views import job_list

    made = [jobs.Job(f"2026{n:02d}", "t", (), "x") for n in range(9, 0, -1)]
    monkeypatch.setattr(jobs, "all_jobs", lambda: made)
    monkeypatch.setattr(jobs, "status", lambda job: "running" if job.id == "202601" else "done")
    assert [job.id for job, _ in job_list._shown_jobs()] == [
        "202609",
        "202608",
        "202607",
        "202606",
        "202605",
        "202601",
    ]
