"""One topics run as it lies on disk: read strictly, since collections come from elsewhere too.

Files of the build: `rowid.u64`, `topic.i32`, `closeness.f16`, `means.f32` (one row a topic), `topics.json`,
`phrases.json` (what the key phrases were counted from, read by `indexer.topics.phrase_table`).
Letters: N rows, C topics, D numbers per vector.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from encoder import atomic
from encoder.errors import InputError
from indexer.collection import Collection
from indexer.derived import Build, build_folder, read_build
from indexer.storage.strict_json import check_format, damaged, read_object, to_dataclass

KIND = "topics"
NOISE = -1
TOPICS_FILE = "topics.json"
FORMAT = 1
_MOST_NUMBER = 2**31 - 1
# What a run may hold, when it is written as when it is read: a file with holes claims any size without filling a disk.
MOST_FILE_BYTES = 64 << 20  # of the description
MOST_MEANS_BYTES = 512 << 20
_BLOCK = 1 << 20  # row ids that are read at once


@dataclass(frozen=True, slots=True)
class Topic:
    """A group of passages.

    Attributes:
        number: in its run; never compare numbers of two runs.
        label: shown name, given by a person or made of key phrases. Hostile text.
        automatic_label: the one made of key phrases.
        size: passages, at the time of the build.
        share: of all passages of the run, noise included, 0 to 1.
        cohesion: mean cosine of its passages to their centroid; the length of the mean of their unit vectors.
        stability: how much of it comes back in other runs, 0 to 1 (`indexer.topics.quality`); None when unknown.
        reach: closeness that 95 in 100 of its passages exceed.
        keyphrases: phrase and weight, heaviest first.
        exemplars: row ids of the most central passages, texts that differ.
        misfits: row ids of the passages that lie nearly as close, or closer, to another topic.
        nearest: numbers of the topics with the most similar centroids and the cosine, most similar first.
    """

    number: int
    label: str
    automatic_label: str
    size: int
    share: float
    cohesion: float
    stability: float | None
    reach: float = 0.0
    keyphrases: list[tuple[str, float]] = field(default_factory=list)
    exemplars: list[int] = field(default_factory=list)
    misfits: list[int] = field(default_factory=list)
    nearest: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StoredTopics:
    """A run, or a version of it that people edited.

    Attributes:
        id: of the automatic run; with the topic's number it names a topic in links.
        version: name of the edited version, "" for the automatic one.
        edits: how many edits the version has; an edit says how many it had seen.
        build: the build that holds the assignment; its recipe says how it was made.
        row_ids: uint64 [N], ascending; rows of the publication it was made from.
        numbers: int32 [N], topic of each row, -1 for noise.
        closeness: float32 [N], cosine to the centroid of its topic, for noise to the nearest; 0 without a vector.
        means: float32 [C, D], mean of the unit vectors of each topic, in the order of `topics`.
        topics: by falling size at the time of the build.
    """

    id: str
    version: str
    edits: int
    build: Build
    row_ids: NDArray[np.uint64]
    numbers: NDArray[np.int32]
    closeness: NDArray[np.float32]
    means: NDArray[np.float32]
    topics: list[Topic]

    @property
    def centroids(self) -> NDArray[np.float32]:
        """Unit centroids float32 [C, D], in the order of `topics`; a zero row where the mean is zero."""
        return unit_rows(self.means)

    def topic(self, number: int) -> Topic | None:
        """The topic of that number; None when there is none."""
        return next((topic for topic in self.topics if topic.number == number), None)

    def members(self, number: int) -> NDArray[np.uint64]:
        """Row ids uint64 [n] of a topic (-1: of noise), most central first, ties by row id."""
        at = np.flatnonzero(self.numbers == number)
        return self.row_ids[at[np.argsort(-self.closeness[at], kind="stable")]]


@dataclass(frozen=True, slots=True)
class _TopicEntry:
    number: int
    label: str
    size: int
    cohesion: float
    stability: float  # -1: unknown
    reach: float
    phrases: list[str]
    weights: list[float]
    exemplars: list[int]
    misfits: list[int]
    near: list[int]
    near_cosines: list[float]


@dataclass(frozen=True, slots=True)
class _TopicsFile:
    rows: int
    dimension: int
    topics: list[_TopicEntry]
    format: int = FORMAT


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows with length 1, float32 [N, D]; those that are zero or not finite become zero.

    Args:
        vectors: [N, D].
    """
    lengths = np.linalg.norm(vectors.astype(np.float32, copy=False), axis=1, keepdims=True)
    is_good = np.isfinite(lengths) & (lengths > 0)
    return np.where(is_good, vectors / np.where(is_good, lengths, 1), 0).astype(np.float32)


def write_files(
    folder: Path,
    row_ids: NDArray[np.uint64],
    numbers: NDArray[np.int32],
    *,
    closeness: NDArray[np.float32],
    means: NDArray[np.float32],
    topics: list[Topic],
) -> None:
    """Puts a run into the folder of a build.

    Args:
        folder: exists, empty of ours.
        row_ids: uint64 [N], ascending.
        numbers: int32 [N].
        closeness: float32 [N].
        means: float32 [C, D].
        topics: C of them.

    Raises:
        InputError: there are more topics than are read again.
    """
    content = _TopicsFile(int(row_ids.size), int(means.shape[1]), [_to_entry(topic) for topic in topics])
    text = json.dumps(asdict(content), ensure_ascii=False, allow_nan=False, indent=1)
    described = (text + "\n").encode()
    if len(described) > MOST_FILE_BYTES or 4 * means.size > MOST_MEANS_BYTES:
        raise InputError(
            f"{len(topics):,} topics are more than can be kept", "the topics", "ask for fewer, larger ones"
        )
    row_ids.astype("<u8").tofile(folder / "rowid.u64")
    numbers.astype("<i4").tofile(folder / "topic.i32")
    closeness.astype("<f2").tofile(folder / "closeness.f16")
    means.astype("<f4").tofile(folder / "means.f32")
    atomic.write_bytes(folder / TOPICS_FILE, described)


