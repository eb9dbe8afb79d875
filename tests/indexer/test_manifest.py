"""`collection.json` and `publish/<n>.json`: strict, and the same after a round trip."""

import dataclasses
import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from encoder.errors import CollectionError
from indexer.storage import manifest
from indexer.storage.manifest import CollectionSettings, Publication, SegmentEntry, field_names

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
HASHED = {"size": 3, "sha256": "ab"}


def settings_of(columns):
    return CollectionSettings(
        "näme", "u", "t", "spec", "encoder", "f" * 64, 8, 0.5, 64, 8, "plain", columns, field_names(columns)
    )


def publication_of(number=1, **changes):
    entry = SegmentEntry("derived/abc/seg-0", "flat", 3, 1.0, {"vec.faiss": HASHED})
    whole = Publication(number, "", "t", 2, 3, 3, "ff", [entry], {"data/x.lance": HASHED}, {"numpy": "2"})
    return dataclasses.replace(whole, **changes)


@given(st.dictionaries(names, st.sampled_from(manifest.COLUMN_TYPES), max_size=8))
def test_settings_survive_a_round_trip_whatever_the_columns_are_called(tmp_path_factory, columns):
    folder = tmp_path_factory.mktemp("s")
    manifest.write_settings(folder, settings_of(columns))
    assert manifest.read_settings(folder) == settings_of(columns)


@given(st.lists(names, max_size=12, unique=True))
def test_stored_fields_are_plain_and_differ_whatever_the_case(columns):
    stored = field_names(dict.fromkeys(columns, "string"))
    assert len({field.lower() for field in stored.values()}) == len(columns)
    assert all(
        field.startswith("m_") and field.replace("_", "a").isalnum() and field.isascii()
        for field in stored.values()
    )


def test_publications_survive_a_round_trip(tmp_path):
    (tmp_path / "publish").mkdir()
    manifest.write_publication(tmp_path, publication_of(12))
    assert manifest.read_publication(tmp_path, 12) == publication_of(12)
    assert manifest.publication_numbers(tmp_path) == [12]


def test_a_publication_is_never_written_over(tmp_path):
    (tmp_path / "publish").mkdir()
    manifest.write_publication(tmp_path, publication_of())
    with pytest.raises(FileExistsError):
        manifest.write_publication(tmp_path, publication_of(notes=["other"]))
    assert manifest.read_publication(tmp_path, 1).notes == []


def test_files_that_are_no_publications_are_passed_over(tmp_path):
    (tmp_path / "publish").mkdir()
    for name in ("x.json", "1.json", "²²²²²²².json", "0000003.json.tmp", "-000001.json"):
        (tmp_path / "publish" / name).write_text("{}")
    assert manifest.publication_numbers(tmp_path) == [] and manifest.newest_publication(tmp_path) is None


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("dimension", 0, "dimension is '0'"),
        ("dimension", "8", "dimension is '8'"),
        ("dimension", True, "dimension is 'True'"),
        ("dimension", 10**30, "dimension is '1000000"),
        ("hybrid_weight", 1.5, "hybrid_weight is '1.5'"),
        ("hybrid_weight", float("nan"), "hybrid_weight is 'nan'"),
        ("window", 7, "window is '7'"),
        ("overlap", 60, "overlap is '60'"),
        ("words", "german", "words is 'german'"),
        ("columns", {"a": "blob"}, "columns is"),
        ("column_fields", {"a": "m_b`"}, "column_fields is"),
        ("name", "\ud800", "name is"),
        ("surprise", 1, "unknown key 'surprise'"),
        ("format", 0, "it names no format"),
        ("format", None, "it names no format"),
    ],
)
def test_settings_with_an_impossible_value_name_the_key(tmp_path, key, value, sentence):
    found = dataclasses.asdict(settings_of({"a": "string"}))
    (tmp_path / "collection.json").write_text(json.dumps({**found, key: value}))
    with pytest.raises(CollectionError, match="collection.json is damaged: .*") as raised:
        manifest.read_settings(tmp_path)
    assert sentence in raised.value.what


def test_a_missing_key_is_called_missing(tmp_path):
    found = dataclasses.asdict(settings_of({}))
    del found["uuid"]
    (tmp_path / "collection.json").write_text(json.dumps(found))
    with pytest.raises(CollectionError, match="a key is missing"):
        manifest.read_settings(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 2},
        {"rows_version": 0},
        {"passages": -1},
        {"index_choice": "hnsw"},
        {"segments": [{"path": "x"}]},
        {"segments": {}},
        {"segments": [7]},
        {"row_files": {"../x": HASHED}},
        {"row_files": {"/x": HASHED}},
        {"row_files": {"x": {"size": "3", "sha256": "a"}}},
        {"row_files": {"x": 3}},
        {"notes": "one"},
    ],
)
def test_publications_with_an_impossible_value_are_damaged(tmp_path, changes):
    (tmp_path / "publish").mkdir()
    found = {**dataclasses.asdict(publication_of()), **changes}
    (tmp_path / "publish" / "0000001.json").write_text(json.dumps(found))
    with pytest.raises(CollectionError, match="0000001.json is damaged"):
        manifest.read_publication(tmp_path, 1)
