"""The folder of a run: what it was begun with, its complete checkpoints, and what it made.

OUT/run.json              stage, recipe, hashes of texts and of the model begun with
OUT/metrics.jsonl         a line for every log and every look at the held-out texts
OUT/tensorboard/          the same as curves
OUT/checkpoints/checkpoint-N/   an encoder directory, and what the trainer needs to go on; `complete` comes last
OUT/encoder/ or OUT/backbone/   the result
OUT/finished.json         comes after the result: its measures
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from encoder.atomic import sync_file, sync_folder, write_bytes, write_json
from encoder.errors import ConfigError, InputError, TrainingError
from train.recipe import build_recipe, differences, recipe_to_json
from train.running.devices import is_first_process
from train.settings import CompressRecipe, ContrastiveRecipe, PretrainRecipe, SimcseRecipe

FORMAT = 1
_COMPLETE = "complete"
_FINISHED = "finished.json"
_WHOLE_BYTES = 64 << 20  # a file below that is read whole for its fingerprint
_EDGE_BYTES = 1 << 20  # of a larger one's beginning and end
_RECIPES: Mapping[str, type] = {
    "pretrain": PretrainRecipe,
    "compress": CompressRecipe,
    "simcse": SimcseRecipe,
    "contrastive": ContrastiveRecipe,
}
# What may change when a run goes on: where it lies, what is only looked at, and memory for time.
_FREE = ("out", "card", "watch.log_steps", "watch.keep", "schedule.gradient_checkpointing")


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what."""

    path: Path

    @property
    def claim(self) -> Path:
        """What the run was begun with."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """The log, JSON lines."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """A folder a checkpoint."""
        return self.path / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        """The checkpoint after a number of steps."""
        return self.checkpoints / f"checkpoint-{step}"


@contextlib.contextmanager
def hold(folder: RunFolder) -> Iterator[None]:
    """Keeps a second run out of the folder while this one trains; the first process holds it for all of a run.

    Raises:
        TrainingError: another process trains in this folder, or it cannot be made.
    """
    import fcntl

    if not is_first_process():
        yield
        return
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise TrainingError(
            f"The run's folder cannot be written: {error.strerror}.",
            str(folder.path),
            "name another with --out",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise TrainingError(
            "Another process trains in this folder.", str(folder.path), "wait for it, or name another --out"
        ) from error
    try:
        yield
    finally:
        os.close(handle)  # releases the lock, as the end of the process would


def begin(folder: RunFolder, content: Mapping[str, Any]) -> None:
    """Writes what the run is begun with, or compares it with what an earlier beginning wrote.

    A run that has no checkpoint yet is begun anew with whatever it is given: nothing is lost by that.

    Args:
        folder: of the run.
        content: `stage`, `recipe` (as `recipe_to_json`), `data` and `model` (hashes by name).

    Raises:
        ConfigError: the folder holds a run of another stage, recipe, data or model; the differences are named.
        TrainingError: the folder holds something that is no run, or cannot be written.
    """
    if not is_first_process():
        return
    for name in (folder.claim.name, folder.metrics.name, _FINISHED):
        for path in folder.path.glob(f".{name}.*"):  # what a kill left of a file that was being written
            path.unlink()
    content = {"format": FORMAT, **content}
    old = _read_claim(folder)
    changes = [] if old is None else _changes(old, content)
    if changes and has_work(folder):
        raise ConfigError(
            "The run was begun with something else: " + "; ".join(changes),
            str(folder.claim),
            "go on with the recipe and data it was begun with, or name another folder with --out",
        )
    if old is None or changes:
        try:
            _clear(folder)
            write_json(folder.claim, content)
        except OSError as error:
            raise TrainingError(
                f"The run's folder cannot be written: {error.strerror}.",
                str(folder.path),
                "make room on the disk, or name another folder with --out",
            ) from error


def _read_claim(folder: RunFolder) -> dict[str, Any] | None:
    """What an earlier beginning wrote; None in a new folder.

    Raises:
        TrainingError: the folder holds something else, or the file is damaged.
    """
    if not folder.claim.exists():
        # Dot files are a file manager's.
        foreign = [p.name for p in folder.path.iterdir() if p.name != "lock" and not p.name.startswith(".")]
        if foreign:
            raise TrainingError(
                f"The folder holds something that is no run: {min(foreign)}.",
                str(folder.path),
                "name an empty or new folder with --out",
            )
        return None
    try:
        found = json.loads(folder.claim.read_text(encoding="utf-8"))
        return {**found, "recipe": {**found["recipe"]}}
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"run.json cannot be read: {error}", str(folder.claim), "name another folder with --out"
        ) from error


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs, `key: old, now new` each, but for what may change."""
    recipe = [
        line
        for line in differences(_completed(old), new["recipe"])
        if not line.startswith(tuple(f"{name}{end}" for name in _FREE for end in ":."))
    ]
    rest = [{key: value for key, value in each.items() if key != "recipe"} for each in (old, new)]
    return differences(rest[0], rest[1]) + recipe


