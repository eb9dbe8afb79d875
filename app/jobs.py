"""Long work as processes of their own: started, watched, stopped and taken up again through a folder each.

A job is the command that a person would type, so it outlives the page and the server, and the same command again
continues it. The folder holds `job.json`, `progress.json` (written by the process, replaced by rename) and `log.txt`.
One works at a time; the others wait, and whichever server looks next starts the first of them.
"""

import contextlib
import errno
import fcntl
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from app import library, mode, processes
from app.display import one_line
from app.job_files import FORMAT, Job, Progress, log_tail, progress, read_job
from encoder.atomic import write_json
from encoder.errors import InputError

__all__ = [
    "ALIVE",
    "RESUMABLE",
    "WORKING",
    "Job",
    "NotKeptError",
    "Progress",
    "State",
    "all_jobs",
    "cancel",
    "forget",
    "log_tail",
    "newest",
    "progress",
    "resume",
    "start",
    "start_once",
    "start_waiting",
    "status",
]

State = Literal["queued", "running", "silent", "done", "failed", "cancelled", "lost"]
RESUMABLE: frozenset[State] = frozenset({"failed", "cancelled", "lost"})
WORKING: frozenset[State] = frozenset({"running", "silent"})
ALIVE: frozenset[State] = WORKING | {"queued"}

_STALE_S = 30  # a heartbeat comes about once a second
_STARTUP_S = 120  # loading torch on a busy machine comes before the first heartbeat
_INTERRUPTED = 130
_LOCK_FILE = "queue.lock"
# Verbs that work on one collection, to what a list of jobs calls them.
_TITLES = {
    "map": "Map of {}",
    "topics": "Topics of {}",
    "rebuild": "New index of {}",
    "diagnose": "Health of {}",
    "verify": "Check of {}",
}

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_TOO_BUSY = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})

# Children of this process, whose exit codes only we can learn.
_children: dict[str, subprocess.Popen[bytes]] = {}
# Ids of jobs to the process that was asked to stop and when, where a full disk did not let us write it down.
_unwritten_wishes: dict[str, tuple[int, float]] = {}


class NotKeptError(InputError):
    """What was asked for was not done, as a job's files could not be written."""


def start(title: str, arguments: Sequence[str], into: Path) -> Job:
    """Runs `llm2comp ARGUMENTS --progress-file ...` in a session of its own, at once or when those before have ended.

    Raises:
        InputError: the server only shows, or the job cannot be written down.
    """
    mode.check_writable("start jobs")
    with _asked():
        return _enqueue(title, arguments, into)


def start_once(kind: str, collection: Path, options: Sequence[str] = ()) -> Job:
    """Like `start` for `llm2comp KIND COLLECTION OPTIONS`, but the same once: a second click gets the first's job.

    Args:
        kind: "map", "topics", "rebuild", "diagnose" or "verify".
        collection: to work on.
        options: of the command.

    Raises:
        InputError: as for `start`.
    """
    mode.check_writable("start jobs")
    arguments = (kind, str(collection), *options)
    with _asked():  # so that two pages do not both find none
        for job in all_jobs():
            if job.arguments == (*arguments, *_progress_option(job.folder)) and status(job) in ALIVE:
                return job
        return _enqueue(_TITLES[kind].format(one_line(collection.name)), arguments, collection)


def start_waiting() -> None:
    """Starts the job that has waited longest, if none works; called by every server about once a second.

    A server that only shows leaves it to the one that was asked.
    """
    if mode.current().is_read_only or not library.jobs_folder().is_dir():
        return
    with (
        contextlib.suppress(OSError),
        _queue(),
    ):  # a full disk, or an unmounted one: the next look may find it well
        _start_first()


def resume(job: Job) -> Job:
    """Runs the job's command again, in its turn; what it had finished is not done twice.

    Raises:
        InputError: its process still works, another page has removed it, or as for `start`.
    """
    mode.check_writable("start jobs")
    with _asked():
        job = _as_it_stands(job)
        if status(job) in ALIVE:
            raise InputError(
                f"{job.title} is still at work", f"job {job.id}", "wait for it, or cancel it first"
            )
        with _put_back(job.folder):
            again = Job(job.id, job.title, job.arguments, job.into, queued_at=time.time())
            _save(again)
            (job.folder / "progress.json").unlink(missing_ok=True)
            return _start_next(again)


