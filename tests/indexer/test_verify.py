"""verify: silent on what is whole, and naming what is not."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from encoder import atomic
from indexer.ingest.rows import passage_id_of
from indexer.publish import publish
from indexer.segments.vector_file import VectorFileWriter
from indexer.storage import manifest
from tests.indexer.making import ListSource, doc, flip, new_collection, numbered, segment_folders


@pytest.mark.parametrize("index", ["flat", "rabitq", "ivf-sq8"])
def test_a_healthy_collection_has_no_findings(tmp_path, index):
    collection, encoder = new_collection(tmp_path / "c", numbered(300), index=index)
    collection.add(ListSource([*numbered(10), doc("x", "one more")]), encoder=encoder)
    collection.delete(ids=["d3"])
    assert collection.verify() == [] and collection.verify(quick=True) == []


def test_a_flipped_byte_in_any_published_file_is_found(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(60), index="rabitq")
    publication = collection.publication()
    files = [collection.path / "rows.lance" / name for name in publication.row_files]
    files += [
        folder / name
        for folder, entry in zip(segment_folders(collection), publication.segments, strict=True)
        for name in entry.files
    ]
    files += [collection.path / "publish" / "0000001.json"]
    assert len(files) > 9
    for file in files:
        whole = file.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            flip(file, at)
            findings = collection.verify()
            assert any(file.name in f.what or str(file) in f.where for f in findings), (file, at)
            assert all(f.what and f.where and f.fix for f in findings)
            file.write_bytes(whole)
    assert collection.verify() == []


def republish(collection, **changes):
    """Writes the publication again with other contents, as a damaged writer would."""
    changed = dataclasses.replace(collection.publication(), **changes)
    manifest.publication_file(collection.path, changed.number).unlink()
    manifest.write_publication(collection.path, changed)


def test_counts_that_do_not_agree_are_found(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(9))
    republish(collection, passages=8)
    assert "the publication names 8 passages, the row store has 9" in collection.verify(quick=True)[0].what
    republish(collection, passages=9, row_ids_sha256="00")
    assert "the row store holds other rows than were published" in collection.verify(quick=True)[0].what


def renewed_entry(collection, folder, *names):
    entry = collection.publication().segments[0]
    files = dict(entry.files)
    for name in names:
        files[name] = {"size": (folder / name).stat().st_size, "sha256": atomic.sha256_file(folder / name)}
    return dataclasses.replace(entry, files=files)


def test_vectors_that_differ_from_the_rows_are_found_though_their_hash_is_right(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(9))
    folder = segment_folders(collection)[0]
    writer = VectorFileWriter(folder / "vec.faiss", 9, 16)
    writer.put(np.arange(9), np.full((9, 16), 0.25, np.float16))
    writer.close()
    republish(collection, segments=[renewed_entry(collection, folder, "vec.faiss")])
    assert [f.what for f in collection.verify()] == ["9 vectors of the index differ from the row store"]


def test_row_ids_that_do_not_rise_are_found(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(9))
    folder = segment_folders(collection)[0]
    np.arange(9, dtype="<u8")[::-1].tofile(folder / "rowid.u64")
    republish(collection, segments=[renewed_entry(collection, folder, "rowid.u64")])
    assert "the row ids do not rise" in [f.what for f in collection.verify(quick=True)]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("content", "another text", "the text differs from its hash: 1 passages"),
        ("meta_hash", b"0" * 16, "the id does not follow from the document: 1 passages"),
        ("vec", [3.0] * 16, "the vector is not of unit length: 1 passages"),
    ],
)
def test_rows_that_contradict_themselves_are_found(tmp_path, field, value, sentence):
    collection, encoder = new_collection(tmp_path / "c", numbered(3))
    store = collection.open_rows()
    row = next(store.scan(store.schema.names)).to_pylist()[0]
    row = {**{name: row[name] for name in store.schema.names}, "id": "odd#0-00000000", field: value}
    if field != "meta_hash":
        row["doc_id"] = "odd"
        row["id"] = passage_id_of(row["doc_id"], row["chunk_no"], row["doc_hash"], row["meta_hash"])
    store.insert(pa.Table.from_pylist([row], schema=store.schema))
    publish(collection, store)
    assert any(sentence in f.what for f in collection.verify())