def _completed(claim: Mapping[str, Any]) -> Mapping[str, Any]:
    """The recipe a run was begun with; a key that there was none of then has its default."""
    recipe = {key: value for key, value in claim["recipe"].items() if value is not None}
    try:
        return recipe_to_json(build_recipe(_RECIPES[claim["stage"]], recipe, ""))
    except (ConfigError, KeyError, TypeError):  # it has keys that there are none of now
        return claim["recipe"]


def has_work(folder: RunFolder) -> bool:
    """Whether anything would be lost with the folder: a complete checkpoint or a result."""
    return last_checkpoint(folder) is not None or (folder.path / _FINISHED).exists()


def _clear(folder: RunFolder) -> None:
    """Takes away what a run left that came to no checkpoint; files of others stay."""
    for path in (folder.checkpoints, folder.tensorboard, folder.path / "tokenizer"):
        shutil.rmtree(path, ignore_errors=True)
    folder.metrics.unlink(missing_ok=True)


def finish(folder: RunFolder, measures: Mapping[str, float], card: Mapping[str, Any]) -> None:
    """Says that the result is whole.

    Args:
        folder: of the run.
        measures: of the result.
        card: of the recipe; it may change afterwards, and the result is then written again.
    """
    write_json(folder.path / _FINISHED, {"format": FORMAT, "card": card, "measures": measures})


def finished(folder: RunFolder, result: Path, card: Mapping[str, Any]) -> dict[str, float] | None:
    """The measures of a run that has nothing left to do, to be called after `begin`; None where it has.

    Args:
        folder: of the run.
        result: its folder.
        card: of the recipe.
    """
    path = folder.path / _FINISHED
    if not path.exists() or not result.is_dir():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found["measures"] if found["card"] == card else None


def last_checkpoint(folder: RunFolder) -> Path | None:
    """The latest complete checkpoint."""
    found = [path for path in folder.checkpoints.glob("checkpoint-*") if (path / _COMPLETE).exists()]
    return max(found, key=step_of) if found else None


def clear_unfinished(folder: RunFolder) -> None:
    """Takes away the checkpoints that a kill left unfinished; nobody may be writing one."""
    for path in folder.checkpoints.glob("checkpoint-*"):
        if not (path / _COMPLETE).exists():
            shutil.rmtree(path, ignore_errors=True)


def step_of(checkpoint: Path) -> int:
    """Updates done at a checkpoint."""
    return int(checkpoint.name.rpartition("-")[2])


def seal(checkpoint: Path) -> None:
    """Marks a checkpoint as complete, once all its files are on disk."""
    _settle(checkpoint)
    write_bytes(checkpoint / _COMPLETE, b"")


def _settle(place: Path) -> None:
    """Forces the files of a folder to disk, readable for all: safetensors writes them for their owner alone."""
    for path in place.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            sync_file(path)


def thin_out(folder: RunFolder, *, keep: int, best: int | None) -> None:
    """Takes away all checkpoints but the latest and the best.

    Args:
        folder: of the run.
        keep: so many of the latest stay.
        best: the step of the best one, which stays too.
    """
    paths = sorted(folder.checkpoints.glob("checkpoint-*"), key=step_of)
    for path in paths[:-keep]:
        if step_of(path) != best:
            # First, so that a kill leaves no torn one that looks whole.
            (path / _COMPLETE).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)


def publish(write: Callable[[Path], None], target: Path) -> None:
    """Puts a result in place once it is whole; an older one goes only then.

    Args:
        write: fills an empty folder.
        target: the result's folder.

    Raises:
        TrainingError: it could not be written; what was there is as before.
    """
    temporary, old = (target.with_name(f".{target.name}.{word}") for word in ("new", "old"))
    if old.exists() and not target.exists():
        old.rename(target)  # a kill came between the two renames below
    for path in (temporary, old):
        shutil.rmtree(path, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        write(temporary)
        _settle(temporary)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise TrainingError(
            f"The result could not be written: {error}",
            str(target),
            "make room on the disk, then give the same command: nothing is trained again",
        ) from error
    if target.exists():
        target.rename(old)
    temporary.rename(target)
    sync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def fingerprint_files(paths: Sequence[Path]) -> dict[str, str]:
    """Hash of each file by its name: of its bytes, or of a huge one's size and edges, which is fast.

    Args:
        paths: files, and folders that stand for the files in them.

    Raises:
        InputError: a path does not exist.
    """
    found: dict[str, str] = {}
    for path in paths:
        if not path.exists():
            raise InputError("There is no such file or folder.", str(path), "name an existing one")
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        for file in files:
            name = f"{path.name}/{file.relative_to(path).as_posix()}" if path.is_dir() else file.name
            same = sum(other.rpartition("#")[0] == name or other == name for other in found)
            found[f"{name}#{same + 1}" if same else name] = _hash(file)
    return found


def _hash(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        if size < _WHOLE_BYTES:
            digest.update(stream.read())
        else:
            digest.update(stream.read(_EDGE_BYTES))
            stream.seek(size - _EDGE_BYTES)
            digest.update(stream.read(_EDGE_BYTES))
    return digest.hexdigest()[:16]
