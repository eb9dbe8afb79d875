"""Tags, notes, named sets, saved searches: what was kept comes back, whatever else lies in the journals."""

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from encoder.errors import InputError
from indexer.annotations import journal, notes, searches, sets, tags
from indexer.annotations.sets import SetItem
from tests.conftest import WordEmbedder
from tests.indexer.making import new_collection, numbered

JUNK = [
    {"tag": 5, "documents": ["a"], "op": "add"},
    {"tag": "x\x00", "documents": ["a"], "op": "add"},
    {"tag": "x", "documents": "a", "op": "add"},
    {"tag": "x", "documents": ["a"], "op": "burn"},
    {"note": "zz", "document": "a", "text": "t"},
    {"note": "0" * 8, "document": 3, "text": "t"},
    {"note": "0" * 8, "document": "a", "text": "t" * 10_001},
    {"set": "../x", "items": []},
    {
        "set": "0" * 8,
        "name": "n",
        "version": 1,
        "collection": "c",
        "part": 0,
        "parts": 1,
        "items": [[-1, "a", ""]],
    },
    {
        "set": "1" * 8,
        "name": "n",
        "version": 1,
        "collection": "c",
        "part": 0,
        "parts": 2,
        "items": [[1, "a", ""]],
    },
    {
        "set": "2" * 8,
        "name": "n",
        "version": True,
        "collection": "c",
        "part": 0,
        "parts": 1,
        "items": [[1, "a", ""]],
    },
    {
        "set": "3" * 8,
        "name": "n",
        "version": 1,
        "collection": "c",
        "part": 1,
        "parts": 1,
        "items": [[1, "a", ""]],
    },
    {"op": "save", "name": "n", "parameters": {"q": 5}},
    {"op": "save", "name": "n", "parameters": {str(n): "" for n in range(65)}},
    {"view": "0" * 10, "parameters": {"q": None}},
    {"view": "x", "parameters": {}},
    {},
]


@pytest.fixture
def collection(tmp_path):
    return new_collection(tmp_path / "c", numbered(5))[0]


def test_foreign_records_change_nothing(collection):
    tags.add_tag(collection, "good", ["a"])
    note = notes.write_note(collection, "a", "text")
    kept = sets.save_set(collection, "mine", [SetItem(1, "a#0", "query")], version=1)
    search = searches.save_search(collection, "s", {"q": "ants"})
    link = searches.save_view(collection, {"q": "ants"})
    for name in (tags.JOURNAL, notes.JOURNAL, sets.JOURNAL, searches.JOURNAL, searches.LINKS):
        journal.append_all(collection, name, JUNK)
    assert tags.tagged_documents(collection) == {"good": {"a"}}
    assert notes.read_notes(collection) == [note]
    assert sets.list_sets(collection) == [kept]
    assert searches.list_searches(collection) == [search]
    assert searches.view(collection, link) == {"q": "ants"}


NAMES = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["x", "y"]), st.lists(NAMES, max_size=3)), max_size=8
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_tags_are_those_of_a_plain_dictionary(tmp_path_factory, steps):
    collection = new_collection(tmp_path_factory.mktemp("t") / "c")[0]
    truth = {}
    for is_added, tag, documents in steps:
        having = truth.setdefault(tag, set())
        if is_added:
            assert tags.add_tag(collection, tag, documents) == len(set(documents) - having)
            having |= set(documents)
        else:
            assert tags.remove_tag(collection, tag, documents) == len(set(documents) & having)
            having -= set(documents)
    truth = {tag: names for tag, names in truth.items() if names}
    assert tags.tagged_documents(collection) == truth
    counts = sorted(((tag, len(names)) for tag, names in truth.items()), key=lambda one: (-one[1], one[0]))
    assert tags.list_tags(collection) == counts
    assert tags.tags_by_document(truth) == {
        name: tuple(sorted(tag for tag in truth if name in truth[tag]))
        for name in {name for names in truth.values() for name in names}
    }


def test_thousands_of_documents_get_a_tag_in_records_of_bounded_size(collection):
    documents = [f"{'long' * 20}-{n}" for n in range(5000)]
    assert tags.add_tag(collection, "many", documents) == 5000
    assert tags.tagged_documents(collection) == {"many": set(documents)}
    assert len(journal.read(collection, "tags")) > 5


def test_a_tag_is_cleaned(collection):
    tags.add_tag(collection, "  to \t read ", ["a"])
    tags.add_tag(collection, "cafe\u0301", ["a"])
    assert set(tags.tagged_documents(collection)) == {"to read", "caf\u00e9"}


@pytest.mark.parametrize("tag", ["", "  ", "x" * 101, "a\x00b", "a\u202eb", "a\ud800"])
def test_a_tag_that_cannot_be_seen_is_refused(collection, tag):
    with pytest.raises(InputError, match="cannot be a tag"):
        tags.add_tag(collection, tag, ["a"])


