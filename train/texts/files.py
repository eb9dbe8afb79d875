"""Kinds of files that texts and pairs are read from by the library `datasets`, and the files behind names."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from encoder.errors import InputError


class Kinds(NamedTuple):
    """Files that something is read from."""

    content: str  # "texts" or "pairs", which is the section of the recipe too
    told: str  # for people
    builders: Mapping[str, str]  # the library's, by suffix


_COLUMNS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json", ".json": "json", ".ndjson": "json"}
PAIRS = Kinds("pairs", "JSON lines, csv or parquet", _COLUMNS)
TEXTS = Kinds("texts", "text, JSON lines, csv or parquet", {".txt": "text", ".md": "text", **_COLUMNS})


@contextlib.contextmanager
def quiet_datasets() -> Iterator[None]:
    """Keeps the library's progress bars and its own account of a bad file off stderr, which has ours."""
    import datasets

    was_shown, level = not datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    if was_shown:
        datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if was_shown:
            datasets.enable_progress_bars()


def files_behind(name: str, kinds: Kinds) -> list[Path]:
    """The file of that name, or those in a folder and below it, in the order of their names.

    Raises:
        InputError: it does not exist, or no file in it is of these kinds.
    """
    path = Path(name)
    if not path.exists():
        raise InputError("There is no such file or folder.", name, f"mend {kinds.content}.files")
    if not path.is_dir():
        return [path]
    files = sorted(each for each in path.rglob("*") if each.suffix.lower() in kinds.builders)
    if not files:
        raise InputError(f"The folder holds no {kinds.told} file.", name, "name files, or another folder")
    return files


def builder_of(path: Path, kinds: Kinds) -> str:
    """What the library calls the kind of a file.

    Raises:
        InputError: it is none of these kinds, or empty.
    """
    builder = kinds.builders.get(path.suffix.lower())
    if builder is None:
        raise InputError(
            f"{path.suffix or 'a file without suffix'} is no kind of file that {kinds.content} are read from.",
            str(path),
            "use " + ", ".join(kinds.builders),
        )
    if path.stat().st_size == 0:
        raise InputError("The file is empty.", str(path), f"leave it out of {kinds.content}.files")
    return builder
