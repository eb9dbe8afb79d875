"""What the command and the page say of texts and questions in writing that the encoder hardly knows."""

import json
import re

import pytest

from app.cli import main
from app.formats import count, percent
from app.verbs.index import unknown_writing
from tests.indexer.test_unknown_writing import LatinEmbedder

_SENTENCE = (
    "are in writing that this encoder hardly knows; search by words finds them, search by meaning does not"
)
_ROWS = [
    ("1", "Roads", "roads and tolls", "a", 2019),
    ("2", "Bread", "flour water salt", "b", 2020),
    ("3", "Хлеб", "мука вода соль", "b", 2021),
]


@pytest.fixture
def word_embedder():
    return LatinEmbedder()


@pytest.fixture(autouse=True)
def latin(monkeypatch, library_home, word_embedder):
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: word_embedder)


@pytest.fixture
def mixed(tmp_path):
    file = tmp_path / "mixed.csv"
    lines = [f'{number},{title},"{text}"' for number, title, text, *_ in _ROWS]
    file.write_text("\n".join(["id,title,text", *lines]) + "\n", encoding="utf-8")
    return file


def test_indexing_says_how_many_passages_are_out_of_reach(mixed, tmp_path, capsys):
    assert main(["index", str(mixed), "--into", str(tmp_path / "c"), "--quiet"]) == 0
    assert f"{percent(1 / 3)} of the passages (1) {_SENTENCE}" in capsys.readouterr().out
    assert main(["index", str(mixed), "--into", str(tmp_path / "d"), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unknown"] == 1


def test_known_writing_needs_no_line(mixed, tmp_path, capsys):
    mixed.write_text("id,title,text\n1,Roads,roads and tolls\n", encoding="utf-8")
    assert main(["index", str(mixed), "--into", str(tmp_path / "c"), "--quiet"]) == 0
    assert "hardly knows" not in capsys.readouterr().out


@pytest.mark.parametrize(("unknown", "passages"), [(0, 0), (0, 50), (9, 1000)])
def test_a_few_passages_are_not_worth_a_line(unknown, passages):
    assert unknown_writing(unknown, passages) == []


def test_from_one_in_a_hundred_it_is_said():
    assert unknown_writing(1200, 40_000) == [f"{percent(0.03)} of the passages ({count(1200)}) {_SENTENCE}"]
    assert unknown_writing(1, 100) == [f"{percent(0.01)} of the passages (1) {_SENTENCE}"]


def test_the_command_says_that_the_words_decide(mixed, tmp_path, capsys):
    into = str(tmp_path / "c")
    assert main(["index", str(mixed), "--into", into, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["search", into, "мука вода"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].split()[0] == "1" and "Хлеб" in captured.out.splitlines()[1]
    assert "the encoder hardly knows the writing of this query: its words decide" in captured.err
    assert main(["search", into, "слон жираф"]) == 0
    assert (
        "writing of this query, and no passage holds a word of it: these hits say little"
        in capsys.readouterr().err
    )
    assert main(["search", into, "слон", "--mode", "semantic"]) == 0
    assert "writing of this query: these hits by meaning say little" in capsys.readouterr().err
    assert main(["search", into, "flour"]) == 0
    assert "hardly knows" not in capsys.readouterr().err


def test_the_page_says_so_too(make_collection, open_app):
    make_collection(_ROWS)
    test = open_app(q="мука вода")
    assert not test.exception
    assert test.dataframe[0].value["title"].tolist()[0] == "Хлеб"
    said = "The encoder hardly knows the writing of this query: its words decide."
    assert said in [re.sub(r"[\\\u2060]", "", info.value) for info in test.info]
    test.text_input(key="query").set_value("flour").run()
    assert not test.info
