"""What a collection says of itself: `collection.json`, written once, and `publish/<n>.json`, never edited.

Reads and writes these files strictly; it opens no data behind them.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from encoder import atomic
from encoder.errors import CollectionError, UsageError
from encoder.spectrum.transforms import NONE, parse_steps
from indexer.storage.strict_json import NewerFormatError, check_format, damaged, read_object, to_dataclass

FORMAT = 1
SETTINGS_FILE = "collection.json"
TITLE_COLUMN = "title"
PUBLISH_FOLDER = "publish"
TRANSFORM_FEATURE = "transform"
# What this version of the program understands beyond format 1; a collection may require more.
FEATURES: frozenset[str] = frozenset({TRANSFORM_FEATURE})
TRANSFORM_FIELDS = ("transform", "transform_sha256", "base_fingerprint")
TRANSFORM_FILE = "transform.safetensors"

KINDS = ("flat", "rabitq", "ivf-sq8")
WORD_CHOICES = ("english", "plain", "ngram2")
COLUMN_TYPES = ("string", "int64", "float64", "bool", "date", "timestamp", "list<string>")
MOST_DIMENSIONS = 65_536
_STORED_NAME = re.compile(r"m_[A-Za-z0-9_]+")
_NUMBER = re.compile(r"[0-9]{7,15}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
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
        encoder_fingerprint: sha256 hex, of encoder and transformation where there is one.
        dimension: numbers per vector.
        hybrid_weight: weight of the dense part in hybrid search, 0 to 1.
        window: most tokens of a passage, title included.
        overlap: tokens that neighbouring passages share at most.
        words: how text is cut into words for keyword search: "english", "plain" or "ngram2".
        columns: metadata column to its type.
        column_fields: metadata column to the field that stores it.
        features_required: what a program must understand to open it.
        transform: steps that every vector of the encoder passes before it is stored or compared, "" for none.
        transform_sha256: of the transformation in `transform.safetensors`, "" for none.
        base_fingerprint: sha256 hex of the encoder alone where there is a transformation, else "".
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
    transform: str = ""
    transform_sha256: str = ""
    base_fingerprint: str = ""
    format: int = FORMAT

    @property
    def text_fingerprint(self) -> str:
        """Of the encoder that reads the texts: what a transformation does to its vectors does not change how they are cut."""
        return self.base_fingerprint or self.encoder_fingerprint

    @property
    def filter_columns(self) -> dict[str, str]:
        """What a filter may name, with its type: the metadata columns, and the title unless a column has that name."""
        return {TITLE_COLUMN: "string", **self.columns}

    @property
    def filter_fields(self) -> dict[str, str]:
        """What a filter may name, with the field that stores it."""
        return {TITLE_COLUMN: TITLE_COLUMN, **self.column_fields}


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
    fields = asdict(settings)
    if not settings.transform:  # programs that know of no transformation can then open it
        for name in TRANSFORM_FIELDS:
            del fields[name]
    content = json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
    atomic.create_exclusive(path / SETTINGS_FILE, content.encode())


def read_settings(path: Path) -> CollectionSettings:
    """`collection.json` of the folder `path`.

    Raises:
        CollectionError: the folder is missing, not a collection, damaged, or of a newer format.
    """
    file = path / SETTINGS_FILE
    try:
        if path.exists() and not path.is_dir():
            raise CollectionError(f"{path} is a file, not a collection", str(path), "name a folder")
        if not file.is_file():
            raise _not_a_collection(path)
    except OSError as error:
        raise CollectionError(
            f"the collection cannot be read: {error.strerror}",
            str(path),
            "check the permissions of the folder",
        ) from error
    found = read_object(file)
    check_format(found, file, FORMAT)
    needed = found.get("features_required", [])
    if isinstance(needed, list) and (missing := [name for name in needed if str(name) not in FEATURES]):
        raise NewerFormatError(
            f"the collection needs {', '.join(str(name)[:40] for name in missing[:5])}, which this version does not know",
            str(file),
            "update: pip install --upgrade llm2comp",
        )
    return _checked_settings(to_dataclass(CollectionSettings, found, file), file)


def _checked_settings(settings: CollectionSettings, file: Path) -> CollectionSettings:
    holds = {
        "dimension": 1 <= settings.dimension <= MOST_DIMENSIONS,
        "hybrid_weight": 0 <= settings.hybrid_weight <= 1,
        "window": settings.window >= 8,
        "overlap": settings.overlap <= settings.window // 2,
        "words": settings.words in WORD_CHOICES,
        "columns": set(settings.columns.values()) <= set(COLUMN_TYPES),
        "column_fields": set(settings.column_fields) == set(settings.columns)
        and len({stored.lower() for stored in settings.column_fields.values()}) == len(settings.columns)
        and all(map(_STORED_NAME.fullmatch, settings.column_fields.values())),
        "transform": _names_steps(settings.transform)
        and bool(settings.transform) == (TRANSFORM_FEATURE in settings.features_required),
        "transform_sha256": _is_hash(settings.transform_sha256, settings.transform),
        "base_fingerprint": _is_hash(settings.base_fingerprint, settings.transform),
    }
    for name, is_right in holds.items():
        if not is_right:
            raise damaged(file, f"{name} is {str(getattr(settings, name))[:40]!r}")
    return settings


def _names_steps(spec: str) -> bool:
    try:
        return not spec or str(parse_steps(spec)) == spec != NONE
    except UsageError:
        return False


def _is_hash(text: str, transform: str) -> bool:
    """Whether a field is a hash where there is a transformation, and empty where there is none."""
    return bool(_SHA256.fullmatch(text)) if transform else not text


def _unreadable(path: Path, error: OSError) -> CollectionError:
    return CollectionError(
        f"the collection cannot be read: {error.strerror}", str(path), "check the permissions of the folder"
    )


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
    """Numbers of the publications on disk, ascending; their files may be damaged.

    Raises:
        CollectionError: the folder cannot be read.
    """
    folder = path / PUBLISH_FOLDER
    try:
        names = [file.stem for file in folder.iterdir() if file.suffix == ".json"] if folder.is_dir() else []
    except OSError as error:
        raise _unreadable(path, error) from error
    return sorted(int(name) for name in names if _NUMBER.fullmatch(name))


def read_publication(path: Path, number: int) -> Publication:
    """Publication `number` of the collection at `path`.

    Raises:
        NewerFormatError: a newer version of the program wrote it.
        CollectionError: the file is missing or damaged.
    """
    file = publication_file(path, number)
    found = read_object(file)
    check_format(found, file, FORMAT)
    publication = to_dataclass(Publication, found, file)
    if publication.number != number:
        raise damaged(file, f"number is {publication.number}")
    if publication.rows_version < 1 or publication.index_choice not in ("auto", *KINDS):
        raise damaged(file, "rows_version or index_choice is impossible")
    _check_files(publication.row_files, file)
    for entry in publication.segments:
        _check_entry(entry, file)
    return publication


def _check_entry(entry: SegmentEntry, file: Path) -> None:
    if not re.fullmatch(r"derived/[A-Za-z0-9_-]+/seg-[0-9]{1,9}", entry.path):
        raise damaged(file, f"the segment path {entry.path[:80]!r} leaves the collection")
    if entry.kind not in KINDS or not 0 <= entry.recall <= 1 or not 1 <= entry.rows < 2**40:
        raise damaged(file, f"kind, rows or recall of {entry.path} is impossible")
    _check_files(entry.files, file)
    if any("/" in name for name in entry.files):
        raise damaged(file, f"{entry.path} names files elsewhere")


def _check_files(files: dict[str, dict[str, Any]], file: Path) -> None:
    for name, described in files.items():
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in name:
            raise damaged(file, f"the file name {name[:80]!r} leaves the collection")
        size = described.get("size")
        if not isinstance(size, int) or not isinstance(described.get("sha256"), str):
            raise damaged(file, f"{name[:80]!r} has no size and hash")


def newest_publication(path: Path) -> Publication | None:
    """The highest publication that can be read; None when nothing was published.

    Raises:
        NewerFormatError: the newest was written by a newer version; an older one would be yesterday's answer.
        CollectionError: there are publications, and none of them can be read.
    """
    problem: CollectionError | None = None
    for number in reversed(publication_numbers(path)):
        try:
            return read_publication(path, number)
        except NewerFormatError:
            raise
        except CollectionError as error:
            problem = problem or error
    if problem:
        raise problem
    return None


def file_sha256(path: Path, number: int) -> str:
    """Hash of a publication's file, the link of the chain."""
    return hashlib.sha256(publication_file(path, number).read_bytes()).hexdigest()
