"""Which documents a collection holds, in 41 bytes each, so that a source can be compared with it on the fly."""

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexer.storage.store import RowStore

# Documents met since the sorted arrays were made are kept in a dictionary of at most this many.
_RECENT = 65536
KNOWN_COLUMNS = ("doc_id", "doc_hash", "meta_hash", "source")
_State = tuple[int, int, int]


def document_hash(*parts: str) -> bytes:
    """16 bytes over several texts; no two different lists of texts are confused.

    Args:
        parts: texts, lone surrogates allowed.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.digest()


def _halves(value: bytes) -> tuple[int, int]:
    return int.from_bytes(value[:8], "little"), int.from_bytes(value[8:16], "little")


def _label_hash(label: str) -> int:
    return _halves(document_hash(label))[0]


def _label_hashes(labels: pa.Array) -> NDArray[np.uint64]:
    """One hash a row, uint64 [rows]; few labels stand for many rows."""
    encoded = labels.dictionary_encode()
    hashes = np.array([_label_hash(label) for label in encoded.dictionary.to_pylist()], np.uint64)
    return hashes[encoded.indices.to_numpy()]


class KnownDocuments:
    """Document id to the hashes of its content, metadata and source, and whether this run has met it.

    Five arrays of 8 bytes and one of 1 byte: 41 bytes a document. Ids are kept as 128-bit hashes: with a billion documents two share one with a chance of 1e-21.
    """

    def __init__(self) -> None:
        self._key = np.zeros(0, np.uint64)
        self._rest = np.zeros(0, np.uint64)
        self._content = np.zeros(0, np.uint64)
        self._meta = np.zeros(0, np.uint64)
        self._label = np.zeros(0, np.uint64)
        self._seen = np.zeros(0, np.bool_)
        self._recent: dict[tuple[int, int], _State] = {}

    def __len__(self) -> int:
        return self._key.size + len(self._recent)

    @classmethod
    def from_rows(cls, batches: Iterable[pa.RecordBatch]) -> tuple["KnownDocuments", NDArray[np.uint64]]:
        """What the rows hold, and the rows that a newer state of their document has superseded.

        A kill between "insert the new rows" and "delete the old ones" leaves both; row ids rise, so the newer
        rows are those with the higher ids.

        Args:
            batches: rows with the columns `KNOWN_COLUMNS` and `_rowid`.

        Returns:
            The documents, and row ids uint64 [N] to delete.
        """
        columns: list[NDArray[np.uint64]] = []
        for batch in batches:
            ids = [_halves(document_hash(name)) for name in batch["doc_id"].to_pylist()]
            content = [_halves(value)[0] for value in batch["doc_hash"].to_pylist()]
            meta = [_halves(value)[0] for value in batch["meta_hash"].to_pylist()]
            keys = np.array(ids, np.uint64).reshape(-1, 2)
            columns.append(
                np.column_stack(
                    [
                        keys,
                        np.array(content, np.uint64),
                        np.array(meta, np.uint64),
                        batch["_rowid"].to_numpy(),
                        _label_hashes(batch["source"]),
                    ]
                )
            )
        found = cls()
        if not columns:
            return found, np.zeros(0, np.uint64)
        rows = np.concatenate(columns)
        rows = rows[np.lexsort((rows[:, 4], rows[:, 1], rows[:, 0]))]
        last = np.ones(len(rows), np.bool_)  # the newest row of each document
        last[:-1] = (rows[1:, :2] != rows[:-1, :2]).any(axis=1)
        newest = rows[last][np.cumsum(last) - last]
        superseded = rows[(rows[:, 2:4] != newest[:, 2:4]).any(axis=1), 4]
        found._key, found._rest, found._content, found._meta = (
            np.ascontiguousarray(rows[last, column]) for column in range(4)
        )
        found._label = np.ascontiguousarray(rows[last, 5])
        found._seen = np.zeros(found._key.size, np.bool_)
        return found, superseded

    def meet(self, document_id: str, content: bytes, meta: bytes, label: str | None) -> str:
        """Compares one document of the source with what is held, and marks it as met.

        Args:
            document_id: its id.
            content: 16-byte hash of title and text.
            meta: 16-byte hash of the metadata.
            label: of the source it is read from; None when it may replace the document of any source.

        Returns:
            "new", "same", "metadata" (only that changed), "changed", "again" (met in this run before), or "foreign":
            it changed and came from another source, so it may be another document; it is not marked then.
        """
        key = _halves(document_hash(document_id))
        state = (_halves(content)[0], _halves(meta)[0])
        source = None if label is None else _label_hash(label)
        if key in self._recent:
            return "again"
        at = self._find(key)
        if at < 0:
            self._recent[key] = (*state, source or 0)
            if len(self._recent) >= _RECENT:
                self._merge_recent()
            return "new"
        if self._seen[at]:
            return "again"
        old = (int(self._content[at]), int(self._meta[at]))
        if source is not None and old[0] != state[0] and int(self._label[at]) != source:
            return "foreign"
        self._seen[at] = True
        if old == state:
            return "same"
        self._content[at], self._meta[at] = state
        return "metadata" if old[0] == state[0] else "changed"

    def was_met(self, document_id: str) -> bool:
        """Whether this run has met the document."""
        key = _halves(document_hash(document_id))
        at = self._find(key)
        return key in self._recent or (at >= 0 and bool(self._seen[at]))

    def _find(self, key: tuple[int, int]) -> int:
        at = int(np.searchsorted(self._key, np.uint64(key[0])))
        while at < self._key.size and int(self._key[at]) == key[0]:
            if int(self._rest[at]) == key[1]:
                return at
            at += 1
        return -1

    def _merge_recent(self) -> None:
        keys = np.array(list(self._recent), np.uint64).reshape(-1, 2)
        states = np.array(list(self._recent.values()), np.uint64).reshape(-1, 3)
        self._recent.clear()
        key = np.concatenate([self._key, keys[:, 0]])
        order = np.argsort(key, kind="stable")
        self._key = key[order]
        self._rest = np.concatenate([self._rest, keys[:, 1]])[order]
        self._content = np.concatenate([self._content, states[:, 0]])[order]
        self._meta = np.concatenate([self._meta, states[:, 1]])[order]
        self._label = np.concatenate([self._label, states[:, 2]])[order]
        self._seen = np.concatenate([self._seen, np.ones(len(keys), np.bool_)])[order]


def drop_superseded(store: RowStore) -> int:
    """Deletes rows of older states, which a killed job left beside the new ones; returns how many there were.

    Raises:
        CollectionError: the rows cannot be read or written.
    """
    _, superseded = KnownDocuments.from_rows(store.scan(KNOWN_COLUMNS))
    return store.delete(superseded)
