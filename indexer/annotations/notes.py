"""Notes: sentences that people wrote about documents, in the journal `views/notes.jsonl`."""

import re
import uuid
from dataclasses import dataclass
from typing import Any

from encoder.errors import InputError
from indexer.annotations import journal
from indexer.collection import Collection

JOURNAL = "notes"
MOST_CHARACTERS = 10_000
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote about a document.

    Attributes:
        id: eight hex digits.
        document_id: of the document; it may be deleted by now.
        text: hostile, like all text of others.
        at: of the last change, ISO 8601, UTC.
        author: of the last change.
    """

    id: str
    document_id: str
    text: str
    at: str
    author: str


def write_note(
    collection: Collection, document_id: str, text: str, *, note_id: str = "", author: str = ""
) -> Note:
    """Adds a note, or changes one.

    Args:
        collection: of the document.
        document_id: of the document.
        text: at most 10,000 characters; an empty one takes the note away.
        note_id: of the note to change; empty for a new one.
        author: who writes; the user of this computer when empty.

    Raises:
        InputError: the note is too long, empty and new, or the one to change is not there.
        CollectionError: it cannot be written.
    """
    text = text.strip()
    if len(text) > MOST_CHARACTERS or not (text or note_id):
        raise InputError(
            f"a note of {len(text):,} characters cannot be kept",
            "the note",
            f"write 1 to {MOST_CHARACTERS:,} characters",
        )
    if note_id and not any((n.id, n.document_id) == (note_id, document_id) for n in read_notes(collection)):
        raise InputError(
            f"there is no note {note_id[:40]!r} on this document",
            str(collection.path),
            "somebody took it away meanwhile; write a new one",
        )
    record: dict[str, Any] = {"note": note_id or uuid.uuid4().hex[:8], "document": document_id, "text": text}
    written = journal.append(collection, JOURNAL, record, author=author)
    return Note(written["note"], document_id, text, written["at"], written["author"])


def read_notes(collection: Collection) -> list[Note]:
    """All notes, oldest first, as they were last changed.

    Raises:
        CollectionError: the journal cannot be read.
    """
    found: dict[str, Note] = {}
    for record in journal.read(collection, JOURNAL):
        identifier, document, text = record.get("note"), record.get("document"), record.get("text")
        if not (isinstance(identifier, str) and _ID.fullmatch(identifier) and isinstance(document, str)):
            continue
        if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
            continue
        if text:
            found[identifier] = Note(identifier, document, text, record["at"], record["author"])
        else:
            found.pop(identifier, None)
    return list(found.values())
