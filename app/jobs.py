"""Long work as processes of their own: started, watched, stopped and taken up again through a folder each.

A job is the command that a person would type, so it outlives the page and the server, and the same command again
continues it. The folder holds `job.json`, `progress.json` (written by the process, replaced by rename) and `log.txt`.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from app import library
from encoder.atomic import write_json
from encoder.errors import InputError

State = Literal["running", "silent", "done", "failed", "cancelled", "lost"]
RESUMABLE: frozenset[State] = frozenset({"failed", "cancelled", "lost"})
ALIVE: frozenset[State] = frozenset({"running", "silent"})

_FORMAT = 1
_STALE_S = 30  # a heartbeat comes about once a second
_STARTUP_S = 120  # loading torch on a busy machine comes before the first heartbeat
_INTERRUPTED = 130
_LOG_TAIL_BYTES, _LOG_TAIL_LINES = 8_000, 12

# Children of this process, whose exit codes only we can learn.
_children: dict[str, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Job:
    """What `job.json` holds.

    Attributes:
        id: name of its folder.
        title: for people.
        arguments: of the `llm2comp` command.
        into: the collection that it makes or extends.
        pid: of the process last started.
        process_start: when the system says that process began, against a pid used again; empty if unknown.
        started_at: seconds since 1970.
        cancelled_at: when the user asked it to stop, None if never.
        exit_code: None while unknown.
    """

    id: str
    title: str
    arguments: tuple[str, ...]
    into: str
    pid: int = 0
    process_start: str = ""
    started_at: float = 0.0
    cancelled_at: float | None = None
    exit_code: int | None = None

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return library.jobs_folder() / self.id


@dataclass(frozen=True, slots=True)
class Progress:
    """What the process last said of itself; zeros where it said nothing."""

    stage: str = ""
    done: int = 0
    total: int = 0
    rate: float = 0.0
    seconds_left: float | None = None
    state: str = ""
    heartbeat: float = 0.0


def start(title: str, arguments: Sequence[str], into: Path) -> Job:
    """Starts `llm2comp ARGUMENTS --progress-file ...` in a session of its own."""
    identifier = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(3)
    folder = library.jobs_folder() / identifier
    folder.mkdir(parents=True)
    arguments = (*arguments, "--progress-file", str(folder / "progress.json"))
    return _launch(Job(identifier, title, arguments, str(into)))


def resume(job: Job) -> Job:
    """Runs the job's command again; what it had finished is not done twice.

    Raises:
        InputError: its process still works, or another page has removed it.
    """
    job = _as_it_stands(job)
    if status(job) in ALIVE:
        raise InputError(f"{job.title} is still at work", f"job {job.id}", "wait for it, or cancel it first")
    with contextlib.suppress(FileNotFoundError):
        (job.folder / "progress.json").unlink()
    return _launch(replace(job, cancelled_at=None, exit_code=None))


def cancel(job: Job) -> Job:
    """Asks the process to stop, which ends as after Ctrl+C; asked a second time it is killed. Finished parts stay.

    Raises:
        InputError: another page has removed it.
    """
    job = _as_it_stands(job)
    if status(job) not in ALIVE:
        return job
    # Not SIGINT: a server started in the background of a shell hands that down as ignored.
    _signal(job, signal.SIGTERM if job.cancelled_at is None else signal.SIGKILL)
    return _save(replace(job, cancelled_at=time.time()))


def forget(job: Job) -> None:
    """Removes the folder of a job that has ended, and the upload that it read, unless another job reads that too."""
    now = _load(job.folder)
    if now is None or status(now) in ALIVE:
        return
    shutil.rmtree(job.folder, ignore_errors=True)
    needed = {argument for other in all_jobs() for argument in other.arguments}
    for argument in set(now.arguments) - needed:
        library.remove_upload(Path(argument))


def all_jobs() -> list[Job]:
    """Every readable job, newest first."""
    try:
        folders = sorted(library.jobs_folder().iterdir(), reverse=True)
    except OSError:
        return []
    return [job for folder in folders if (job := _load(folder)) is not None]


def status(job: Job) -> State:
    """How the job stands, by its exit code, its process and its heartbeat."""
    exit_code = _exit_code(job)
    if exit_code is None and _is_alive(job):
        return "running" if _was_heard(job) else "silent"
    said = progress(job).state
    if exit_code == 0 or (exit_code is None and said == "done"):
        return "done"
    if job.cancelled_at is not None or exit_code == _INTERRUPTED:
        return "cancelled"
    # Killed from outside, or gone with an earlier server: nobody told us why.
    return "lost" if exit_code is None and said != "failed" or (exit_code or 0) < 0 else "failed"


def progress(job: Job) -> Progress:
    """The last progress written; an empty one if there is none yet."""
    try:
        content = json.loads((job.folder / "progress.json").read_text(encoding="utf-8"))
        return Progress(**{name: content[name] for name in Progress.__dataclass_fields__ if name in content})
    except (OSError, ValueError, TypeError):
        return Progress()


def log_tail(job: Job) -> str:
    """The last lines of the job's log."""
    try:
        with (job.folder / "log.txt").open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            lines = stream.read().decode("utf-8", "replace").splitlines()
            return "\n".join(lines[-_LOG_TAIL_LINES:])
    except OSError:
        return ""


def _launch(job: Job) -> Job:
    # -P: else a folder app/ where the server was started would be taken instead of ours.
    command = [sys.executable, "-P", "-m", "app.cli", *job.arguments]
    with (job.folder / "log.txt").open("ab") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=job.folder
        )
    _children[job.id] = child
    return _save(replace(job, pid=child.pid, process_start=_process_start(child.pid), started_at=time.time()))


def _save(job: Job) -> Job:
    write_json(job.folder / "job.json", {"format": _FORMAT, **asdict(job)})
    return job


def _load(folder: Path) -> Job | None:
    try:
        content = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT or content["id"] != folder.name:
            return None
        return Job(**{**content, "arguments": tuple(content["arguments"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None  # half-made or foreign: not a job to offer


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
    if exit_code is not None:
        with contextlib.suppress(OSError):  # the folder may be gone
            _save(replace(_load(job.folder) or job, exit_code=exit_code))
    return exit_code


def _is_alive(job: Job) -> bool:
    try:
        os.kill(job.pid, 0)
    except OSError:
        return False
    return _process_start(job.pid) == job.process_start


def _process_start(pid: int) -> str:
    """The kernel's start time of a process, "dead" for one that only waits to be buried, "" where it is not told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "dead" if fields[0] in {"Z", "X"} else fields[19]


def _was_heard(job: Job) -> bool:
    last = max(progress(job).heartbeat, job.started_at + _STARTUP_S - _STALE_S)
    return time.time() - last <= _STALE_S


def _signal(job: Job, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(job.pid, number)
