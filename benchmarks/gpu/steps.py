"""Named measurements, each kept as a file as soon as it is done, so that a run that was cut goes on where it was."""

import gc
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from encoder import atomic

Figure = dict[str, Any]
_KIND = "kind.json"
# A step that ended its process twice, by the machine's time limit or for want of memory, would do so a third time.
_MOST_ATTEMPTS = 2


class NotRunError(Exception):
    """A measurement that this machine does not allow; the message says why."""


class OtherKindError(Exception):
    """The folder holds measurements of another size or device."""


@dataclass(frozen=True)
class Step:
    """One measurement.

    Attributes:
        name: of the step, for people; different from all others.
        run: gives its figures by name, and raises `NotRunError` where it cannot run.
        minutes: expected, not measured, so that it is not begun shortly before a time limit.
    """

    name: str
    run: Callable[[], dict[str, Figure]]
    minutes: float = 1.0


def figure(
    runs: Sequence[float], unit: str = "", *, at_least: float | None = None, at_most: float | None = None
) -> Figure:
    """A measured figure with its median and all repetitions.

    Args:
        runs: the repetitions, at least one.
        unit: of the numbers; "%" shows a share of 1.
        at_least: the target, if there is one.
        at_most: the same, from above.
    """
    return {
        "median": median(runs),
        "runs": list(runs),
        "unit": unit,
        "at_least": at_least,
        "at_most": at_most,
    }


def told(text: str) -> Figure:
    """A finding in words, where a number would say too little."""
    return {"text": text}


@dataclass
class StepFolder:
    """Where the results of the steps lie.

    Attributes:
        path: of the folder.
        kind: what must be the same for figures to stand together: size and device.
        facts: what is written beside every figure: command, versions, device, driver.
        minutes: until no further step is begun; None for no limit.
        is_retrying: steps that were not run before are tried again.
    """

    path: Path
    kind: dict[str, Any]
    facts: dict[str, Any]
    minutes: float | None = None
    is_retrying: bool = False
    began: float = field(default_factory=time.monotonic)

    def prepare(self) -> None:
        """Makes the folder, or makes sure that it holds figures of the same kind.

        Raises:
            OtherKindError: it holds others.
        """
        (self.path / "steps").mkdir(parents=True, exist_ok=True)
        file = self.path / _KIND
        if not file.exists():
            atomic.write_json(file, self.kind)
        if (kept := read_json(file)) != self.kind:
            raise OtherKindError(
                f"{self.path} holds figures of {kept}, this is {self.kind}: name another --work"
            )

    def run(self, part: str, steps: Sequence[Step]) -> bool:
        """Runs the steps of a part that have no result yet.

        Returns:
            False where the time was over first.

        Raises:
            SystemExit: the device is lost to this process; the same command goes on behind the lost step.
        """
        for step in steps:
            if self._is_done(step):
                continue
            if self.minutes is not None and self._spent() + step.minutes > self.minutes:
                _say(
                    f"stopped before {step.name!r}: it may take {step.minutes:g} minutes. Start again to go on"
                )
                return False
            self._run(part, step)
        return True

    def _spent(self) -> float:
        return (time.monotonic() - self.began) / 60

    def _file(self, step: Step, ending: str = "json") -> Path:
        return self.path / "steps" / f"{re.sub('[^a-z0-9.]+', '-', step.name.lower())}.{ending}"

    def _is_done(self, step: Step) -> bool:
        file = self._file(step)
        if not file.exists():
            return False
        return not self.is_retrying or read_json(file)["status"] == "done"

    def _run(self, part: str, step: Step) -> None:
        _say(f"{self._spent():.1f} min: {step.name}")
        attempts = self._file(step, "attempts")
        before = int(attempts.read_text()) if attempts.exists() and not self.is_retrying else 0
        found: dict[str, Any]
        error: Exception | None = None
        if before >= _MOST_ATTEMPTS:
            found = _not_run(f"the process ended {before} times while it ran")
        else:
            attempts.write_text(str(before + 1))
            try:
                found = {"status": "done", "figures": step.run()}
            except Exception as raised:  # noqa: BLE001 - whatever a device or a library raises is the step's result
                found, error = _not_run(_reason(raised)), raised
        if found["status"] != "done":
            _say(f"not run: {found['reason']}")
        moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        place = {"name": step.name, "part": part, "measured": moment}
        atomic.write_json(self._file(step), place | found | self.facts)
        attempts.unlink(missing_ok=True)
        is_lost = error is not None and _is_device_lost(error)
        error = None  # its traceback holds what the step had on the device
        free_memory()
        if is_lost:
            raise SystemExit("the device is lost to this process; give the same command again to go on")


def read_json(file: Path) -> Any:
    """What a JSON file holds."""
    import json

    return json.loads(file.read_text(encoding="utf-8"))


def read_results(folder: Path) -> list[dict[str, Any]]:
    """The results in a folder, in the order they were measured in."""
    files = sorted((folder / "steps").glob("*.json"), key=lambda file: (file.stat().st_mtime_ns, file.name))
    return [read_json(file) for file in files]


def free_memory() -> None:
    """Gives back what nothing refers to any more, on the device too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _not_run(reason: str) -> dict[str, Any]:
    return {"status": "not run", "reason": reason}


def _reason(error: Exception) -> str:
    said = str(error).strip().splitlines()
    first = said[0][:300] if said else ""
    return first if isinstance(error, NotRunError) else f"{type(error).__name__}: {first}"


def _is_device_lost(error: Exception) -> bool:
    """Whether CUDA refuses all further work in this process, as it does after a fault in a kernel."""
    return "CUDA error" in str(error) and "out of memory" not in str(error)


def _say(line: str) -> None:
    print(f"-- {line}", file=sys.stderr, flush=True)