def read_run(collection: Collection, identifier: str) -> StoredTopics:
    """The topics of one build, as stored.

    Raises:
        InputError: there is no such build.
        CollectionError: it is damaged.
    """
    build = read_build(collection, KIND, identifier)
    folder = build_folder(collection, KIND, identifier)
    file = folder / TOPICS_FILE
    found = read_object(file, most_bytes=MOST_FILE_BYTES)
    check_format(found, file, FORMAT)
    content = to_dataclass(_TopicsFile, found, file)
    if content.dimension != collection.settings.dimension:
        raise damaged(file, f"its vectors have {content.dimension} numbers")
    _check_entries(content, file)
    shape = (len(content.topics), content.dimension)
    if 4 * shape[0] * shape[1] > MOST_MEANS_BYTES:
        raise damaged(file, f"it describes {shape[0]:,} topics, more than can be")
    row_ids = _read_ascending(folder / "rowid.u64", content.rows)
    numbers = _read(folder / "topic.i32", "<i4", content.rows).astype(np.int32)
    closeness = _read(folder / "closeness.f16", "<f2", content.rows).astype(np.float32)
    means = _read(folder / "means.f32", "<f4", shape[0] * shape[1]).astype(np.float32).reshape(shape)
    if not np.isin(numbers, [NOISE, *(entry.number for entry in content.topics)]).all():
        raise damaged(folder / "topic.i32", "it names topics that are not described")
    if not np.isfinite(means).all():
        raise damaged(folder / "means.f32", "it holds what is no number")
    topics = [_to_topic(entry, content.rows) for entry in content.topics]
    closeness = np.nan_to_num(closeness)
    return StoredTopics(identifier, "", 0, build, row_ids, numbers, closeness, means, topics)


def _read(file: Path, kind: str, count: int) -> NDArray[Any]:
    """`count` numbers, all that the file may hold."""
    with _opened(file, count * np.dtype(kind).itemsize) as stream:
        return np.fromfile(stream, dtype=kind, count=count)


def _read_ascending(file: Path, count: int) -> NDArray[np.uint64]:
    """Row ids uint64 [count], read block by block: holes read as zeros, which do not ascend.

    So what is taken into memory here, and of the other arrays after it, has the size of what really lies on disk.
    """
    parts = [np.zeros(0, np.uint64)]
    with _opened(file, count * 8) as stream:
        for start in range(0, count, _BLOCK):
            part = np.fromfile(stream, dtype="<u8", count=min(_BLOCK, count - start)).astype(np.uint64)
            joined = np.concatenate([parts[-1][-1:], part])
            if not (joined[:-1] < joined[1:]).all():
                raise damaged(file, "its rows do not ascend")
            parts.append(part)
    return np.concatenate(parts)


@contextmanager
def _opened(file: Path, size: int) -> Iterator[BinaryIO]:
    """The file, if it has that size."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size != size:
            raise damaged(file, "its size does not fit the description")
        with file.open("rb") as stream:
            yield stream
    except OSError as error:  # somebody removes the topics at this moment
        raise damaged(file, f"it cannot be read: {error.strerror or error}") from error


def _check_entries(content: _TopicsFile, file: Path) -> None:
    numbers = [entry.number for entry in content.topics]
    if len(set(numbers)) != len(numbers) or max(numbers, default=0) > _MOST_NUMBER:
        raise damaged(file, "its topic numbers repeat or are too large")
    for entry in content.topics:
        pairs = ((entry.phrases, entry.weights), (entry.near, entry.near_cosines))
        if any(len(names) != len(values) for names, values in pairs) or entry.size > content.rows:
            raise damaged(file, f"topic {entry.number} contradicts itself")


def _to_entry(topic: Topic) -> _TopicEntry:
    return _TopicEntry(
        number=topic.number,
        label=topic.automatic_label,
        size=topic.size,
        cohesion=topic.cohesion,
        stability=-1.0 if topic.stability is None else topic.stability,
        reach=topic.reach,
        phrases=[phrase for phrase, _ in topic.keyphrases],
        weights=[weight for _, weight in topic.keyphrases],
        exemplars=list(topic.exemplars),
        misfits=list(topic.misfits),
        near=[number for number, _ in topic.nearest],
        near_cosines=[cosine for _, cosine in topic.nearest],
    )


def _to_topic(entry: _TopicEntry, rows: int) -> Topic:
    return Topic(
        number=entry.number,
        label=entry.label,
        automatic_label=entry.label,
        size=entry.size,
        share=entry.size / max(1, rows),
        cohesion=entry.cohesion,
        stability=None if entry.stability < 0 else entry.stability,
        reach=entry.reach,
        keyphrases=list(zip(entry.phrases, entry.weights, strict=True)),
        exemplars=entry.exemplars,
        misfits=entry.misfits,
        nearest=list(zip(entry.near, entry.near_cosines, strict=True)),
    )
