"""A collection: a folder whose row store is the truth and whose publications say what readers see.

The verbs of a collection (add, publish, delete, verify ...) live in modules of their own; the methods here are
the one place where a program finds them.
"""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from encoder.embedder import Embedder
from encoder.errors import CollectionError, IndexMismatchError, InputError, UsageError
from encoder.spectrum.transforms import Transform
from encoder.transform_file import write_transform
from encoder.transformed import TransformedEncoder
from indexer.ingest.rows import clean_text
from indexer.progress import Report, silent
from indexer.storage import manifest
from indexer.storage.lock import LOCK_FILE, writer_lock
from indexer.storage.manifest import COLUMN_TYPES, WORD_CHOICES, CollectionSettings, Publication
from indexer.storage.row_schema import row_schema
from indexer.storage.store import ROWS_FOLDER, RowStore
from indexer.storage.store_errors import full_disk_or

if TYPE_CHECKING:
    from indexer.ingest.job import AddReport
    from indexer.sources.source import Source
    from indexer.verify import Finding

DERIVED_FOLDER = "derived"
# Lies in a copy that re-embedding makes: uuid of the collection that it will replace.
REBUILD_MARK = "rebuild-of"
_OVERLAP_SHARE = 8


class Collection:
    """An existing collection, opened for reading or writing.

    Args:
        path: its folder.
        settings: its `collection.json`.
    """

    def __init__(self, path: Path, settings: CollectionSettings) -> None:
        self.path = path
        self.settings = settings

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        encoder: Embedder,
        columns: Mapping[str, str] | None = None,
        window: int | None = None,
        overlap: int | None = None,
        words: str = "english",
        name: str | None = None,
    ) -> "Collection":
        """Makes an empty collection.

        Args:
            path: a new or empty folder.
            encoder: makes the vectors; its fingerprint is kept, other encoders are refused from then on.
            columns: metadata column to its type.
            window: most tokens of a passage, title included; the encoder's limit when None.
            overlap: tokens that neighbours share at most; an eighth of the window when None.
            words: how text is cut into words: "english", "plain" or "ngram2" (scripts without spaces).
            name: for people; the folder's name when None.

        Raises:
            CollectionError: the folder holds something else, or cannot be written.
            InputError: window, overlap or words is impossible; or the encoder is one with a transformation, which
                only `rebuild` gives to a collection.
        """
        path = Path(path)
        _check_plain(encoder)
        window = encoder.max_tokens if window is None else window
        overlap = window // _OVERLAP_SHARE if overlap is None else overlap
        columns = dict(columns or {})
        _check_cut(window, overlap, encoder, words)
        _check_columns(columns)
        settings = CollectionSettings(
            name=clean_text(name or path.resolve().name),
            uuid=uuid.uuid4().hex,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            encoder_spec=_lasting_spec(encoder.name),
            encoder_name=encoder.name,
            encoder_fingerprint=encoder.fingerprint,
            dimension=encoder.dimension,
            hybrid_weight=encoder.hybrid_weight,
            window=window,
            overlap=overlap,
            words=words,
            columns=columns,
            column_fields=manifest.field_names(columns),
        )
        return cls.lay_out(path, settings)

    @classmethod
    def lay_out(
        cls, path: Path, settings: CollectionSettings, transform: Transform | None = None
    ) -> "Collection":
        """Makes an empty collection with these settings, whatever they say.

        Args:
            path: a new or empty folder.
            settings: its `collection.json`.
            transform: the one that the settings name.

        Raises:
            CollectionError: the folder holds something else, or cannot be written.
        """
        _make_folder(path)
        collection = cls(path, settings)
        with writer_lock(path):
            _make_empty(path)
            collection._write_new(transform)
        return collection

    def _write_new(self, transform: Transform | None) -> None:
        try:
            if transform:
                write_transform(self.path / manifest.TRANSFORM_FILE, transform)
            RowStore.create(self.path / ROWS_FOLDER, self._schema())
            for folder in (manifest.PUBLISH_FOLDER, DERIVED_FOLDER):
                (self.path / folder).mkdir(exist_ok=True)
            # Last: until it is there the folder is no collection.
            manifest.write_settings(self.path, self.settings)
        except OSError as error:
            raise full_disk_or(error, "the collection cannot be written", self.path) from error

    def _schema(self) -> pa.Schema:
        return row_schema(self.settings.dimension, self.settings.columns, self.settings.column_fields)

    @classmethod
    def open(cls, path: Path | str) -> "Collection":
        """The collection in the folder `path`.

        Raises:
            CollectionError: the folder is missing, no collection, damaged, or of a newer format.
        """
        return cls(Path(path), manifest.read_settings(Path(path)))

    def version(self) -> int:
        """Number of the newest publication on disk, 0 without any; costs a directory listing."""
        numbers = manifest.publication_numbers(self.path)
        return numbers[-1] if numbers else 0

    def publication(self) -> Publication | None:
        """The newest publication, None when nothing was published.

        Raises:
            CollectionError: none of the publications can be read.
        """
        return manifest.newest_publication(self.path)

    def open_rows(self, version: int | None = None) -> RowStore:
        """The row store at `version`, or at its newest.

        Raises:
            CollectionError: it is missing, damaged, or of another collection.
        """
        store = RowStore.open(self.path / ROWS_FOLDER, version)
        store.check_schema(self._schema())
        return store

    def check_encoder(self, encoder: Embedder) -> None:
        """Makes sure that this encoder made the collection.

        Raises:
            IndexMismatchError: it did not; vectors of two encoders cannot be compared.
        """
        if encoder.fingerprint == self.settings.encoder_fingerprint:
            return
        raise IndexMismatchError(
            f"the collection was made with the encoder {self.settings.encoder_name} "
            f"({self.settings.encoder_fingerprint[:8]}), this one is {encoder.name} ({encoder.fingerprint[:8]})",
            str(self.path),
            f"use the first, or re-embed: llm2comp rebuild {self.path} "
            f"--encoder {getattr(encoder, 'base', encoder).name}",
        )

    def dressed(self, encoder: Embedder) -> Embedder:
        """The encoder with the collection's transformation around it, if it has one; see `indexer.own_encoder`."""
        from indexer.own_encoder import dress

        return dress(self, encoder)

    def load_encoder(self, *, device: str = "auto") -> Embedder:
        """The encoder that made the collection, with its transformation; see `indexer.own_encoder`."""
        from indexer.own_encoder import load_own_encoder

        return load_own_encoder(self, device=device)

    def add(
        self,
        source: "Source | Any",
        *,
        encoder: Embedder | None = None,
        mirror: bool = False,
        take_over: bool = False,
        index: str | None = None,
        report: Report = silent,
    ) -> "AddReport":
        """Adds what is new in `source` and publishes it; see `indexer.ingest.job.add_source`.

        Args:
            source: from `indexer.sources.open_sources`, where bad rows can be skipped; or what that opens: a file,
                a folder, a data frame.
            encoder: the one that made the collection; None loads it.
            mirror: delete what an earlier job took from this source and is gone now.
            take_over: replace documents of the same id that came from another source.
            index: index kind; None keeps the one asked for last.
            report: called as the job goes on.
        """
        from indexer.ingest.job import add_source
        from indexer.sources import open_sources
        from indexer.sources.source import Source

        if not isinstance(source, Source):
            source = open_sources([source])
        encoder = self.load_encoder() if encoder is None else self.dressed(encoder)
        return add_source(
            self, source, encoder, mirror=mirror, take_over=take_over, index=index, report=report
        )

    def delete(self, *, where: str | None = None, ids: Sequence[str] | None = None) -> int:
        """Deletes documents and publishes; see `indexer.deletion.delete_documents`."""
        from indexer.deletion import delete_documents

        return delete_documents(self, where=where, ids=ids)

    def publish(self, *, index: str | None = None, report: Report = silent) -> Publication:
        """Publishes rows that no publication shows yet; see `indexer.publish.publish`."""
        from indexer.ingest.known import drop_superseded
        from indexer.publish import publish

        with writer_lock(self.path):
            store = self.open_rows()
            drop_superseded(store)
            return publish(self, store, index=index, report=report)

    def info(self) -> dict[str, Any]:
        """What there is to know; see `indexer.info.describe`."""
        from indexer.info import describe

        return describe(self)

    def rebuild(
        self,
        *,
        encoder: Embedder | None = None,
        transform: str | None = None,
        index: str | None = None,
        report: Report = silent,
    ) -> None:
        """Builds the index anew, or all vectors; see `indexer.retransform.rebuild_as`.

        Args:
            encoder: another one for all vectors, which gives up the transformation; None keeps both.
            transform: steps for all vectors, such as "centre+drop:1"; "none" for those of the encoder alone; None
                keeps what there is.
            index: index kind; None keeps the one asked for last.
            report: called as it goes on.
        """
        from indexer.retransform import rebuild_as

        rebuild_as(self, encoder=encoder, transform=transform, index=index, report=report)

    def verify(self, *, quick: bool = False, report: Report = silent) -> "list[Finding]":
        """What does not fit together; see `indexer.verify.verify`."""
        from indexer.verify import verify

        return verify(self, quick=quick, report=report)

    def export(self, file: Path | str, *, vectors: bool = False, report: Report = silent) -> int:
        """Writes one record a passage; see `indexer.export.export_passages`."""
        from indexer.export import export_passages

        return export_passages(self, Path(file), vectors=vectors, report=report)


