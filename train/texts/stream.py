"""Files of any size -> an endless, shuffled, repeatable stream of texts, and the few that are held out.

The library `datasets` reads text, JSON lines, csv, parquet, saved datasets and the Hub, a piece at a time.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain, count, islice
from pathlib import Path
from random import Random
from typing import Any

from encoder.errors import InputError, MissingExtraError
from train.settings import Texts

_FORMATS = {
    ".txt": "text",
    ".md": "text",
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "json",
    ".json": "json",
    ".ndjson": "json",
}
_SHOWN = 8


@dataclass
class TextStream:
    """Texts to train on, again from the beginning when they run out; the same at every start.

    Attributes:
        settings: which texts, in which order.
        held_out: texts that never come up.
        passed_over: counts of texts that were not used, by reason, as far as one round was read.
    """

    settings: Texts
    held_out: list[str] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draws the held-out texts.

        Raises:
            InputError: there are no texts, or none beside those held out.
        """
        self.held_out = list(dict.fromkeys(islice(self._round(0), self.settings.held_out)))
        self._hidden = {_key(text) for text in self.held_out}
        if next(self._trained(0), None) is None:
            enough = f"all {len(self.held_out)} texts are held out" if self.held_out else "there are no texts"
            raise InputError(
                f"Nothing is left to train on: {enough}.",
                ", ".join(self.settings.files),
                "name more files, or lower texts.held_out or texts.shortest_characters",
            )

    def __iter__(self) -> Iterator[str]:
        """Texts without end."""
        return chain.from_iterable(self.rounds())

    def rounds(self) -> Iterator[Iterator[str]]:
        """The same texts again and again, each time in another order, without end."""
        return map(self._trained, count())

    def first(self, number: int) -> list[str]:
        """The first texts of the stream, at most one round."""
        return list(islice(self._trained(0), number))

    def notes(self) -> list[str]:
        """What people are told of texts that were not used."""
        return [f"{number:,} texts were passed over: {reason}" for reason, number in self.passed_over.items()]

    def _trained(self, number: int) -> Iterator[str]:
        # A held-out text that occurs twice is no training text either.
        return (text for text in self._round(number) if _key(text) not in self._hidden)

    def _round(self, number: int) -> Iterator[str]:
        """The texts that are taken, held-out ones included, in the order of this round."""
        settings = self.settings
        if not settings.most:
            return self._usable(settings.seed + number)
        # Another order of all texts would give other first ones.
        taken = islice(self._usable(settings.seed), settings.most)
        return shuffled(taken, settings.shuffle, Random(settings.seed + number)) if number else taken

    def _usable(self, seed: int) -> Iterator[str]:
        """All texts that are long enough, in the order of a seed."""
        counts = Counter[str]()
        data = open_column(self.settings).shuffle(seed=seed, buffer_size=self.settings.shuffle)
        for row in _readable(data, self.settings.files):
            text = row[self.settings.column]
            if not isinstance(text, str) or not text.strip():
                counts["no text"] += 1
            elif len(text) < self.settings.shortest_characters:
                counts["shorter than texts.shortest_characters"] += 1
            else:
                yield text
                continue
            self.passed_over |= {
                reason: max(n, self.passed_over.get(reason, 0)) for reason, n in counts.items()
            }


def shuffled(texts: Iterator[str], size: int, random: Random) -> Iterator[str]:
    """The texts, each next one drawn from `size` that are held in memory."""
    held = list(islice(texts, size))
    for text in texts:
        place = random.randrange(len(held))
        yield held[place]
        held[place] = text
    random.shuffle(held)
    yield from held


def _readable(data: Any, files: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The rows of a data set.

    Raises:
        InputError: a file is damaged further on than its beginning.
    """
    from datasets.exceptions import DatasetGenerationError

    try:
        yield from data
    except (OSError, ValueError, DatasetGenerationError) as error:
        raise InputError(
            f"The texts cannot be read to their end: {_reason(error)}",
            ", ".join(files),
            "mend or leave out the file",
        ) from error


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def open_column(settings: Texts) -> Any:
    """A streaming data set of the library with the column of texts, in file order.

    Raises:
        InputError: a file is missing, of no known kind or damaged, or has no such column.
    """
    from datasets import interleave_datasets

    parts = [_open(name, settings.column) for name in _expanded(settings.files)]
    if not parts:
        raise InputError("There are no texts: texts.files is empty.", "texts.files", "name files or folders")
    # In turn and not one after the other: the shuffle buffer then mixes files of any size.
    return (
        parts[0]
        if len(parts) == 1
        else interleave_datasets(parts, stopping_strategy="all_exhausted_without_replacement")
    )


def local_paths(settings: Texts) -> list[Path]:
    """The files and folders among the names, for hashing."""
    return [Path(name) for name in settings.files if not name.startswith("hf:")]


def _expanded(names: tuple[str, ...]) -> Iterator[str]:
    """Files, saved data sets and Hub names; other folders become the files in them."""
    for name in names:
        path = Path(name)
        if name.startswith("hf:") or not path.is_dir() or (path / "dataset_info.json").exists():
            yield name
            continue
        files = sorted(each for each in path.rglob("*") if each.suffix.lower() in _FORMATS)
        if not files:
            raise InputError(
                "The folder holds no text, JSON lines, csv or parquet file.",
                name,
                "name files, or another folder",
            )
        yield from map(str, files)


def _open(name: str, column: str) -> Any:
    from datasets import load_dataset, load_from_disk
    from datasets.exceptions import DatasetGenerationError

    path = Path(name)
    try:
        if name.startswith("hf:"):
            place, _, split = name.removeprefix("hf:").partition("@")
            data = load_dataset(place, split=split or "train", streaming=True)
        elif path.is_dir():
            data = load_from_disk(name).to_iterable_dataset()
        elif not path.exists():
            raise InputError("There is no such file or folder.", name, "mend texts.files")
        else:
            data = _open_file(path, load_dataset)
        names = data.column_names or list(next(iter(data), {}))
    except (OSError, ValueError, DatasetGenerationError, ConnectionError) as error:
        raise InputError(
            f"The texts cannot be read: {_reason(error)}", name, "mend or leave out the file"
        ) from error
    if column not in names:
        near = get_close_matches(column, names, n=1)
        known = near[0] if near else ", ".join(names[:_SHOWN])
        raise InputError(f"There is no column {column!r}.", name, f"set texts.column; there is {known}")
    return data.select_columns([column])


def _open_file(path: Path, load_dataset: Any) -> Any:
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"{path.suffix or 'a file without suffix'} is no kind of file that texts are read from.",
            str(path),
            "use " + ", ".join(_FORMATS),
        )
    if path.stat().st_size == 0:
        raise InputError("The file is empty.", str(path), "leave it out of texts.files")
    return load_dataset(kind, data_files=str(path), split="train", streaming=True)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def need_training_extra() -> None:
    """Says how to install what training runs on.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import accelerate  # noqa: F401
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"Training needs the package {error.name}.",
            f"package {error.name}",
            "pip install 'llm2comp[train]'",
        ) from error
