"""A folder of evaluation sets -> tasks in memory; what the columns are says which kind a set is.

    NAME.parquet   sentence1, sentence2, score, split    sts
    NAME/          corpus (id, title, text), queries (id, text), qrels (query_id, corpus_id, score, split)
                   as three parquet files                retrieval
    NAME.parquet   text, label, split                    classification
    NAME.parquet   text, label                           clustering

Other columns are ignored. Only rows are kept that scoring looks at. It scores nothing itself.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from encoder.errors import InputError, UsageError

COLUMNS = {
    "sts": ("sentence1", "sentence2", "score", "split"),
    "classification": ("text", "label", "split"),
    "clustering": ("text", "label"),
}
RETRIEVAL_COLUMNS = {
    "corpus": ("id", "title", "text"),
    "queries": ("id", "text"),
    "qrels": ("query_id", "corpus_id", "score", "split"),
}
_KINDS = ("sts", "retrieval", "classification", "clustering")  # order of the report
_EXPECTED = "; ".join(f"{', '.join(columns)} ({kind})" for kind, columns in COLUMNS.items())


@dataclass(frozen=True)
class StsTask:
    """Pairs of sentences whose similarity people have graded."""

    name: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    grades: tuple[float, ...]
    kind: ClassVar[str] = "sts"
    metric: ClassVar[str] = "Spearman of cosine"

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text, pairs apart."""
        return self.left + self.right


@dataclass(frozen=True)
class RetrievalTask:
    """Queries, documents, and which answers which."""

    name: str
    queries: tuple[str, ...]  # those with at least one relevant document
    documents: tuple[str, ...]  # title and text
    document_ids: tuple[str, ...]
    judgements: tuple[Mapping[str, float], ...]  # of each query: document id to gain, all above 0
    kind: ClassVar[str] = "retrieval"
    metric: ClassVar[str] = "nDCG@10"

    @property
    def texts(self) -> tuple[str, ...]:
        """The documents."""
        return self.documents


@dataclass(frozen=True)
class ClassificationTask:
    """Labelled texts to learn from and to judge by."""

    name: str
    train_texts: tuple[str, ...]
    train_labels: tuple[str, ...]
    test_texts: tuple[str, ...]
    test_labels: tuple[str, ...]
    kind: ClassVar[str] = "classification"
    metric: ClassVar[str] = "accuracy"

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text, both parts."""
        return self.train_texts + self.test_texts


@dataclass(frozen=True)
class ClusteringTask:
    """Texts of which labels say what belongs together."""

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    kind: ClassVar[str] = "clustering"
    metric: ClassVar[str] = "V-measure"


Task = StsTask | RetrievalTask | ClassificationTask | ClusteringTask


def read_tasks(place: Path, only: Sequence[str] | None = None) -> list[Task]:
    """The tasks of a folder, by kind and name.

    Args:
        place: a folder of sets; or a single set, a parquet file or a folder with corpus, queries and qrels.
        only: names of those wanted; None for all. The others are not looked at.

    Raises:
        InputError: nothing is there, or a set cannot be read, lacks columns or rows, or names ids that it
            does not have.
        UsageError: there is no set of a name in `only`.
    """
    found = _find(place)
    if only is not None:
        for name in only:
            if name not in found:
                near = get_close_matches(name, found, n=1) or sorted(found)
                fix = f"did you mean {near[0]}?" if len(near) == 1 else "use one of " + ", ".join(near)
                raise UsageError(f"there is no task {name}", str(place), fix)
        found = {name: path for name, path in found.items() if name in only}
    tasks = [_read_folder(path) if path.is_dir() else _read_file(path) for path in found.values()]
    return sorted(tasks, key=lambda task: (_KINDS.index(task.kind), task.name))


def content_sha256(task: Task) -> str:
    """Sha256 hex over all that decides a task's score, its name left out."""
    content = {key: value for key, value in vars(task).items() if key != "name"}
    return hashlib.sha256(json.dumps([task.kind, content]).encode("utf-8", "surrogatepass")).hexdigest()


def _find(place: Path) -> dict[str, Path]:
    """Name to place of each set.

    Raises:
        InputError: there is none.
    """
    if not place.exists():
        raise InputError("this folder of evaluation sets does not exist", str(place), "check the path")
    if place.suffix == ".parquet" or _is_retrieval(place):
        return {place.stem if place.is_file() else place.resolve().name: place}
    entries = sorted(place.iterdir()) if place.is_dir() else []
    found = {
        (path.stem if path.is_file() else path.name): path
        for path in entries
        if (path.is_file() and path.suffix == ".parquet") or _is_retrieval(path)
    }
    if not found:
        raise InputError(
            "there is no evaluation set here",
            str(place),
            f"put parquet files here with the columns {_EXPECTED}, or folders with corpus.parquet, "
            "queries.parquet and qrels.parquet",
        )
    return found


def _is_retrieval(path: Path) -> bool:
    return path.is_dir() and any((path / f"{part}.parquet").is_file() for part in RETRIEVAL_COLUMNS)


