"""What a filter that leaves nothing may have meant."""

import pytest

from indexer.query.value_hints import ValueHint
from indexer.search import Searcher
from tests.indexer.making import doc, new_collection


@pytest.fixture(scope="module")
def searcher(tmp_path_factory):
    kinds = ["Movie", "Movie", "TV Show", "movies"]
    documents = [
        doc(f"d{n}", f"text {n}", year=n, kind=kind, tags=["Crime", f"Tag {n}"])
        for n, kind in enumerate(kinds)
    ]
    columns = {"year": "int64", "kind": "string", "tags": "list<string>"}
    return Searcher(*new_collection(tmp_path_factory.mktemp("c") / "c", documents, columns=columns))


@pytest.mark.parametrize(
    ("where", "hints"),
    [
        ("kind = movie", [ValueHint("kind", "movie", "Movie")]),
        ("kind = 'tv shows'", [ValueHint("kind", "tv shows", "TV Show")]),
        (
            "kind in (movie, Movie, 'TV Sho')",
            [ValueHint("kind", "movie", "Movie"), ValueHint("kind", "TV Sho", "TV Show")],
        ),
        ("year > 90 and not (tags contains crime or kind = Movie)", [ValueHint("tags", "crime", "Crime")]),
        ("kind = Movie", []),
        ("kind = opera", []),
        ("kind contains movi", []),
        ("kind starts with movi", []),
        ("year = 99", []),
    ],
)
def test_near_values_of_texts_that_no_passage_has(searcher, where, hints):
    assert searcher.value_hints(where) == hints


def test_computed_columns_have_no_hints(searcher):
    assert searcher.value_hints("tag contains nothing") == []