def test_too_many_documents_are_refused(collection, monkeypatch):
    monkeypatch.setattr(tags, "MOST_DOCUMENTS", 2)
    with pytest.raises(InputError, match="3 documents are too many"):
        tags.add_tag(collection, "x", ["a", "b", "c"])


def test_notes_are_changed_and_taken_away(collection):
    first = notes.write_note(collection, "a", " one \n", author="ada")
    second = notes.write_note(collection, "a", "two", author="bob")
    changed = notes.write_note(collection, "a", "one more", note_id=first.id, author="cyd")
    assert first.text == "one"
    assert notes.read_notes(collection) == [changed, second] and changed.author == "cyd"
    notes.write_note(collection, "a", "", note_id=second.id)
    assert notes.read_notes(collection) == [changed]
    for document, identifier in (("b", first.id), ("a", second.id)):
        with pytest.raises(InputError, match="there is no note"):
            notes.write_note(collection, document, "x", note_id=identifier)
    for text in ("", "x" * 10_001):
        with pytest.raises(InputError, match="cannot be kept"):
            notes.write_note(collection, "a", text)


def test_a_set_comes_back_in_its_order_in_parts_and_by_its_id(collection):
    items = [SetItem(n, f"{'d' * 100}{n}#0-0", "query" if n % 2 else "polygon") for n in range(9_999, -1, -1)]
    kept = sets.save_set(collection, " my  set ", [*items, items[0]], version=3, author="ada")
    small = sets.save_set(collection, "small", [SetItem(7, "x")], version=4)
    assert kept.items == tuple(items) and kept.name == "my set" and kept.author == "ada"
    assert sets.read_set(collection, kept.id) == kept
    assert sets.list_sets(collection) == [small, kept]
    sets.remove_set(collection, kept.id)
    assert sets.list_sets(collection) == [small]
    for call in (sets.read_set, sets.remove_set):
        with pytest.raises(InputError, match="there is no set"):
            call(collection, kept.id)


def test_sets_that_cannot_be_kept_are_refused(collection):
    one = SetItem(1, "a")
    with pytest.raises(InputError, match="cannot name a set"):
        sets.save_set(collection, " ", [one], version=1)
    with pytest.raises(InputError, match="a set of 0 passages"):
        sets.save_set(collection, "x", [], version=1)
    with pytest.raises(InputError, match="a set of 10,001 passages"):
        sets.save_set(collection, "x", [SetItem(n, "a") for n in range(10_001)], version=1)
    with pytest.raises(InputError, match="too long to be kept"):
        sets.save_set(collection, "x", [SetItem(1, "a" * 2001)], version=1)
    assert sets.list_sets(collection) == []


def test_searches_are_replaced_listed_by_name_and_removed(collection):
    searches.save_search(collection, "b", {"q": "one"})
    searches.save_search(collection, "a", {"q": "x" * 19_000, "f": "year > 2"})
    searches.save_search(collection, "b", {"q": "two"})
    assert [(s.name, s.parameters.get("q")[:3]) for s in searches.list_searches(collection)] == [
        ("a", "xxx"),
        ("b", "two"),
    ]
    searches.remove_search(collection, "a")
    assert [s.name for s in searches.list_searches(collection)] == ["b"]
    with pytest.raises(InputError, match="there is no saved search 'a'"):
        searches.remove_search(collection, "a")
    with pytest.raises(InputError, match="cannot name a search"):
        searches.save_search(collection, "", {})
    for bad in ({"q": 5}, {"q": "x" * 20_001}, {str(n): "" for n in range(65)}):
        with pytest.raises(InputError, match="parameters of the link cannot be kept"):
            searches.save_search(collection, "x", bad)


def test_the_same_long_link_has_one_id_and_another_another(collection):
    one = searches.save_view(collection, {"a": "1", "b": "2"})
    assert searches.save_view(collection, {"b": "2", "a": "1"}) == one and len(one) == 10
    assert searches.save_view(collection, {"a": "2"}) != one
    assert len(journal.read(collection, searches.LINKS)) == 2
    assert searches.view(collection, one) == {"a": "1", "b": "2"}
    with pytest.raises(InputError, match="there is no saved view"):
        searches.view(collection, "../../etc")


def test_an_id_that_is_taken_by_another_link_is_not_used(collection):
    one = searches.save_view(collection, {"a": "1"})
    file = collection.path / "views" / "links.jsonl"
    file.write_text(file.read_text().replace('{"a":"1"}', '{"a":"9"}'))
    other = searches.save_view(collection, {"a": "1"})
    assert other != one and searches.view(collection, other) == {"a": "1"}


def test_what_people_wrote_survives_rebuilding_and_verifying(collection):
    tags.add_tag(collection, "keep", ["d1"])
    collection.rebuild(encoder=WordEmbedder("other", dimension=12))
    assert tags.tagged_documents(collection) == {"keep": {"d1"}}
    assert collection.verify() == []
