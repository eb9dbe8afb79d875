"""Documents to rows and back."""

import datetime as dt

import pytest

from encoder.errors import InputError
from indexer.ingest.rows import clean_text, passage_id_of, prepare
from tests.indexer.making import COLUMNS, doc, new_collection, stored_rows


@pytest.fixture
def settings(tmp_path):
    return new_collection(tmp_path / "c")[0].settings


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("topic", 3, "3"),
        ("topic", "a\ud800", "a\ufffd"),
        ("year", 2**63 - 1, 2**63 - 1),
        ("year", -(2**63), -(2**63)),
        ("score", 3, 3.0),
        ("tags", ["a", None, 4], ["a", "4"]),
        ("tags", [], []),
        ("day", dt.date(1, 1, 1), dt.date(1, 1, 1)),
        *((name, None, None) for name in COLUMNS),
    ],
)
def test_values_are_stored_as_the_type_of_their_column(tmp_path, name, value, stored):
    collection, _ = new_collection(tmp_path / "c", [doc("a", **{name: value})])
    assert next(iter(stored_rows(collection).values()))[f"m_{name}"] == stored


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("year", 2**63),
        ("year", 1.5),
        ("year", True),
        ("score", "1"),
        ("day", dt.datetime(2020, 1, 1)),
        ("tags", "a"),
        ("day", "2020"),
    ],
)
def test_values_of_another_type_are_refused_with_row_and_column(settings, name, value):
    with pytest.raises(
        InputError, match=f"does not fit the column '{name}', which holds {COLUMNS[name]}"
    ) as raised:
        prepare(doc("a", **{name: value}), settings, None)
    assert raised.value.where == "row a"


def test_hashes_tell_text_title_and_metadata_apart(settings):
    same = prepare(doc("a", "text", "title", year=1), settings, None)
    text = prepare(doc("a", "texttitle", "", year=1), settings, None)
    meta = prepare(doc("a", "text", "title", year=2), settings, None)
    assert same.content_hash != text.content_hash and same.content_hash == meta.content_hash
    assert same.meta_hash != meta.meta_hash
    assert passage_id_of("a", 0, same.content_hash, same.meta_hash) != passage_id_of(
        "a", 0, same.content_hash, meta.meta_hash
    )


def test_lone_surrogates_are_replaced_one_for_one():
    assert clean_text("a\ud800\udfffb🙂") == "a\ufffd\ufffdb🙂" and len(clean_text("\ud83d")) == 1
