"""What a collection says of itself: `collection.json`, written once, and `publish/<n>.json`, never edited.

Reads and writes these files strictly; it opens no data behind them.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from encoder import atomic
from encoder.errors import CollectionError

FORMAT = 1
SETTINGS_FILE = "collection.json"
PUBLISH_FOLDER = "publish"
# What this version of the program understands beyond format 1; a collection may require more.
FEATURES: frozenset[str] = frozenset()

_Kind = TypeVar("_Kind")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class CollectionSettings:
    """Identity of a collection, fixed when it is made.

    Attributes:
        name: for people; the folder's name when it was made.
        uuid: hex.
        created_at: ISO 8601, UTC.
        encoder_spec: what `load_encoder` is given.
        encoder_name: for messages.
        encoder_fingerprint: sha256 hex.
        dimension: numbers per vector.
        hybrid_weight: weight of the dense part in hybrid search, 0 to 1.
        window: most tokens of a passage, title included.
        overlap: tokens that neighbouring passages share at most.
        words: how text is cut into words for keyword search: "english", "plain" or "ngram2".
        columns: metadata column to its type.
        column_fields: metadata column to the field that stores it.
        features_required: what a program must understand to open it.
        format: number of this file's format.
    """

    name: str
    uuid: str
    created_at: str
    encoder_spec: str
    encoder_name: str
    encoder_fingerprint: str
    dimension: int
    hybrid_weight: float
    window: int
    overlap: int
    words: str
    columns: dict[str, str]
    column_fields: dict[str, str]
    features_required: list[str] = field(default_factory=list)
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One segment of a publication.

    Attributes:
        path: folder relative to the collection.
        kind: "flat", "rabitq" or "ivf-sq8".
        rows: vectors in it, dead ones included.
        recall: ann recall@10 measured when it was built; 1.0 for "flat".
        files: name to {"size": bytes, "sha256": hex}.
    """

    path: str
    kind: str
    rows: int
    recall: float
    files: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Publication:
    """One published version: everything a reader needs to answer from it.

    Attributes:
        number: from 1, rising.
        parent: sha256 hex of the previous publication's file, "" for the first.
        created_at: ISO 8601, UTC.
        rows_version: version of the row store.
        documents: live documents.
        passages: live passages.
        row_ids_sha256: over the live row ids, ascending, little-endian uint64.
        segments: may be empty; rows outside every segment are compared one by one.
        row_files: files of the row store at that version, to {"size", "sha256"}.
        engines: package to version that wrote it.
        notes: what the user should know of it.
        index_choice: the index kind that was asked for: "auto" or a kind.
        format: number of this file's format.
    """

    number: int
    parent: str
    created_at: str
    rows_version: int
    documents: int
    passages: int
    row_ids_sha256: str
    segments: list[SegmentEntry]
    row_files: dict[str, dict[str, Any]]
    engines: dict[str, str]
    notes: list[str] = field(default_factory=list)
    index_choice: str = "auto"
    format: int = FORMAT


def field_names(columns: dict[str, str]) -> dict[str, str]:
    """Column to the name of its stored field: `m_<name>` where that is a plain name, else `m_<position>`."""
    taken: set[str] = set()
    chosen: dict[str, str] = {}
    for position, name in enumerate(columns):
        stored = f"m_{name}"
        if not _PLAIN_NAME.fullmatch(name) or stored.lower() in taken:  # the row store ignores case
            stored = f"m_{position}"
        while stored.lower() in taken:
            stored += "_"
        taken.add(stored.lower())
        chosen[name] = stored
    return chosen


def write_settings(path: Path, settings: CollectionSettings) -> None:
    """Writes `collection.json` of a new collection.

    Raises:
        FileExistsError: there is one already.
        OSError: the folder cannot be written.
    """
    content = json.dumps(asdict(settings), indent=2, ensure_ascii=False) + "\n"
    atomic.create_exclusive(path / SETTINGS_FILE, content.encode())