def _read_file(path: Path) -> Task:
    names = _schema_names(path)
    if "sentence1" in names or "sentence2" in names:
        return _read_sts(path)
    if "label" not in names:
        raise InputError(
            f"the columns are {', '.join(names)}; no kind of task has these",
            str(path),
            f"name them {_EXPECTED}, or move the file elsewhere",
        )
    return _read_classification(path) if "split" in names else _read_clustering(path)


def _read_sts(path: Path) -> StsTask:
    rows = [row for row in _rows(path, COLUMNS["sts"]) if row["split"].startswith("test")]
    _need(rows, "the set has no pair whose split begins with test", path)
    grades = tuple(_number(row["score"], "score", path) for row in rows)
    if len(set(grades)) < 2:
        raise InputError(
            "all its scores are equal, so nothing can be compared", str(path), "give graded pairs"
        )
    left, right = (tuple(row[side] for row in rows) for side in ("sentence1", "sentence2"))
    return StsTask(path.stem, left, right, grades)


def _read_classification(path: Path) -> ClassificationTask:
    rows = _rows(path, COLUMNS["classification"])
    parts: list[tuple[str, ...]] = []
    for split in ("train", "test"):
        kept = [row for row in rows if row["split"] == split]
        _need(kept, f"the set has no row whose split is {split}", path)
        parts += [tuple(row[column] for row in kept) for column in ("text", "label")]
    _need(len(set(parts[1])) > 1, "the training rows have a single label", path)
    return ClassificationTask(path.stem, *parts)


def _read_clustering(path: Path) -> ClusteringTask:
    rows = _rows(path, COLUMNS["clustering"])
    texts, labels = (tuple(row[column] for row in rows) for column in COLUMNS["clustering"])
    _need(len(set(labels)) > 1, "the rows have fewer than two labels", path)
    return ClusteringTask(path.stem, texts, labels)


def _read_folder(folder: Path) -> RetrievalTask:
    parts = {}
    for part, columns in RETRIEVAL_COLUMNS.items():
        path = folder / f"{part}.parquet"
        if not path.is_file():
            raise InputError(f"{path.name} is missing", str(folder), "put it beside the other two files")
        parts[part] = _rows(path, columns)
    documents = _by_id(parts["corpus"], folder / "corpus.parquet")
    queries = _by_id(parts["queries"], folder / "queries.parquet")
    judgements = _judgements(parts["qrels"], queries, documents, folder / "qrels.parquet")
    return RetrievalTask(
        name=folder.resolve().name,
        queries=tuple(queries[query]["text"] for query in queries if query in judgements),
        documents=tuple(f"{row['title']} {row['text']}".strip() for row in documents.values()),
        document_ids=tuple(documents),
        judgements=tuple(judgements[query] for query in queries if query in judgements),
    )


def _by_id(rows: list[dict[str, Any]], path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["id"] in found:
            raise InputError(f"the id {row['id']!r} stands there twice", str(path), "give every row its own")
        found[row["id"]] = row
    return found


def _judgements(
    rows: list[dict[str, Any]], queries: Mapping[str, Any], documents: Mapping[str, Any], path: Path
) -> dict[str, dict[str, float]]:
    """Query id to document id to gain, of the test rows whose gain is above 0.

    Raises:
        InputError: there is none, or one names a query or document that does not exist.
    """
    judgements: dict[str, dict[str, float]] = {}
    for row in rows:
        gain = _number(row["score"], "score", path)
        if row["split"] != "test" or gain <= 0:
            continue
        for column, known in (("query_id", queries), ("corpus_id", documents)):
            if row[column] not in known:
                raise InputError(
                    f"{column} {row[column]!r} does not exist",
                    str(path),
                    "add it to queries.parquet or corpus.parquet, or take the row out",
                )
        judgements.setdefault(row["query_id"], {})[row["corpus_id"]] = gain
    _need(judgements, "the set has no judgement above 0 whose split is test", path)
    return judgements


def _need(holds: object, what: str, path: Path) -> None:
    if not holds:
        raise InputError(what, str(path), "add such rows, or move the set elsewhere")


def _number(value: Any, column: str, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise InputError(
            f"the column {column} holds {value!r}, expected a number", str(path), "mend the column"
        )
    return float(value)


def _schema_names(path: Path) -> list[str]:
    try:
        return pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows with these columns; all but `score` as text, a missing title empty.

    Raises:
        InputError: the file cannot be read, or a column or a value is missing.
    """
    missing = [column for column in columns if column not in _schema_names(path)]
    if missing:
        raise InputError(
            f"the column {missing[0]} is missing", str(path), f"write the columns {', '.join(columns)}"
        )
    try:
        table = pq.read_table(path, columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    rows = table.to_pylist()
    for number, row in enumerate(rows):
        for column, value in row.items():
            if value is None and column != "title":
                raise InputError(
                    f"row {number} has no {column}", str(path), "fill it in, or take the row out"
                )
            if column != "score":
                row[column] = "" if value is None else str(value)
    return rows


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [""])[0]
    return InputError(f"it cannot be read as parquet: {reason}", str(path), "restore the file from a copy")
