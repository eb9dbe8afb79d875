"""Measuring in processes of their own: starting them, and how much memory one has. Memory needs Linux."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "LANCE_CPU_THREADS",
    "TOKIO_WORKER_THREADS",
)
_SAMPLE_EVERY_S = 0.01


def one_thread() -> None:
    """Tells this process and its children to compute in one thread; before torch, faiss or lance are imported."""
    os.environ.update(dict.fromkeys(_THREADS, "1"), TOKENIZERS_PARALLELISM="false")


def run_child(script: str, arguments: Sequence[str]) -> Any:
    """Runs a script of ours in a fresh process and returns the JSON of its last line.

    Args:
        script: `__file__` of a script.
        arguments: of the child.

    Raises:
        SystemExit: the child failed; its complaint was on standard error.
    """
    done = subprocess.run(
        [sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{Path(script).name} {' '.join(arguments[:2])} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def answer(found: Any) -> None:
    """What a child hands back: one line of JSON."""
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def memory() -> dict[str, int] | None:
    """Bytes of this process: resident ("rss"), of that anonymous ("anonymous"); None where /proc is missing."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    names = {"rss": "VmRSS", "anonymous": "RssAnon"}
    if any(name not in found for name in names.values()):
        return None
    return {ours: 1024 * int(found[name].split()[0]) for ours, name in names.items()}


class PeakMemory:
    """Samples the memory of this process in a thread and keeps the peak of each phase.

    Set `phase` as the work goes on; `peaks` has the phases that were seen.
    """

    def __init__(self) -> None:
        self.phase = "start"
        self.peaks: dict[str, dict[str, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def highest(self, kind: str) -> int | None:
        """The peak over all phases, of "rss" or "anonymous"."""
        return max((peak[kind] for peak in self.peaks.values()), default=None)

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_EVERY_S):
            self._sample()

    def _sample(self) -> None:
        if (now := memory()) is None:
            return
        peak = self.peaks.setdefault(self.phase, now)
        for kind, size in now.items():
            peak[kind] = max(peak[kind], size)