def cancel(job: Job) -> Job:
    """Asks the process to stop, which ends as after Ctrl+C; asked a second time it is killed. Finished parts stay.

    A job that waits is taken out of the queue. Where the disk is full, a process is told all the same, and the wish is
    kept in memory until it ends.

    Raises:
        InputError: another page has removed it, or as for `start`.
    """
    mode.check_writable("stop jobs")
    with _asked():
        job = _as_it_stands(job)
        state = status(job)
        if state in WORKING:
            # Not SIGINT: a server started in the background of a shell hands that down as ignored.
            processes.tell(job.pid, signal.SIGTERM if job.cancelled_at is None else signal.SIGKILL)
        if state not in ALIVE:
            return job
        job = replace(job, cancelled_at=time.time())
        try:
            return _save(job)
        except OSError:
            if state == "queued":  # only its file says that it is not to be started
                raise
            _unwritten_wishes[job.id] = job.pid, time.time()
            return job


def forget(job: Job) -> None:
    """Removes the folder of a job that has ended, and the upload that it read, unless another job reads that too.

    Raises:
        InputError: the server only shows.
    """
    mode.check_writable("remove jobs")
    with _queue():  # else another page could resume it, or start one that reads the upload, in between
        now = _load(job.folder)
        if now is None or status(now) in ALIVE:
            return
        shutil.rmtree(job.folder, ignore_errors=True)
        _children.pop(job.id, None)
        _unwritten_wishes.pop(job.id, None)
        needed = {argument for other in all_jobs() for argument in other.arguments}
        for argument in set(now.arguments) - needed:
            library.remove_upload(Path(argument))


def newest(kind: str, collection: Path) -> Job | None:
    """The newest job of a kind on a collection, as it stands now; None where there is none.

    Args:
        kind: as for `start_once`.
        collection: that it works on.
    """
    mine = (kind, str(collection))
    return next((job for job in all_jobs() if job.arguments[:2] == mine), None)


def all_jobs() -> list[Job]:
    """Every readable job, newest first."""
    try:
        folders = sorted(library.jobs_folder().iterdir(), reverse=True)
    except OSError:
        return []
    return [job for folder in folders if (job := _load(folder)) is not None]


def status(job: Job) -> State:
    """How the job stands, by its exit code, its process and its heartbeat."""
    if job.reason:
        return "failed"
    if not job.pid:
        return "queued" if job.cancelled_at is None else "cancelled"
    exit_code = _exit_code(job)
    if exit_code is None and processes.is_alive(job.pid, job.process_start):
        return "running" if _was_heard(job) else "silent"
    said = progress(job).state
    if exit_code == 0 or (exit_code is None and said == "done"):
        return "done"
    if job.cancelled_at is not None or exit_code == _INTERRUPTED:
        return "cancelled"
    # Killed from outside, or gone with an earlier server: nobody told us why.
    return "lost" if exit_code is None and said != "failed" or (exit_code or 0) < 0 else "failed"


def _progress_option(folder: Path) -> tuple[str, str]:
    return "--progress-file", str(folder / "progress.json")


@contextlib.contextmanager
def _queue() -> Iterator[None]:
    """Keeps other pages and servers from changing the queue meanwhile."""
    library.jobs_folder().mkdir(parents=True, exist_ok=True)
    with (library.jobs_folder() / _LOCK_FILE).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _asked() -> Iterator[None]:
    """The queue for what somebody asked for, who is told when it cannot be written down.

    Raises:
        InputError: the disk is full, say.
    """
    try:
        with _queue():
            yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            fix = "make room on the server's disk and try again"
        elif error.errno in _TOO_BUSY:
            fix = "try again when the server has less to do"
        else:
            fix = "see that the server can write into its folder of jobs, and try again"
        what = f"the job cannot be kept: {error.strerror or error}"
        raise NotKeptError(what, str(library.jobs_folder()), fix) from error


