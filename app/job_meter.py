"""A running job as people and programs follow it: a bar or lines on stderr, and a progress file for the app."""

import contextlib
import time
from pathlib import Path
from types import TracebackType

from app.formats import count
from app.output import Progress, write_note
from encoder import atomic
from indexer.progress import JobProgress

_FILE_EVERY_S = 1.0


class JobMeter:
    """Shows `JobProgress` reports until the job ends.

    Args:
        quiet: show nothing on stderr; the file is written all the same.
        file: JSON file to keep up to date, replaced by rename about once a second; None for none. Where it cannot be
            written the job goes on unseen.
    """

    def __init__(self, *, quiet: bool = False, file: Path | None = None) -> None:
        self._quiet = quiet
        self._file = file
        self._bar: Progress | None = None  # one a stage
        self._started = time.monotonic()
        self._written = 0.0
        self._last = JobProgress("starting")

    def __enter__(self) -> "JobMeter":
        self._write("running")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.finish(failed=kind is not None)
        self._write("done" if kind is None else "failed")

    def note(self, text: str) -> None:
        """A sentence on stderr, unless quiet."""
        if not self._quiet:
            write_note(text)

    def report(self, progress: JobProgress) -> None:
        """Shows one report."""
        if self._bar is None or progress.stage != self._last.stage:
            if self._bar:
                self._bar.finish()
            self._bar = Progress(progress.stage, quiet=self._quiet)
        self._last = progress
        done, unit = _counted(progress)
        self._bar.update(done, self._total(progress), self._details(progress), unit=unit)
        if time.monotonic() - self._written >= _FILE_EVERY_S:
            self._write("running")

    def _total(self, progress: JobProgress) -> int | None:
        if not progress.fraction:
            return None
        done, _ = _counted(progress)
        return max(done, round(done / progress.fraction))

    def _details(self, progress: JobProgress) -> str:
        elapsed = max(time.monotonic() - self._started, 1e-6)
        parts = [f"{count(progress.passages)} passages"] if progress.documents and progress.passages else []
        parts += [f"{count(progress.tokens / elapsed)} tokens/s"] if progress.tokens else []
        return ", ".join(parts)

    def _write(self, state: str) -> None:
        self._written = time.monotonic()
        if self._file is None:
            return
        elapsed = max(self._written - self._started, 1e-6)
        fraction = self._last.fraction
        done, _ = _counted(self._last)
        content = {
            "stage": self._last.stage,
            "done": done,
            "total": self._total(self._last) or 0,
            "rate": round(done / elapsed, 1),
            "seconds_left": round(elapsed / fraction - elapsed, 1) if fraction else None,
            "state": state,
            "heartbeat": time.time(),
        }
        with contextlib.suppress(OSError):  # a full disk, or a folder that is gone: the job matters more
            atomic.write_json(self._file, content)


def _counted(progress: JobProgress) -> tuple[int, str]:
    """What a stage counts: documents, or passages where it sees no documents."""
    if progress.documents or not progress.passages:
        return progress.documents, "documents"
    return progress.passages, "passages"
