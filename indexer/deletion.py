"""Taking documents out of a collection: the rows go at once for readers of the new version."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.collection import Collection
from indexer.ingest.known import drop_superseded
from indexer.ingest.rows import clean_text
from indexer.publish import publish
from indexer.query.filters import parse_filter, to_lance
from indexer.storage.lock import writer_lock
from indexer.storage.store import RowStore


def find_documents(
    collection: Collection, *, where: str | None = None, ids: Sequence[str] | None = None
) -> tuple[NDArray[np.uint64], int]:
    """Rows that a deletion would take, and of how many documents they are.

    A filter that one passage passes takes the whole document, since metadata belong to documents.

    Args:
        collection: to look into.
        where: filter.
        ids: document ids.

    Returns:
        Row ids uint64 [N], and the number of documents.

    Raises:
        InputError: neither or both were given, or the filter cannot be used.
    """
    return _find(collection, collection.open_rows(), where, ids)


def _find(
    collection: Collection, store: RowStore, where: str | None, ids: Sequence[str] | None
) -> tuple[NDArray[np.uint64], int]:
    if (where is None) == (ids is None):
        raise InputError("say which documents", "delete", "give either --where FILTER or --id ID [ID ...]")
    condition: Any = None
    if where is not None:
        settings = collection.settings
        tree = parse_filter(where, settings.filter_columns)
        condition = to_lance(tree, lambda name: settings.filter_fields[name])
    else:
        condition = pc.field("doc_id").isin([clean_text(name) for name in ids or ()])
    row_ids: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    names: set[str] = set()
    for batch in store.scan(["doc_id"], condition=condition):
        row_ids.append(batch["_rowid"].to_numpy().astype(np.uint64))
        names.update(pc.unique(batch["doc_id"]).to_pylist())
    return np.sort(np.concatenate(row_ids)), len(names)


def delete_documents(
    collection: Collection, *, where: str | None = None, ids: Sequence[str] | None = None
) -> int:
    """Deletes documents, publishes, and returns how many there were.

    Args:
        collection: to delete from.
        where: filter; either this or `ids`.
        ids: document ids.

    Raises:
        InputError: neither or both were given, or the filter cannot be used.
        LockedError: another process writes the collection.
        CollectionError: the folder cannot be written.
    """
    with writer_lock(collection.path):
        store = collection.open_rows()
        drop_superseded(store)
        row_ids, documents = _find(collection, store, where, ids)
        store.delete(row_ids)
        publish(collection, store)
    return documents
