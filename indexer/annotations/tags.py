"""Tags: words that people put on documents, in the journal `views/tags.jsonl`."""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from encoder.errors import InputError
from indexer.annotations import journal
from indexer.collection import Collection

JOURNAL = "tags"
MOST_TAG = 100
MOST_DOCUMENTS = 100_000
_MOST_BYTES = 50_000  # of the document ids of one record


def add_tag(collection: Collection, tag: str, document_ids: Sequence[str], *, author: str = "") -> int:
    """Puts a tag on documents; returns how many did not have it.

    Args:
        collection: of the documents.
        tag: 1 to 100 characters; spaces at its ends and doubled ones are dropped.
        document_ids: of the documents, at most 100,000.
        author: who does it; the user of this computer when empty.

    Raises:
        InputError: the tag or the number of documents is impossible.
        CollectionError: it cannot be written.
    """
    return _change(collection, "add", tag, document_ids, author)


def remove_tag(collection: Collection, tag: str, document_ids: Sequence[str], *, author: str = "") -> int:
    """Takes a tag from documents; returns how many had it. Arguments and errors are those of `add_tag`."""
    return _change(collection, "remove", tag, document_ids, author)


def tagged_documents(collection: Collection) -> dict[str, set[str]]:
    """Tag to the ids of the documents that have it; a tag that nothing has any more is left out.

    Documents may be deleted by now.

    Raises:
        CollectionError: the journal cannot be read.
    """
    found: dict[str, set[str]] = {}
    for record in journal.read(collection, JOURNAL):
        tag, documents = record.get("tag"), record.get("documents")
        if not isinstance(tag, str) or not isinstance(documents, list):
            continue
        try:
            tag = clean_tag(tag)
        except InputError:
            continue
        names = {name for name in documents if isinstance(name, str)}
        if record.get("op") == "add":
            found.setdefault(tag, set()).update(names)
        elif record.get("op") == "remove":
            found.get(tag, set()).difference_update(names)
    return {tag: names for tag, names in found.items() if names}


def tags_by_document(tagged: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    """Document id to its tags in alphabetical order, from `tagged_documents`."""
    turned: dict[str, list[str]] = {}
    for tag in sorted(tagged):
        for name in tagged[tag]:
            turned.setdefault(name, []).append(tag)
    return {name: tuple(tags) for name, tags in turned.items()}


def list_tags(collection: Collection) -> list[tuple[str, int]]:
    """Tags with the number of documents that have them, most frequent first."""
    counts = {tag: len(names) for tag, names in tagged_documents(collection).items()}
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def clean_tag(tag: str) -> str:
    """The tag as it is kept: composed characters, single spaces.

    Raises:
        InputError: nothing is left, it is too long, or holds signs that cannot be seen.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", tag).split())
    if not 1 <= len(cleaned) <= MOST_TAG or not cleaned.isprintable():
        raise InputError(
            f"{tag[:40]!r} cannot be a tag", "the tag", f"use 1 to {MOST_TAG} characters that can be seen"
        )
    return cleaned


def _change(collection: Collection, action: str, tag: str, document_ids: Sequence[str], author: str) -> int:
    tag = clean_tag(tag)
    if len(document_ids) > MOST_DOCUMENTS:
        raise InputError(
            f"{len(document_ids):,} documents are too many to tag at once",
            "the documents",
            f"tag at most {MOST_DOCUMENTS:,}, or filter by what they have in common",
        )
    having = tagged_documents(collection).get(tag, set())
    wanted = set(document_ids)
    changed = sorted(wanted - having if action == "add" else wanted & having)
    records = [{"op": action, "tag": tag, "documents": names} for names in _parts(changed)]
    journal.append_all(collection, JOURNAL, records, author=author)
    return len(changed)


def _parts(names: Sequence[str]) -> Iterator[list[str]]:
    """The names in groups that each fit into one record."""
    part: list[str] = []
    size = 0
    for name in names:
        more = len(json.dumps(name, ensure_ascii=False).encode("utf-8", "replace")) + 1
        if part and size + more > _MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(name)
        size += more
    if part:
        yield part
