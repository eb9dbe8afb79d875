"""Pairs of texts for contrastive learning: checked, without doubles, and some held out whose texts nobody trains on.

A batch is of one data set and of one shape, so pairs with other numbers of hard negatives make data sets of their
own. Texts stay in files that are mapped into memory; what is kept in memory is some numbers a row.

Shapes: N rows, H columns of hard negatives.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoder.errors import ConfigError, InputError
from train.settings import Pairs
from train.texts.files import quiet_datasets
from train.texts.pair_files import open_columns

_READ_AT_ONCE = 10_000
_NO_SOURCE = "none"
_OURS = "\x01"  # before a name that is not among a file's own; a zero byte would end it for pyarrow

Numbers = NDArray[np.uint64]


@dataclass
class PairData:
    """What a stage trains on, by name of the data set.

    Attributes:
        train: data sets of the library with the columns anchor, positive, negative_1, negative_2, ..., and number:
            of the row, from 0 through all files of all `Pairs` one after the other.
        held_out: the same of pairs whose texts are not among those of `train`; anchor and positive alone.
        instructions: what the queries of a data set ask for, where they ask for something.
        counts: of the rows of each `Pairs`: read, empty (anchor or positive), doubled, not taken (beyond `most`),
            held out, near held-out (share a text with what is held out), trained.
        left_out: rows of data sets that `join_small` found no batch for.
    """

    train: dict[str, Any] = field(default_factory=dict)
    held_out: dict[str, Any] = field(default_factory=dict)
    instructions: dict[str, str] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


class _Rows(NamedTuple):
    """What is known of the rows of a `Pairs`."""

    keys_N2: Numbers  # of anchor and positive
    negatives_NH: Numbers  # of hard negatives, 0 where there is none
    is_whole_N: NDArray[np.bool_]  # anchor and positive are there
    sources: list[str]  # of each row; empty where the recipe names no column


@dataclass
class _Source:
    """A `Pairs` with its rows and the numbers of those still in use, in file order."""

    settings: Pairs
    data: Any
    rows: _Rows
    used: NDArray[np.int64]
    counts: dict[str, int]


def read_pairs(
    settings: Sequence[Pairs],
    *,
    held_out: int = 0,
    texts: Sequence[str] = (),
    seed: int = 0,
    cache: Path | None = None,
) -> PairData:
    """Pairs as a recipe names them.

    Which pairs are taken (`most`) and held out follows from their texts and the seed, not from their order.

    Args:
        settings: the data sets.
        held_out: pairs held out of all data sets together.
        texts: held out too: pairs with one of them are not trained on.
        seed: of what is drawn.
        cache: folder for mapped files; None for the library's own.

    Raises:
        ConfigError: two data sets have one name, or a column is named twice.
        InputError: a file cannot be read, lacks a column, or nothing is left to train on.
    """
    _check_names(settings)
    sources = [_read(each, seed, cache) for each in settings]
    held = _hold_out(sources, held_out, texts, seed)
    found = PairData()
    first = 0  # number of the source's first row
    with quiet_datasets():
        for source, rows in zip(sources, held, strict=True):
            name, instruction = source.settings.name, source.settings.instruction
            kept = _split(source, rows, with_negatives=False)
            source.data = source.data.add_column(f"{_OURS}number", np.arange(first, first + len(source.data)))
            first += len(source.data)
            train = _split(source, source.used)
            _need_new(name, found.train.keys() & train.keys())
            found.train |= train
            found.held_out |= kept
            found.counts[name] = source.counts | {"trained": len(source.used)}
            if instruction:
                found.instructions |= dict.fromkeys([*train, *kept], instruction)
    if not found.train:
        total = sum(map(len, held))
        raise InputError(
            f"Nothing is left to train on: of the pairs {total} are held out, the others share texts with those"
            + (" or with held-out texts." if texts else "."),
            "held_out",
            "lower held_out" + (" or texts.held_out" if texts else "") + ", or name more files",
        )
    return found


def join_small(data: PairData, batch: int) -> PairData:
    """Data sets that fill no batch, joined to ones that do if columns and instruction are the same.

    The library's samplers keep full batches alone: a small data set never comes up when they sample in proportion,
    and ends the training before the first step when they take turns. Neither is said.

    Args:
        data: as `read_pairs` gives it.
        batch: pairs in a batch, of all devices together.

    Raises:
        InputError: no data set fills a batch.
    """
    from datasets import concatenate_datasets

    train = {name: part for name, part in data.train.items() if len(part) >= batch}
    instructions: dict[str, str] = dict(data.instructions)
    left_out: dict[str, int] = {}
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, part in data.train.items():
        if name not in train:
            groups.setdefault((instructions.get(name, ""), *part.column_names), []).append(name)
    for number, ((instruction, *_), names) in enumerate(groups.items(), start=1):
        rows = {name: len(data.train[name]) for name in names}
        if sum(rows.values()) < batch:
            left_out |= rows
            continue
        joined = f"joined-{number}"
        _need_new(joined, {joined} & data.train.keys())
        train[joined] = concatenate_datasets([data.train[name] for name in names])
        if instruction:
            instructions[joined] = instruction
    if not train:
        raise InputError(
            f"No data set fills a batch of {batch}: the largest has {max(left_out.values(), default=0)} pairs.",
            "schedule.batch",
            "lower schedule.batch, or name more files",
        )
    return replace(data, train=train, instructions=instructions, left_out=left_out)


def _check_names(settings: Sequence[Pairs]) -> None:
    """Refuses names and columns that occur twice.

    Raises:
        ConfigError: one does.
    """
    names = [each.name for each in settings]
    for each in settings:
        _need_new(each.name, {each.name} if names.count(each.name) > 1 else set())
        columns = _columns(each)
        for column in columns:
            if columns.count(column) > 1:
                raise ConfigError(
                    f"The column {column!r} is named twice.", f"pairs {each.name}", "name different columns"
                )


def _need_new(name: str, doubled: set[str]) -> None:
    """Refuses a name that is taken.

    Raises:
        ConfigError: it is.
    """
    if doubled:
        raise ConfigError(
            f"Two data sets have the name {min(doubled)!r}.", f"pairs {name}", "give each its own name"
        )


def _columns(settings: Pairs) -> list[str]:
    source = [settings.source] if settings.source else []
    return [settings.anchor, settings.positive, *settings.negatives, *source]


def _read(settings: Pairs, seed: int, cache: Path | None) -> _Source:
    """The files of a `Pairs`, and which of their rows are pairs of their own.

    Raises:
        InputError: a file cannot be read, or holds no pair.
    """
    data = open_columns(settings.files, _columns(settings), cache=cache)
    rows = _read_rows(data, settings)
    whole = np.flatnonzero(rows.is_whole_N)
    single = _first_of_equals(rows, whole)
    if not len(single):
        raise InputError(
            f"There are no pairs: of {len(data)} rows none has both an anchor and a positive.",
            ", ".join(settings.files),
            "look at the columns, or name other files",
        )
    taken = single
    if settings.most and settings.most < len(single):
        drawn = np.argsort(_scattered(rows.keys_N2[single], seed, "most"), kind="stable")
        taken = np.sort(single[drawn[: settings.most]])
    counts = {
        "read": len(data),
        "empty": len(data) - len(whole),
        "doubled": len(whole) - len(single),
        "not taken": len(single) - len(taken),
    }
    return _Source(settings, data, rows, taken, counts)


def _read_rows(data: Any, settings: Pairs) -> _Rows:
    keys, negatives, is_whole, sources = [], [], [], []
    for table in data.with_format("arrow").iter(batch_size=_READ_AT_ONCE):
        columns = {name: table[name].to_pylist() for name in table.column_names}
        anchors, positives = columns[settings.anchor], columns[settings.positive]
        keys += [(_key(a), _key(p)) for a, p in zip(anchors, positives, strict=True)]
        is_whole += [_is_text(a) and _is_text(p) for a, p in zip(anchors, positives, strict=True)]
        for row in zip(*(columns[name] for name in settings.negatives), strict=True):
            negatives.append([_key(text) for text in row])
        if settings.source:
            sources += [_NO_SOURCE if value is None else value for value in columns[settings.source]]
    return _Rows(
        keys_N2=np.array(keys, dtype=np.uint64).reshape(-1, 2),
        negatives_NH=np.array(negatives, dtype=np.uint64).reshape(len(keys), len(settings.negatives)),
        is_whole_N=np.array(is_whole, dtype=np.bool_),
        sources=sources,
    )


def _is_text(value: str | None) -> bool:
    return value is not None and bool(value.strip())


def _key(text: str | None) -> int:
    """64 bits of a text, 0 for none; among a million texts two share them once in 37 million runs."""
    if not _is_text(text):
        return 0
    digest = hashlib.blake2b(str(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _first_of_equals(rows: _Rows, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the rows with the same anchor and positive the one with the most hard negatives, in file order."""
    keys = rows.keys_N2[numbers]
    fewest = -(rows.negatives_NH[numbers] != 0).sum(axis=1)
    order = np.lexsort((numbers, fewest, keys[:, 1], keys[:, 0]))
    is_new = np.ones(len(order), dtype=np.bool_)
    is_new[1:] = (keys[order][1:] != keys[order][:-1]).any(axis=1)
    return np.sort(numbers[order[is_new]])