def read_settings(path: Path) -> CollectionSettings:
    """`collection.json` of the folder `path`.

    Raises:
        CollectionError: the folder is missing, not a collection, damaged, or of a newer format.
    """
    file = path / SETTINGS_FILE
    if path.exists() and not path.is_dir():
        raise CollectionError(f"{path} is a file, not a collection", str(path), "name a folder")
    if not file.is_file():
        raise _not_a_collection(path)
    found = _read(file)
    _check_format(found, file)
    missing = set(found.get("features_required", [])) - FEATURES
    if missing:
        raise CollectionError(
            f"the collection needs {', '.join(sorted(missing))}, which this version does not know",
            str(file),
            "update: pip install --upgrade llm2comp",
        )
    return _strict(CollectionSettings, found, file)


def _not_a_collection(path: Path) -> CollectionError:
    if not path.exists():
        return CollectionError(
            "there is no collection at this path", str(path), f"make one: llm2comp index SOURCE --into {path}"
        )
    return CollectionError(
        f"the folder is not a collection: it has no {SETTINGS_FILE}",
        str(path),
        "name the folder that `llm2comp index` made, or an empty or new one",
    )


def write_publication(path: Path, publication: Publication) -> None:
    """Writes `publish/<n>.json`: the commit point of a publication.

    Raises:
        FileExistsError: another writer published this number first.
        OSError: the folder cannot be written.
    """
    content = json.dumps(asdict(publication), indent=1, ensure_ascii=False) + "\n"
    atomic.create_exclusive(publication_file(path, publication.number), content.encode())


def publication_file(path: Path, number: int) -> Path:
    """Where publication `number` of the collection at `path` is written."""
    return path / PUBLISH_FOLDER / f"{number:07d}.json"


def publication_numbers(path: Path) -> list[int]:
    """Numbers of the publications on disk, ascending; their files may be damaged."""
    folder = path / PUBLISH_FOLDER
    if not folder.is_dir():
        return []
    return sorted(int(file.stem) for file in folder.glob("*.json") if file.stem.isdigit())


def read_publication(path: Path, number: int) -> Publication:
    """Publication `number` of the collection at `path`.

    Raises:
        CollectionError: the file is missing, damaged, or of a newer format.
    """
    file = publication_file(path, number)
    found = _read(file)
    _check_format(found, file)
    entries = found.get("segments")
    if not isinstance(entries, list):
        raise _damaged(file, "it lists no segments")
    found["segments"] = [_strict(SegmentEntry, entry, file) for entry in entries]
    for entry in found["segments"]:
        if not re.fullmatch(r"derived/[A-Za-z0-9._-]+/seg-[0-9]+", entry.path):
            raise _damaged(file, f"the segment path {entry.path!r} leaves the collection")
    return _strict(Publication, found, file)


def newest_publication(path: Path) -> Publication | None:
    """The highest publication that can be read; None when nothing was published.

    Raises:
        CollectionError: there are publications, and none of them can be read.
    """
    problem: CollectionError | None = None
    for number in reversed(publication_numbers(path)):
        try:
            return read_publication(path, number)
        except CollectionError as error:
            problem = problem or error
    if problem:
        raise problem
    return None


def file_sha256(path: Path, number: int) -> str:
    """Hash of a publication's file, the link of the chain."""
    return hashlib.sha256(publication_file(path, number).read_bytes()).hexdigest()


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CollectionError(
            f"cannot read {file.name}: {error.strerror}", str(file), "check the folder's permissions"
        ) from error
    except ValueError as error:
        raise _damaged(file, "it is not JSON") from error
    if not isinstance(found, dict):
        raise _damaged(file, "it holds no object")
    return found


def _check_format(found: dict[str, Any], file: Path) -> None:
    number = found.get("format")
    if not isinstance(number, int):
        raise _damaged(file, "it names no format")
    if number > FORMAT:
        raise CollectionError(
            f"the collection has format {number}, this version of llm2comp reads {FORMAT}",
            str(file),
            "update: pip install --upgrade llm2comp",
        )


def _strict(kind: type[_Kind], found: Any, file: Path) -> _Kind:
    if not isinstance(found, dict):
        raise _damaged(file, f"{found!r} is no object")
    known = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(found) - known:
        raise _damaged(file, f"unknown key {sorted(unknown)[0]!r}")
    try:
        return kind(**found)
    except TypeError as error:
        raise _damaged(file, "a key is missing") from error


def _damaged(file: Path, reason: str) -> CollectionError:
    return CollectionError(
        f"{file.name} is damaged: {reason}",
        str(file),
        "restore the file from a copy; `llm2comp verify` says what else is affected",
    )
