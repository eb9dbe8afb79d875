"""What lies in the folder of a job, read back with care: others may have written into it."""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from app import library

FORMAT = 1
_LOG_TAIL_BYTES, _LOG_TAIL_LINES = 8_000, 12

# How values are read back from a folder that others may have written into.
_TEXTS = frozenset({"id", "title", "into", "process_start", "stage", "state", "reason"})
_WHOLE = frozenset({"pid", "exit_code", "done", "total"})
_MAY_BE_UNKNOWN = frozenset({"cancelled_at", "exit_code", "seconds_left"})
_MOST = 2**62  # beyond it the system's own calls fail


@dataclass(frozen=True, slots=True)
class Job:
    """What `job.json` holds.

    Attributes:
        id: name of its folder.
        title: for people.
        arguments: of the `llm2comp` command.
        into: the collection that it makes or extends.
        pid: of the process last started; 0 while it waits for its turn.
        process_start: when the system says that process began, against a pid used again; empty if unknown.
        started_at: seconds since 1970.
        cancelled_at: when the user asked it to stop, None if never.
        exit_code: None while unknown.
        queued_at: seconds since 1970, when it was asked for last.
        reason: why it could not be started; hostile, empty if it was.
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
    queued_at: float = 0.0
    reason: str = ""

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


def progress(job: Job) -> Progress:
    """The last progress written; an empty one if there is none yet."""
    try:
        content = json.loads((job.folder / "progress.json").read_text(encoding="utf-8"))
        found = Progress(**{name: content[name] for name in Progress.__dataclass_fields__ if name in content})
        return found if _is_sound(found) else Progress()
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


def read_job(folder: Path) -> Job | None:
    """The job of a folder as its file says; None where that is half-made or foreign."""
    try:
        content = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT or content["id"] != folder.name:
            return None
        job = Job(**{**content, "arguments": tuple(map(str, content["arguments"]))})
        return job if _is_sound(job) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_sound(read: Job | Progress) -> bool:
    """Whether every value out of a file is what its field says; numbers finite, and none but an exit code negative."""
    for name, value in asdict(read).items():
        if name == "arguments":  # texts by now
            continue
        if value is None:
            fits = name in _MAY_BE_UNKNOWN
        elif name in _TEXTS:
            fits = isinstance(value, str)
        else:
            fits = type(value) in ((int,) if name in _WHOLE else (int, float)) and math.isfinite(value)
            fits = fits and (value >= 0 or name == "exit_code") and value <= _MOST
        if not fits:
            return False
    return True