def _scattered(keys_N2: Numbers, seed: int, purpose: str) -> Numbers:
    """A number for each pair [N, 2] that looks drawn and follows from its texts alone, [N]."""
    salt = np.uint64(_key(f"{purpose} {seed}"))
    mixed = (keys_N2[:, 0] * np.uint64(3) + keys_N2[:, 1]) ^ salt
    for _ in range(2):
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(31))


def _hold_out(
    sources: Sequence[_Source], count: int, texts: Sequence[str], seed: int
) -> list[NDArray[np.int64]]:
    """Takes pairs out of use, all data sets together, and every row that has a text of one, or one of the texts.

    Returns:
        The rows held out, an array a source.
    """
    drawn = [_scattered(source.rows.keys_N2[source.used], seed, "held out") for source in sources]
    everything = np.concatenate(drawn) if drawn else np.empty(0, dtype=np.uint64)
    limit = np.sort(everything)[:count]
    held, keys = [], [np.array([_key(text) for text in texts if _is_text(text)], dtype=np.uint64)]
    for source, numbers in zip(sources, drawn, strict=True):
        is_held = np.isin(numbers, limit)
        held.append(source.used[is_held])
        keys.append(source.rows.keys_N2[held[-1]].ravel())
    known = np.unique(np.concatenate(keys))
    for source, rows in zip(sources, held, strict=True):
        own = np.concatenate([source.rows.keys_N2, source.rows.negatives_NH], axis=1)[source.used]
        is_near = np.isin(own, known).any(axis=1)
        source.counts |= {"held out": len(rows), "near held-out": int(is_near.sum()) - len(rows)}
        source.used = source.used[~is_near]
    return held