def _check_plain(encoder: Embedder) -> None:
    if isinstance(encoder, TransformedEncoder):
        raise InputError(
            f"{encoder.name} is the encoder of another collection, with its transformation",
            "encoder",
            "make the collection with the encoder alone, then: llm2comp rebuild DIR --transform STEPS",
        )


def _lasting_spec(spec: str) -> str:
    """The spec with a folder's path made absolute, so that it is found from any other folder as well."""
    from encoder.spec import parse_spec

    try:
        parsed = parse_spec(spec)
    except UsageError:  # an encoder that a program made, with a name of its own
        return spec
    if parsed.kind not in ("path", "st") or not parsed.place or not Path(parsed.place).is_dir():
        return spec
    options = "" if Path(spec).exists() else "".join(spec.partition("?")[1:])
    return f"{'st:' if parsed.kind == 'st' else ''}{Path(parsed.place).resolve()}{options}"


def _check_cut(window: int, overlap: int, encoder: Embedder, words: str) -> None:
    if not 8 <= window <= encoder.max_tokens:
        raise InputError(
            f"a window of {window} tokens is impossible",
            "--window",
            f"choose 8 to {encoder.max_tokens}, which is all that {encoder.name} can take in",
        )
    if not 0 <= overlap <= window // 2:
        raise InputError(
            f"an overlap of {overlap} tokens is impossible with a window of {window}",
            "--overlap",
            f"choose 0 to {window // 2}",
        )
    if words not in WORD_CHOICES:
        raise InputError(f"{words!r} is no way to cut words", "--words", f"choose {', '.join(WORD_CHOICES)}")


