"""The words of the pages are those of the glossary."""

from pathlib import Path

import pytest

from app import theme

GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"


def meanings():
    lines = GLOSSARY.read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|") and "---" not in line]
    return {term.strip(): meaning.strip() for term, meaning in rows}


def test_every_word_that_is_explained_beside_a_number_is_explained_in_the_glossary_alike():
    known = meanings()
    assert theme.TERM_HELP
    for term, sentence in theme.TERM_HELP.items():
        assert sentence == known[term], term


@pytest.mark.parametrize("term", ["hit", "passage", "document"])
def test_a_term_is_explained_once_for_all_pages(term):
    assert theme.TERM_HELP[term] == meanings()[term]