@contextlib.contextmanager
def _put_back(folder: Path) -> Iterator[None]:
    """The files of a job as they were, if what is done to them fails; renamed, for which a full disk has room."""
    kept = {
        name: shutil.copyfile(folder / name, folder / f"before-{name}")
        for name in ("progress.json", "job.json")
        if (folder / name).is_file()
    }
    try:
        yield
    except OSError:
        for name, copy in kept.items():
            with contextlib.suppress(OSError):
                copy.replace(folder / name)
        raise
    for copy in kept.values():
        copy.unlink(missing_ok=True)


def _enqueue(title: str, arguments: Sequence[str], into: Path) -> Job:
    identifier = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(3)
    folder = library.jobs_folder() / identifier
    folder.mkdir()
    arguments = (*arguments, *_progress_option(folder))
    try:
        return _start_next(_save(Job(identifier, title, arguments, str(into), queued_at=time.time())))
    except OSError:  # it is said not to be started, so it must not start by itself later
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _start_next(asked: Job) -> Job:
    """The job that was asked for, as it stands after the one that has waited longest was started, if none works."""
    started = _start_first(asked.id)
    return started if started is not None and started.id == asked.id else asked


def _start_first(asked: str = "") -> Job | None:
    """The job that was started: of those that wait the one that has waited longest, if none works.

    One that cannot be started, but for want of room or memory, which is no fault of its own, has failed with its
    reason, and the next one is taken; else it would hold up all others.

    Args:
        asked: id of the job that somebody asks for now, who is told instead.
    """
    states = [(job, status(job)) for job in all_jobs()]
    if any(state in WORKING for _, state in states):
        return None
    waiting = [job for job, state in states if state == "queued"]
    for job in sorted(waiting, key=lambda job: (job.queued_at, job.id)):
        try:
            return _launch(job)
        except OSError as error:
            if job.id == asked or error.errno in _NO_ROOM | _TOO_BUSY:
                raise
            with contextlib.suppress(
                OSError
            ):  # not even that; it goes on waiting, and the next is taken all the same
                _save(replace(job, reason=f"It could not be started: {error}"))
    return None


def _launch(job: Job) -> Job:
    # -P: else a folder app/ where the server was started would be taken instead of ours.
    _save(job)  # on a full disk no process is started
    command = [sys.executable, "-P", "-m", "app.cli", *job.arguments]
    with (job.folder / "log.txt").open("ab") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=job.folder
        )
    job = replace(job, pid=child.pid, process_start=processes.start_of(child.pid), started_at=time.time())
    try:
        _save(job)
    except OSError:  # nobody would know that it works, and it would be started again
        processes.tell(job.pid, signal.SIGKILL)
        child.wait()
        raise
    _children[job.id] = child
    return job


def _save(job: Job) -> Job:
    write_json(job.folder / "job.json", {"format": FORMAT, **asdict(job)})
    return job


def _load(folder: Path) -> Job | None:
    job = read_job(folder)
    if job is None or job.cancelled_at is not None:
        return job
    pid, asked_at = _unwritten_wishes.get(job.id, (0, 0.0))
    return replace(job, cancelled_at=asked_at) if pid and pid == job.pid else job


def _as_it_stands(job: Job) -> Job:
    """The job as its file says now: another page may have cancelled or resumed it since this one was drawn.

    Raises:
        InputError: another page has removed it.
    """
    now = _load(job.folder)
    if now is None:
        raise InputError(f"{job.title} was removed from the list", f"job {job.id}", "start it anew")
    return now


def _exit_code(job: Job) -> int | None:
    """The exit code, learnt from the child once and then kept in the job's file."""
    child = _children.get(job.id)
    if job.exit_code is not None or child is None or child.pid != job.pid:
        return job.exit_code
    exit_code = child.poll()
    now = _load(job.folder)
    # Another page may have resumed it since: the end of the process before is none of the next one.
    if exit_code is not None and now is not None and now.pid == job.pid:
        with contextlib.suppress(OSError):  # the folder may be gone
            _save(replace(now, exit_code=exit_code))
    return exit_code


def _was_heard(job: Job) -> bool:
    last = max(progress(job).heartbeat, job.started_at + _STARTUP_S - _STALE_S)
    return time.time() - last <= _STALE_S
