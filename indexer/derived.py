"""Derived builds that people ask for: maps and topics of a collection, each an immutable folder with its recipe.

Folder: `derived/<kind>-<id>/`, made under another name and renamed, with `build.json` inside. It knows nothing of
what a kind holds. Segments are builds too, but belong to publications and live in `indexer.segments`.
"""

import json
import re
import shutil
import stat
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from encoder import atomic
from encoder.errors import CollectionError, InputError
from indexer.collection import DERIVED_FOLDER, Collection
from indexer.storage.store_errors import full_disk_or
from indexer.storage.strict_json import check_format, damaged, read_object, to_dataclass

BUILD_FILE = "build.json"
_MOST_BYTES = 4 << 20  # of that file
MAKING = ".making"  # ending of a folder that is not whole yet
FORMAT = 1
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Build:
    """What `build.json` holds.

    Attributes:
        kind: "map" or "topics".
        id: eight hex digits, unique in the collection.
        created_at: ISO 8601, UTC.
        version: publication whose rows it was made from.
        encoder_fingerprint: of the collection when it was made.
        recipe: everything that decides the result: method, parameters, seed, library versions.
        facts: what was found: counts, qualities, seconds.
        files: name to {"size": bytes, "sha256": hex}.
        format: number of this file's format.
    """

    kind: str
    id: str
    created_at: str
    version: int
    encoder_fingerprint: str
    recipe: dict[str, Any]
    facts: dict[str, Any]
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    format: int = FORMAT


def build_folder(collection: Collection, kind: str, identifier: str) -> Path:
    """Where a build lies, or would lie.

    Raises:
        InputError: the id is none; it comes out of links.
    """
    if not _ID.fullmatch(identifier):
        raise InputError(
            f"{identifier[:40]!r} is no id of a {kind} build", str(collection.path), "choose one of the list"
        )
    return collection.path / DERIVED_FOLDER / f"{kind}-{identifier}"


def write_build(
    collection: Collection,
    kind: str,
    *,
    version: int,
    recipe: dict[str, Any],
    facts: dict[str, Any],
    write: Callable[[Path], None],
) -> Build:
    """A new build, whole or not at all.

    Args:
        collection: it belongs to.
        kind: "map" or "topics".
        version: publication that it was made from.
        recipe: JSON types only.
        facts: JSON types only.
        write: puts the files into the folder that it is given.

    Raises:
        CollectionError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    identifier = uuid.uuid4().hex[:8]
    folder = build_folder(collection, kind, identifier)
    # Without the writer's lock, which a long import holds for hours; `retention` knows the ending.
    temporary = folder.with_name(f"{folder.name}{MAKING}")
    if folder.parent.is_symlink():
        raise CollectionError(
            f"{DERIVED_FOLDER} is a link: writing would change what lies where it leads",
            str(folder.parent),
            "put a copy of what it leads to in its place",
        )
    try:
        temporary.mkdir(parents=True)
        write(temporary)
        files = {file.name: _described(file) for file in sorted(temporary.iterdir())}
        fingerprint = collection.settings.encoder_fingerprint
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        build = Build(kind, identifier, now, version, fingerprint, recipe, facts, files)
        text = json.dumps(asdict(build), indent=2, ensure_ascii=False, allow_nan=False)
        atomic.write_bytes(temporary / BUILD_FILE, (text + "\n").encode())
        temporary.rename(folder)
        atomic.sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise full_disk_or(error, f"the {kind} build cannot be written", folder) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return build


def list_builds(collection: Collection, kind: str) -> list[Build]:
    """Readable builds of that kind, newest first; those that are damaged or half removed are left out."""
    found = []
    for folder in (collection.path / DERIVED_FOLDER).glob(f"{kind}-*"):
        identifier = folder.name.removeprefix(f"{kind}-")
        if _ID.fullmatch(identifier) and folder.is_dir() and not folder.is_symlink():
            try:
                found.append(read_build(collection, kind, identifier))
            except (CollectionError, InputError):
                continue
    return sorted(found, key=lambda build: (build.created_at, build.id), reverse=True)


def read_build(collection: Collection, kind: str, identifier: str) -> Build:
    """One build by its id; its files are checked by size.

    Raises:
        InputError: there is none of that id.
        CollectionError: it is damaged, of a newer format, or was made with another encoder.
    """
    folder = build_folder(collection, kind, identifier)
    file = folder / BUILD_FILE
    if folder.is_symlink() or not file.is_file():
        raise InputError(
            f"there is no {kind} {identifier} in this collection",
            str(collection.path),
            f"it was removed, or belongs to another; make one: llm2comp {kind} {collection.path}",
        )
    found = read_object(file, most_bytes=_MOST_BYTES)
    check_format(found, file, FORMAT)
    build = to_dataclass(Build, found, file)
    if (build.kind, build.id) != (kind, identifier):
        raise damaged(file, "it describes another build")
    if not _is_time(build.created_at):
        raise damaged(file, f"created_at is {build.created_at[:40]!r}")
    for name, described in build.files.items():
        size = _size(folder / name) if Path(name).name == name else None
        if size is None:
            raise damaged(file, f"{name[:40]!r} is missing")
        if size != described.get("size"):
            raise damaged(folder / name, "its size is not what was written")
    if build.encoder_fingerprint != collection.settings.encoder_fingerprint:
        raise damaged(file, "it was made with another encoder")
    return build


def damaged_builds(collection: Collection, kind: str, *, quick: bool) -> list[CollectionError]:
    """What is wrong with the builds of a kind, one error each; they can be removed and made anew.

    Args:
        collection: to look into.
        kind: "map" or "topics".
        quick: by sizes alone; else the content of every file is hashed.
    """
    found = []
    for folder in sorted((collection.path / DERIVED_FOLDER).glob(f"{kind}-*")):
        identifier = folder.name.removeprefix(f"{kind}-")
        if not _ID.fullmatch(identifier):
            continue
        try:
            build = read_build(collection, kind, identifier)
            for name, described in build.files.items():
                if not quick and atomic.sha256_file(folder / name) != described.get("sha256"):
                    raise damaged(folder / name, "its content is not what was written")
        except (CollectionError, InputError) as error:
            fix = f"remove it: llm2comp {kind} {collection.path} --remove {identifier}"
            found.append(CollectionError(error.what, error.where, fix))
    return found


def remove_build(collection: Collection, kind: str, identifier: str) -> None:
    """Deletes a build that a person no longer wants.

    Raises:
        InputError: there is none of that id.
        CollectionError: it cannot be deleted.
    """
    folder = build_folder(collection, kind, identifier)
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"there is no {kind} {identifier}", str(collection.path), "choose one of the list")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise CollectionError(
            f"the {kind} cannot be deleted: {error.strerror or error}",
            str(folder),
            "check the permissions of the folder",
        ) from error


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _size(path: Path) -> int | None:
    """Bytes of a plain file; None for anything else, and for a name that no file can have."""
    try:
        seen = path.lstat()
    except (OSError, ValueError):
        return None
    return seen.st_size if stat.S_ISREG(seen.st_mode) else None


def _described(file: Path) -> dict[str, Any]:
    atomic.sync_file(file)
    return {"size": file.stat().st_size, "sha256": atomic.sha256_file(file)}
