"""Files of any size -> an endless, shuffled, repeatable stream of texts, and the few that are held out.

The library `datasets` reads text, JSON lines, csv, parquet, saved datasets and the Hub, a piece at a time. The order
is made here: it stays the same in every version of the library, and nothing waits for its threads.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain, count, islice
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from encoder.errors import InputError, MissingExtraError
from encoder.weights import first_line
from train.settings import Texts
from train.texts.files import TEXTS, builder_of, files_behind, quiet_datasets

_SHOWN = 8
_OPEN_AT_ONCE = 16  # files that are read in turn
_ROWS_AT_ONCE = 32
_MEND = "mend or leave out the file; texts are read as UTF-8"

_Item = TypeVar("_Item")


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
        self._parts = open_parts(self.settings)
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
            return self._usable(Random(settings.seed + number))
        # Another order of all texts would give other first ones.
        taken = islice(self._usable(Random(settings.seed)), settings.most)
        return shuffled(taken, settings.shuffle, Random(settings.seed + number)) if number else taken

    def _usable(self, random: Random) -> Iterator[str]:
        """All texts that are long enough."""
        parts = random.sample(self._parts, len(self._parts))
        passed_over = Counter[str]()
        for text in shuffled(in_turn(parts, _OPEN_AT_ONCE), self.settings.shuffle, random):
            if not isinstance(text, str) or not text.strip():
                passed_over["no text"] += 1
            elif len(text) < self.settings.shortest_characters:
                passed_over["shorter than texts.shortest_characters"] += 1
            else:
                yield text
                continue
            self.passed_over = dict(passed_over | Counter(self.passed_over))  # | is the greater one of each


def in_turn(parts: Sequence[Iterable[_Item]], most_open: int) -> Iterator[_Item]:
    """One of each part and again one of each; so many are open at a time, the next follows one that ends."""
    waiting = map(iter, parts)
    opened = deque(islice(waiting, most_open))
    nothing = object()
    while opened:
        part = opened.popleft()
        item = next(part, nothing)
        if item is nothing:
            opened.extend(islice(waiting, 1))
        else:
            yield item  # type: ignore[misc]
            opened.append(part)


def shuffled(items: Iterable[_Item], size: int, random: Random) -> Iterator[_Item]:
    """All of them, each next one drawn from `size` that are held in memory."""
    rest = iter(items)
    held = list(islice(rest, size))
    for item in rest:
        place = random.randrange(len(held))
        yield held[place]
        held[place] = item
    random.shuffle(held)
    yield from held


@dataclass(frozen=True)
class _Part:
    """The texts of a file, or of a piece of a data set; can be read again and again."""

    name: str
    rows: Any  # a streaming data set with one column
    column: str

    def __iter__(self) -> Iterator[Any]:
        """What stands in the column.

        Raises:
            InputError: the file is damaged further on than its beginning.
        """
        from datasets.exceptions import DatasetGenerationError

        rows = iter(self.rows)
        try:
            while found := _next_rows(rows):
                yield from (row[self.column] for row in found)
        except (OSError, ValueError, DatasetGenerationError) as error:
            raise InputError(
                f"The texts cannot be read to their end: {first_line(error)}", self.name, _MEND
            ) from error


def _next_rows(rows: Iterator[_Item]) -> list[_Item]:
    """Some more rows; what the library logs of a damaged file meanwhile we raise."""
    with quiet_datasets():  # 40 microseconds, too many for each row
        return list(islice(rows, _ROWS_AT_ONCE))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def open_parts(settings: Texts) -> list[_Part]:
    """The files, each to be read piece by piece; data sets of many pieces (the Hub's) count as so many files.

    Raises:
        InputError: a file is missing, of no known kind or damaged, or has no such column.
    """
    import datasets

    # It tells the Hub that local files are read, and waits for the answer.
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    if not settings.files:
        raise InputError("There are no texts: texts.files is empty.", "texts.files", "name files or folders")
    found = []
    with quiet_datasets():
        for name in _expanded(settings.files):
            rows = _open(name, settings.column)
            pieces = max(1, rows.num_shards)
            found += [_Part(name, rows.shard(pieces, number), settings.column) for number in range(pieces)]
    return found


def local_paths(settings: Texts) -> list[Path]:
    """The files and folders among the names, for hashing."""
    return [Path(name) for name in settings.files if not name.startswith("hf:")]


def _expanded(names: tuple[str, ...]) -> Iterator[str]:
    """Files, saved data sets and Hub names; other folders become the files in them."""
    for name in names:
        path = Path(name)
        is_saved = any((path / each).exists() for each in ("dataset_info.json", "dataset_dict.json"))
        if name.startswith("hf:") or not path.is_dir() or is_saved:
            yield name
            continue
        yield from map(str, files_behind(name, TEXTS))


def _open(name: str, column: str) -> Any:
    from datasets import load_dataset, load_from_disk
    from datasets.exceptions import DatasetGenerationError

    path = Path(name)
    try:
        if name.startswith("hf:"):
            place, _, split = name.removeprefix("hf:").partition("@")
            data = load_dataset(place, split=split or "train", streaming=True)
        elif path.is_dir():
            data = _one_split(load_from_disk(name), name).to_iterable_dataset()
        elif not path.exists():
            raise InputError("There is no such file or folder.", name, "mend texts.files")
        else:
            builder = builder_of(path, TEXTS)
            data = load_dataset(builder, data_files=str(path), split="train", streaming=True)
        names = data.column_names or list(next(iter(data), {}))
    except (OSError, ValueError, DatasetGenerationError) as error:
        raise InputError(f"The texts cannot be read: {first_line(error)}", name, _MEND) from error
    if column not in names:
        near = get_close_matches(column, names, n=1)
        known = near[0] if near else ", ".join(names[:_SHOWN])
        raise InputError(f"There is no column {column!r}.", name, f"set texts.column; there is {known}")
    return data.select_columns([column])


def _one_split(saved: Any, name: str) -> Any:
    if isinstance(saved, dict):
        raise InputError(
            f"The saved data set has the splits {', '.join(saved)}.",
            name,
            f"name the folder of one, such as {name}/{next(iter(saved))}",
        )
    return saved


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
