"""A dataset saved by Hugging Face `datasets` (save_to_disk) as Readers; mapped from disk, never loaded whole."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from encoder.errors import InputError
from indexer.sources.arrow_files import ArrowReader, first_line
from indexer.sources.lines import BATCH_CHARS


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    has_one = (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file()
    return has_one or (folder / "dataset_dict.json").is_file()


def saved_dataset_readers(folder: Path, label: str) -> list[ArrowReader]:
    """One reader for the dataset, or one for each of its splits.

    Raises:
        InputError: the folder is damaged.
    """
    from datasets import DatasetDict, load_from_disk

    try:
        found = load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(
            f"the saved dataset {label} cannot be opened: {first_line(error)}",
            label,
            "save it again with save_to_disk",
        ) from error
    if isinstance(found, DatasetDict):
        return [SavedDatasetReader(part, f"{label}/{name}") for name, part in found.items()]
    return [SavedDatasetReader(found, label)]


class SavedDatasetReader(ArrowReader):
    """One split; class numbers are shown as the names of their classes."""

    def __init__(self, dataset: Any, label: str) -> None:
        super().__init__(label)
        self._dataset = dataset
        self.size = dataset.num_rows
        self._class_names = {
            name: feature.names for name, feature in dataset.features.items() if hasattr(feature, "int2str")
        }
        self._schema = pa.schema(
            [
                field.with_type(pa.string()) if field.name in self._class_names else field
                for field in dataset.features.arrow_schema
            ]
        )

    @property
    def schema(self) -> pa.Schema:
        """Columns and types, names distinct."""
        return self._schema

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return int(self._dataset.num_rows)

    def rows_that_fit(self) -> int:
        """How many rows may be held at once, by their mean size."""
        return int(BATCH_CHARS * self.n_rows // max(1, self._dataset.data.nbytes))

    def record_batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The named columns, at most `rows` at a time."""
        for table in self._dataset.select_columns(list(names)).with_format("arrow").iter(rows):
            for name in set(names) & set(self._class_names):
                position = table.schema.get_field_index(name)
                table = table.set_column(position, name, self._named(table.column(name), name))
            yield from table.combine_chunks().to_batches()

    def _named(self, numbers: pa.ChunkedArray, name: str) -> pa.Array:
        classes = self._class_names[name]
        return pa.array(
            [classes[i] if i is not None and 0 <= i < len(classes) else None for i in numbers.to_pylist()]
        )
