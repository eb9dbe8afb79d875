"""The rows of a collection in a Lance dataset: the only truth, and the only module that knows Lance.

It relies on facts that are easy to lose (`docs/decisions.md`): stable row ids, insert-only merges guarded by
the primary-key mark, no update in place, no fsync by Lance, word statistics only right when fully indexed.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from encoder import atomic
from encoder.errors import CollectionError
from indexer.storage.row_schema import WORD_COLUMN
from indexer.storage.store_errors import understood

if TYPE_CHECKING:
    import lance

ROWS_FOLDER = "rows.lance"

_WORD_SETTINGS: dict[str, dict[str, Any]] = {
    "english": {"base_tokenizer": "simple", "stem": True, "remove_stop_words": True},
    "plain": {"base_tokenizer": "simple", "stem": False, "remove_stop_words": False},
    "ngram2": {
        "base_tokenizer": "ngram",
        "min_ngram_length": 2,
        "max_ngram_length": 2,
        "stem": False,
        "remove_stop_words": False,
    },
}
# Scans of many small fragments are slow: 200 of them made one of 2,000 rows take 75 ms.
_MOST_FRAGMENTS = 50
_ROWS_PER_FRAGMENT = 1 << 20
_TAKE_BLOCK = 4096
# Ids in a deletion are told as ranges while there are no more than this many; else one by one.
_MOST_RANGES = 64


class RowStore:
    """Rows at one version; writing moves this handle to the newest.

    Args:
        dataset: an open Lance dataset.
        path: its folder.
    """

    def __init__(self, dataset: "lance.LanceDataset", path: Path) -> None:
        self._dataset = dataset
        self._path = path

    @classmethod
    def create(cls, path: Path, schema: pa.Schema) -> "RowStore":
        """An empty store in the new folder `path`.

        Raises:
            CollectionError: the folder cannot be written.
        """
        with understood(path):
            dataset = _lance().write_dataset(
                schema.empty_table(), str(path), schema=schema, enable_stable_row_ids=True
            )
        return cls(dataset, path)

    @classmethod
    def open(cls, path: Path, version: int | None = None) -> "RowStore":
        """The store at `version`, or at its newest.

        Raises:
            CollectionError: the store is missing or damaged, or the version is gone.
        """
        with understood(path):
            return cls(_lance().dataset(str(path), version=version), path)

    def check_schema(self, expected: pa.Schema) -> None:
        """Makes sure that the rows have the fields that the collection says they have.

        Raises:
            CollectionError: they have not; the collection was put together from parts of others.
        """
        if not self.schema.equals(expected, check_metadata=False):
            raise CollectionError(
                "the row store does not have the fields that collection.json names",
                str(self._path),
                "one of the two is from another collection; restore both from the same copy",
            )

    @property
    def version(self) -> int:
        """Version that this handle reads."""
        return int(self._dataset.version)

    @property
    def path(self) -> Path:
        """The dataset's folder."""
        return self._path

    @property
    def schema(self) -> pa.Schema:
        """Schema of the rows."""
        return self._dataset.schema

    def insert(self, rows: pa.Table) -> int:
        """Adds the rows whose id is new, in one commit; returns how many that were.

        Raises:
            CollectionError: the disk is full or the folder cannot be written; nothing was added.
        """
        with understood(self._path):
            done = self._dataset.merge_insert("id").when_not_matched_insert_all().execute(rows)
        return int(done["num_inserted_rows"])

    def delete(self, row_ids: NDArray[np.uint64]) -> int:
        """Deletes rows by id, in one commit, so that no document is ever half deleted; returns how many there were.

        Args:
            row_ids: uint64 [N], may be empty; ids that are gone already are passed over.

        Raises:
            CollectionError: the disk is full or the folder cannot be written; nothing was deleted.
        """
        if not row_ids.size:
            return 0
        with understood(self._path):
            return int(self._dataset.delete(_these_rows(np.unique(row_ids)))["num_deleted_rows"])

    def count(self) -> int:
        """Live rows."""
        with understood(self._path):
            return int(self._dataset.count_rows())

    def live_row_ids(self) -> NDArray[np.uint64]:
        """Ids of all live rows, uint64 [N], ascending."""
        return self.matching(None)

    def matching(self, condition: Any) -> NDArray[np.uint64]:
        """Ids of the live rows that satisfy `condition`, uint64 [N], ascending.

        Args:
            condition: what `indexer.query.filters` compiled; None for all rows. Never text of a user.
        """
        with understood(self._path):
            scanner = self._dataset.scanner(columns=[], filter=condition, with_row_id=True)
            found = scanner.to_table()["_rowid"].to_numpy()
        return np.sort(found.astype(np.uint64, copy=False))

    def scan(
        self, columns: Sequence[str], *, condition: Any = None, rows: int = 8192
    ) -> Iterator[pa.RecordBatch]:
        """Batches of live rows in storage order, with the column `_rowid`."""
        with understood(self._path):
            yield from self._dataset.scanner(
                columns=list(columns), filter=condition, with_row_id=True, batch_size=rows
            ).to_batches()

    def take(self, row_ids: NDArray[np.uint64], columns: Sequence[str]) -> pa.Table:
        """Rows by id, in the order given, repeats included.

        Args:
            row_ids: uint64 [N].
            columns: fields to read.

        Raises:
            CollectionError: a row is not live at this version.
        """
        wanted = [*columns, "_rowid"]
        with understood(self._path):
            parts = [
                self._dataset._take_rows(row_ids[at : at + _TAKE_BLOCK].tolist(), columns=wanted)
                for at in range(0, max(1, row_ids.size), _TAKE_BLOCK)
            ]
        table = pa.concat_tables(parts)
        # Lance leaves out ids that it does not find, without a word.
        if not np.array_equal(table["_rowid"].to_numpy(), row_ids):
            raise CollectionError(
                f"{row_ids.size - table.num_rows} rows of the index are not in the row store",
                str(self._path),
                f"see what is affected: llm2comp verify {self._path.parent}",
            )
        return table.select(list(columns))

    def keyword_scores(
        self, query: Any, limit: int, condition: Any = None
    ) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        """The best rows by BM25 among those that satisfy `condition`, best first.

        Args:
            query: a Lance full-text query.
            limit: most rows.
            condition: compiled filter, applied before scoring; None for all rows.

        Returns:
            Row ids uint64 [N] and scores float32 [N].
        """
        with understood(self._path):
            found = self._dataset.scanner(
                columns=["_score"],
                full_text_query=query,
                filter=condition,
                prefilter=condition is not None,
                with_row_id=True,
                limit=limit,
            ).to_table()
        ids = found["_rowid"].to_numpy().astype(np.uint64, copy=False)
        scores = found["_score"].to_numpy().astype(np.float32, copy=False)
        order = np.lexsort((ids, -scores))
        return ids[order], scores[order]

    def index_words(self, words: str) -> None:
        """Makes every live row findable by word, with one set of statistics.

        Args:
            words: one of `WORD_CHOICES`.
        """
        with understood(self._path):
            if self._word_index() is None:
                self._dataset.create_scalar_index(
                    WORD_COLUMN, "INVERTED", with_position=True, **_WORD_SETTINGS[words]
                )
            elif self.rows_without_words():
                self._dataset.optimize.optimize_indices()

    def rows_without_words(self) -> int:
        """Rows that the word index does not cover."""
        with understood(self._path):
            name = self._word_index()
            if name is None:
                return self.count()
            return int(self._dataset.stats.index_stats(name)["num_unindexed_rows"])

    def _word_index(self) -> str | None:
        for index in self._dataset.describe_indices():
            if index.field_names == [WORD_COLUMN]:
                return str(index.name)
        return None

    def compact(self) -> bool:
        """Joins small fragments when there are many, in bounded memory; returns whether it did."""
        with understood(self._path):
            small = sum(
                fragment.count_rows() < _ROWS_PER_FRAGMENT // 10 for fragment in self._dataset.get_fragments()
            )
            if small <= _MOST_FRAGMENTS:
                return False
            self._dataset.optimize.compact_files(target_rows_per_fragment=_ROWS_PER_FRAGMENT)
        return True

    def files(self) -> list[str]:
        """Files that this version is made of, relative to the folder, sorted."""
        with understood(self._path):
            tracked = self._dataset.tracked_files().read_all().to_pylist()
        return sorted({entry["path"] for entry in tracked if entry["version"] == self.version})

    def sync(self, files: Sequence[str]) -> None:
        """Forces files and the folders that hold them to disk, which Lance itself never does."""
        with understood(self._path):
            for name in files:
                atomic.sync_file(self._path / name)
            for folder in {(self._path / name).parent for name in files} | {self._path}:
                atomic.sync_folder(folder)

    def tag(self, name: str) -> None:
        """Keeps this version readable until the tag is dropped; a tag that a killed writer left is moved."""
        with understood(self._path):
            if name in self._dataset.tags.list():
                self._dataset.tags.delete(name)
            self._dataset.tags.create(name, self.version)

    def tags(self) -> dict[str, int]:
        """Tag to version."""
        with understood(self._path):
            return {name: int(entry["version"]) for name, entry in self._dataset.tags.list().items()}

    def drop_tag(self, name: str) -> None:
        """Allows the tagged version to be cleaned away."""
        with understood(self._path):
            self._dataset.tags.delete(name)

    def clean(self, *, keep_s: float) -> int:
        """Removes untagged versions older than `keep_s` seconds; returns the bytes freed.

        Call it under the writer's lock only: files of an unfinished write go as well.
        """
        with understood(self._path):
            done = self._dataset.cleanup_old_versions(
                older_than=timedelta(seconds=keep_s),
                error_if_tagged_old_versions=False,
                delete_unverified=keep_s == 0,
            )
        return int(done.bytes_removed)


def _lance() -> Any:
    os.environ.setdefault("LANCE_LOG", "error")  # it warns of its own future on every keyword search
    import lance

    return lance


def _these_rows(row_ids: NDArray[np.uint64]) -> str:
    """A predicate for exactly these rows, uint64 [N], ascending, not empty."""
    breaks = np.flatnonzero(np.diff(row_ids) > 1)
    first, last = row_ids[np.r_[0, breaks + 1]], row_ids[np.r_[breaks, row_ids.size - 1]]
    if first.size <= _MOST_RANGES:
        return " OR ".join(
            f"(_rowid >= {a} AND _rowid <= {b})" for a, b in zip(first.tolist(), last.tolist(), strict=True)
        )
    return f"_rowid IN ({','.join(map(str, row_ids.tolist()))})"