def _split(source: _Source, numbers: NDArray[np.int64], *, with_negatives: bool = True) -> dict[str, Any]:
    """Some rows as data sets by name: one for each source and each number of hard negatives."""
    settings, rows = source.settings, source.rows
    names = np.array([settings.name] * len(numbers), dtype=object)
    if rows.sources:
        names = np.array([f"{settings.name}/{rows.sources[number]}" for number in numbers], dtype=object)
    has_N = rows.negatives_NH[numbers] != 0 if with_negatives else np.zeros((len(numbers), 0), dtype=np.bool_)
    counts = has_N.sum(axis=1)
    found = {}
    for name in sorted(set(names)):
        for count in sorted(set(counts[names == name]), reverse=True):
            chosen = (names == name) & (counts == count)
            is_full = not with_negatives or count == len(settings.negatives)
            part = _with_columns(source.data, settings, numbers[chosen], has_N[chosen], int(count))
            found[name if is_full else f"{name}-{count}-negatives"] = part
    return found


def _with_columns(
    data: Any, settings: Pairs, numbers: NDArray[np.int64], has_NH: NDArray[np.bool_], count: int
) -> Any:
    """The rows with our names of columns; `has_NH` [N, H] says which hard negatives there are, `count` in each."""
    kept = [settings.anchor, settings.positive, *settings.negatives[: has_NH.shape[1]]]
    ours = ["anchor", "positive", *(f"negative_{place}" for place in range(1, len(kept) - 1))]
    number = [name for name in ("number",) if _OURS + name in data.column_names]
    part = data.select(numbers).select_columns(kept + [_OURS + name for name in number])
    # In two steps: the file's "positive" may be our "anchor".
    part = part.rename_columns({old: _OURS + new for old, new in zip(kept, ours, strict=True)})
    part = part.rename_columns({_OURS + new: new for new in ours + number})
    wanted = ours[: 2 + count] + number
    if not has_NH[:, :count].all():
        part = part.map(_moved_up, batched=True, fn_kwargs={"columns": ours[2:]}, load_from_cache_file=False)
    return part.select_columns(wanted)


def _moved_up(batch: dict[str, list[Any]], columns: Sequence[str]) -> dict[str, list[Any]]:
    """The hard negatives of each row without gaps."""
    moved = []
    for row in zip(*(batch[name] for name in columns), strict=True):
        there = [text for text in row if _is_text(text)]
        moved.append(there + [None] * (len(columns) - len(there)))
    return {name: [row[place] for row in moved] for place, name in enumerate(columns)}
