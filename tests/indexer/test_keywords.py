"""The keyword syntax, as read and as Lance answers it."""

import time

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from indexer.query.keywords import MAX_TERMS, KeywordQuery, Term, parse_keywords, query_words, to_lance_query

DOCS = [
    "the quick brown fox",  # 0
    "lazy brown dog runs",  # 1
    "state of the art methods",  # 2
    "state-of-the-art model",  # 3
    "fox and the dog",  # 4
    "c++ code",  # 5
    "café déjà vu",  # 6
    "brown quick fox",  # 7
    "an art of the state",  # 8
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    import lance

    path = tmp_path_factory.mktemp("lance") / "words.lance"
    made = lance.write_dataset(pa.table({"text": DOCS}), str(path), enable_stable_row_ids=True)
    made.create_scalar_index("text", "INVERTED", with_position=True)
    return made


def rows(dataset, query):
    table = dataset.scanner(columns=["_score"], full_text_query=query, with_row_id=True, limit=100).to_table()
    return sorted(table["_rowid"].to_pylist())


def found(dataset, text):
    query = to_lance_query(parse_keywords(text), "text")
    return [] if query is None else rows(dataset, query)


def phrase(text):
    return Term(text, is_phrase=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", KeywordQuery()),
        (' \n\t\x00 - + -- "" -"" ! OR', KeywordQuery()),
        ("brown fox", KeywordQuery((Term("brown"), Term("fox")))),
        ("fox fox", KeywordQuery((Term("fox"),))),
        ('"brown fox" dog', KeywordQuery((Term("dog"),), ((phrase("brown fox"),),))),
        ("+fox dog", KeywordQuery((Term("dog"),), ((Term("fox"),),))),
        ("fox +fox", KeywordQuery((), ((Term("fox"),),))),
        ('-dog -"a b" fox', KeywordQuery((Term("fox"),), (), (Term("dog"), phrase("a b")))),
        ('+"a b"', KeywordQuery((), ((phrase("a b"),),))),
        ("“a b” „c d”", KeywordQuery((), ((phrase("a b"),), (phrase("c d"),)))),
        ('a OR "b c"', KeywordQuery((), ((Term("a"), phrase("b c")),))),
        ("a OR b c", KeywordQuery((Term("a"), Term("b"), Term("c")))),
        ("+a OR b OR +c", KeywordQuery((), ((Term("a"), Term("b"), Term("c")),))),
        ("OR a OR", KeywordQuery((Term("a"),))),
        ("a OR -b", KeywordQuery((Term("a"),), (), (Term("b"),))),
        ("a or b", KeywordQuery((Term("a"), Term("or"), Term("b")))),
        ("state-of-the-art", KeywordQuery((Term("state-of-the-art"),))),
        ("--force ++i c++", KeywordQuery((Term("--force"), Term("++i"), Term("c++")))),
        ('"open phrase', KeywordQuery((), ((phrase("open phrase"),),))),
        ('27" monitor', KeywordQuery((Term('27"'), Term("monitor")))),
        ('"a\n\nb"', KeywordQuery((), ((phrase("a b"),),))),
        ("a\ud800b", KeywordQuery((Term("a?b"),))),
    ],
)
def test_a_text_is_read_as(text, expected):
    assert parse_keywords(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fox dog", [0, 1, 4, 7]),
        ('"quick brown"', [0]),
        ('"quick brown" dog', [0]),
        ("fox -dog", [0, 7]),
        ('fox -"quick brown"', [4, 7]),
        ("fox -brown -dog", []),
        ("+fox +brown", [0, 7]),
        ("+fox brown", [0, 4, 7]),
        ("+the +fox", [0, 4, 7]),
        ('lazy OR "quick brown"', [0, 1]),
        ('+lazy OR "quick brown" -dog', [0]),
        ('"lazy brown" "dog runs"', [1]),
        ("+state-of-the-art", [2, 3]),
        ("art -state-of-the-art", [8]),
        ("cafe", [6]),
        ("foxes", [0, 4, 7]),
        ("the", []),
        ('"the"', []),
        ("-fox", []),
        ("-fox -the", []),
        ("fox -the", [0, 4, 7]),
        ("zzz", []),
        ("+zzz fox", []),
        ("fo\x00x fox", [0, 4, 7]),
        ("", []),
    ],
)
def test_lance_finds(dataset, text, expected):
    assert found(dataset, text) == expected


@pytest.mark.parametrize(
    "text", ['"quick brown" dog', "+fox +brown -lazy", '+lazy OR "quick brown"', "+the +fox"]
)
def test_the_constraints_alone_rule_out_the_same_passages(dataset, text):
    query = parse_keywords(text)
    left = set(range(len(DOCS)))
    for required in query.required_queries("text"):
        left &= set(rows(dataset, required))
    for excluded in query.excluded_queries("text"):
        left -= set(rows(dataset, excluded))
    assert query.is_constrained
    assert sorted(left) == found(dataset, text)


_PARAGRAPH = " ".join(f"word{n}" for n in range(16))


@pytest.mark.parametrize(
    ("text", "rules_out"),
    [
        (f'{_PARAGRAPH} "lazy brown"', True),  # 16 words: a demand still
        (f'{_PARAGRAPH} more "lazy brown"', False),
        (f"{_PARAGRAPH} more „lazy brown“", False),
        (f'{_PARAGRAPH} more +"lazy brown"', True),
        (f"{_PARAGRAPH} more +lazy", True),
        (f'{_PARAGRAPH} more -"lazy brown"', True),
        (f'{_PARAGRAPH} more "lazy brown" OR "quick brown"', True),
        (f'"{_PARAGRAPH} more words in one phrase"', True),
    ],
)
def test_in_a_long_text_quotes_cite(text, rules_out):
    assert parse_keywords(text).is_constrained == rules_out


def test_cited_words_count_as_the_others(dataset):
    cited = parse_keywords(f'{_PARAGRAPH} more "lazy brown"')
    assert set(cited.words) == set(parse_keywords(f"{_PARAGRAPH} more lazy brown").words)
    assert not cited.required
    assert found(dataset, f'{_PARAGRAPH} more "lazy brown"') == found(dataset, "lazy brown")


def test_the_words_to_mark_leave_out_what_is_excluded():
    assert query_words('Fox "quick brown" -dog state-of-the-art FOX') == [
        "FOX", "state", "of", "the", "art", "quick", "brown",
    ]  # fmt: skip


def test_a_query_of_a_megabyte_is_read_in_part(dataset):
    began = time.perf_counter()
    for text in (
        "fox " * 250_000,
        " ".join(map(str, range(200_000))),
        '"' + "fox " * 250_000,
        "x" * 10**6,
        '"' * 10**6,
    ):
        query = parse_keywords(text)
        assert len(query.words) <= MAX_TERMS
        assert all(len(term.text) < 20_000 for group in query.required for term in group)
        assert isinstance(found(dataset, text), list)
    assert time.perf_counter() - began < 20  # quadratic reading would need hours


@settings(max_examples=150, deadline=None)
@given(
    text=st.text()
    | st.lists(st.sampled_from(["fox", "brown", "-", "+", '"', " ", "OR", "dog", "the"])).map("".join)
)
def test_any_text_is_a_query_that_lance_answers(dataset, text):
    assert isinstance(found(dataset, text), list)
    assert isinstance(query_words(text), list)