def _check_columns(columns: Mapping[str, str]) -> None:
    for name, kind in columns.items():
        if kind not in COLUMN_TYPES:
            raise InputError(f"{kind!r} is no type of a column", name, f"choose {', '.join(COLUMN_TYPES)}")
        if clean_text(name) != name:
            raise InputError(
                "a column has a name that no file can hold", repr(name), "rename it, or leave it out"
            )


def _make_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise CollectionError(f"{path} is a file, not a folder", str(path), "name a new folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
        present = sorted(entry.name for entry in path.iterdir())
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise CollectionError(
            f"the folder cannot be made: {reason}", str(path), "choose a place that can be written"
        ) from error
    if manifest.SETTINGS_FILE in present:
        raise CollectionError("there is a collection already", str(path), "open it, or name another folder")
    if not _is_half_made(path, set(present)):
        raise CollectionError(
            f"the folder is not empty: it holds {', '.join(present[:3])}",
            str(path),
            "name a new or empty folder",
        )


def _is_half_made(path: Path, present: set[str]) -> bool:
    """Whether nothing is there but what a kill in the middle of `create` leaves: no row, no publication."""
    rows = path / ROWS_FOLDER
    empty = [path / name for name in (manifest.PUBLISH_FOLDER, DERIVED_FOLDER) if name in present]
    return (
        present <= {ROWS_FOLDER, manifest.PUBLISH_FOLDER, DERIVED_FOLDER, LOCK_FILE, REBUILD_MARK}
        and (ROWS_FOLDER not in present or not (rows / "data").exists())
        and (ROWS_FOLDER in present or not empty)
        and all(folder.is_dir() and not any(folder.iterdir()) for folder in empty)
    )


def _make_empty(path: Path) -> None:
    """Takes away what a kill in the middle of `create` left; another process may have been faster meanwhile."""
    present = {entry.name for entry in path.iterdir()}
    if manifest.SETTINGS_FILE in present or not _is_half_made(path, present):
        raise CollectionError("there is a collection already", str(path), "open it, or name another folder")
    for name in present - {LOCK_FILE, REBUILD_MARK}:
        shutil.rmtree(path / name)
