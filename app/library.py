"""Where demo, collections, uploads and jobs of a user lie, and which collections the front end knows."""

import contextlib
import functools
import hashlib
import json
import os
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import platformdirs

from encoder.atomic import write_bytes, write_json
from encoder.errors import CollectionError, InputError, Llm2CompError
from indexer.storage.manifest import SETTINGS_FILE, publication_numbers

_FORMAT = 1
_LIST_FILE = "library.json"
_UPLOAD_ENDINGS = frozenset(
    [
        ".parquet",
        ".csv",
        ".tsv",
        ".jsonl",
        ".ndjson",
        ".json",
        ".txt",
        ".md",
        ".html",
        ".htm",
        ".pdf",
    ]
)
_PACKED_ENDINGS = frozenset({".gz", ".zst"})
_LONGEST_NAME = 60
_UPLOADS = "uploads"
MOST_UPLOAD_MB = 200  # an upload is twice in memory before it lies on disk


@dataclass(frozen=True, slots=True)
class Entry:
    """A collection that the front end can offer.

    Attributes:
        key: what stands for it in a link; unique in the library.
        path: its folder.
    """

    key: str
    path: Path


def home() -> Path:
    """The user's folder: `LLM2COMP_HOME`, else the platform's place for user data."""
    chosen = os.environ.get("LLM2COMP_HOME")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("llm2comp", appauthor=False)


def collections_folder() -> Path:
    """Where the front end creates collections, and nowhere else."""
    return home() / "collections"


def jobs_folder() -> Path:
    """One folder a job."""
    return home() / "jobs"


def known() -> list[Entry]:
    """Collections that exist now: those that were named, last named first, then those in the user's folder.

    Of several with one name the plain name means one that can be opened, of these rather one in the user's folder; the
    others are told apart by what follows the name.
    """
    paths = [path for path in _listed() if _is_collection(path)]
    paths += sorted(path for folder in (home(), collections_folder()) for path in _collections_in(folder))
    resolved = list(dict.fromkeys(path.resolve() for path in paths))
    named: dict[str, list[Path]] = {}
    for path in resolved:
        named.setdefault(path.name, []).append(path)
    plain = {same[0] if len(same) == 1 else min(same, key=_rank) for same in named.values()}
    return [
        Entry(path.name if path in plain else f"{path.name}~{_short_hash(path)}", path) for path in resolved
    ]


def find(key: str) -> Entry | None:
    """The collection that a link means, None for an unknown one; for an empty key the first that can be searched."""
    entries = known()
    if not key:
        published = [entry for entry in entries if _is_published(entry.path)]
        ready = (entry for entry in published if _can_be_opened(entry.path))
        return next(chain(ready, published, entries), None)
    return next((entry for entry in entries if entry.key == key), None)


def called(name: str) -> list[Entry]:
    """What a command can mean by the name of a collection: one, or none, or several that it must not choose from.

    Several only where none of them lies in the user's folder; one that cannot be opened counts where no other does.
    """
    entries = known()
    meant = next((entry for entry in entries if entry.key == name), None)
    if meant is None or _is_own(meant.path):
        return [meant] if meant else []
    same = [entry for entry in entries if entry.path.name == name and entry != meant]
    return [meant, *(entry for entry in same if _can_be_opened(entry.path))]


def remember(paths: Sequence[Path]) -> None:
    """Puts collections that lie elsewhere at the head of the list, so that they are offered next time too."""
    if not paths:
        return
    ordered = dict.fromkeys([*(path.resolve() for path in paths), *_listed()])
    home().mkdir(parents=True, exist_ok=True)
    write_json(home() / _LIST_FILE, {"format": _FORMAT, "paths": [str(path) for path in ordered]})


def collection_path(name: str) -> Path:
    """The folder of a new collection with that name, always directly inside `collections_folder()`.

    Raises:
        InputError: nothing of the name can be used in a folder name.
    """
    slug = re.sub(r"[^\w.-]+", "-", name.strip().casefold()).strip("-._")[:_LONGEST_NAME].rstrip("-._")
    if not slug:
        raise InputError(
            f"{name!r} cannot be the name of a corpus", "name of the corpus", "use letters or digits"
        )
    return collections_folder() / slug


def is_taken(name: str) -> bool:
    """Whether a corpus elsewhere has the name that a new one would get; one of our own folder is added to instead."""
    path = collection_path(name)
    return not path.exists() and any(entry.path.name == path.name for entry in known())


def free_name(name: str) -> str:
    """The name, or the first of "name-2", "name-3" ... that no corpus elsewhere has.

    Raises:
        InputError: nothing of the name can be used in a folder name.
    """
    if not is_taken(name):
        return name
    return next(other for number in count(2) if not is_taken(other := f"{name}-{number}"))


def store_upload(client_name: str, content: bytes) -> Path:
    """Keeps an uploaded file and returns its path: the same for the same content and name, whoever uploads it again.

    Of the client's name what is harmless in a path stays, as the title of a text without one; the folder is named by
    the content.

    Raises:
        InputError: files of this ending are not read, or it cannot be kept.
    """
    name = Path(client_name.replace("\\", "/")).name
    endings = [ending.casefold() for ending in Path(name).suffixes[-2:]]
    packed = endings[-1:] if endings and endings[-1] in _PACKED_ENDINGS else []
    endings = endings if packed else endings[-1:]
    if len(endings) == len(packed) or any(ending not in _UPLOAD_ENDINGS for ending in endings[:1]):
        raise InputError(
            f"files that end in {''.join(endings) or 'nothing'} are not read",
            "uploaded file",
            f"use one of {', '.join(sorted(_UPLOAD_ENDINGS))}",
        )
    ending = "".join(endings)
    words = re.sub(r"[^\w.-]+", " ", name[: -len(ending)]).strip("-._ ")
    folder = home() / _UPLOADS / hashlib.sha256(content).hexdigest()[:16]
    path = folder / f"{words[:_LONGEST_NAME].rstrip('-._ ') or 'upload'}{ending}"
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content)
        except OSError as error:
            raise InputError(
                f"the upload cannot be kept: {error.strerror or error}",
                str(folder),
                "make room on the server's disk, or name a path on the server instead",
            ) from error
    return path


def remove_upload(path: Path) -> None:
    """Removes our copy of an uploaded file; any other file is left alone."""
    if path.parent.parent == home() / _UPLOADS and path.is_file():
        path.unlink()
        with contextlib.suppress(OSError):  # the same content under another name
            path.parent.rmdir()


def _listed() -> list[Path]:
    try:
        content = json.loads((home() / _LIST_FILE).read_text(encoding="utf-8"))
        return [Path(path) for path in content["paths"]] if content["format"] == _FORMAT else []
    except (OSError, ValueError, KeyError, TypeError):
        return []  # a convenience list: losing it loses no data


def _collections_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if _is_collection(path)]
    except OSError:
        return []


def _is_collection(path: Path) -> bool:
    try:
        return (path / SETTINGS_FILE).is_file()
    except OSError:
        return False


def _is_published(path: Path) -> bool:
    try:
        return bool(publication_numbers(path))
    except CollectionError:  # it cannot be read, so it cannot be searched either
        return False


def _rank(path: Path) -> tuple[bool, bool]:
    """Sorts collections of one name by their claim to it, the best first."""
    return not _can_be_opened(path), not _is_own(path)


def _is_own(path: Path) -> bool:
    return path.parent in (home().resolve(), collections_folder().resolve())


def _can_be_opened(path: Path) -> bool:
    try:
        # What was found is asked again at every rerun of a page, and opening takes milliseconds.
        return _was_opened(path, (path / SETTINGS_FILE).stat().st_mtime_ns, tuple(publication_numbers(path)))
    except (Llm2CompError, OSError):
        return False


@functools.lru_cache(maxsize=256)
def _was_opened(path: Path, made: int, versions: tuple[int, ...]) -> bool:
    """True, once settings and rows were read, for a collection in this state; a failure is not remembered.

    Raises:
        Llm2CompError: they cannot be read now.
        OSError: likewise.
    """
    from indexer.collection import Collection

    Collection.open(path).open_rows()
    return True


def _short_hash(path: Path) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, str(path)).hex[:6]
