"""Which column is the text, the title and the id; several files as one source."""

import datetime as dt
import io
import json
import os
import subprocess
import sys
import threading

import pyarrow as pa
import pytest

from encoder.errors import InputError
from indexer.sources import open_sources
from indexer.sources.columns import looks_like_id, words_of_name

PROSE = "a quiet village wakes up to find that the river has moved during the night"


def documents(source):
    return [document for batch in source.batches() for document in batch]


def table(**columns):
    return pa.table({name: [value(i) for i in range(20)] for name, value in columns.items()})


def prose(i):
    return f"{PROSE}, and for the {i}th time nobody can say why it did so or where it went."


def test_the_longest_prose_column_is_the_text():
    source = open_sources(
        [
            table(
                cveID=lambda i: f"CVE-{i}",
                product=lambda i: f"Product {i}",
                vulnerabilityName=lambda i: f"Product {i} Buffer Overflow Vulnerability",
                shortDescription=lambda i: f"Product {i} contains a flaw that lets {PROSE}.",
                requiredAction=lambda i: (
                    "Apply mitigations per vendor instructions or discontinue use of the product."
                ),
                notes=lambda i: (
                    f"https://example.org/a/very/long/path/{i} ; https://example.org/another/path/{i}" * 3
                ),
            )
        ]
    )
    assert source.guessed == {"text": "shortDescription", "title": "vulnerabilityName", "id": "cveID"}


def test_a_longer_list_of_names_is_not_prose():
    names = "Ama Qamata, Khosi Ngema, Gail Mabalane, Thabang Molaba, Dillon Windvogel, Natasha Thahane, "
    source = open_sources([table(cast=lambda i: names * 3 + str(i), plot_summary=prose)])
    assert source.guessed["text"] == "plot_summary"


@pytest.mark.parametrize(
    "text",
    ["这是一个关于河流和村庄的故事，它在夜里改变了方向。", "これは川と村についての話です。夜に動きました。"],
)
def test_text_without_spaces_is_prose(text):
    assert (
        open_sources([table(name=lambda i: f"n{i}", story=lambda i: f"{i}{text}")]).guessed["text"] == "story"
    )


def test_a_short_column_called_text_is_the_text():
    assert open_sources([table(kind=lambda i: "ab"[i % 2], text=lambda i: f"word {i}")]).guessed == {
        "text": "text"
    }


def test_the_only_column_of_words_is_the_text():
    assert open_sources([table(id=lambda i: f"{i}", title=prose)]).guessed == {"text": "title", "id": "id"}


def test_two_equal_columns_are_asked_for_with_samples():
    with pytest.raises(
        InputError, match="which column is the text is not obvious: 'question' and 'answer'"
    ) as caught:
        open_sources([table(question=prose, answer=lambda i: prose(i + 99), n=lambda i: i)])
    assert "--text" in caught.value.fix
    assert f"question (string): {PROSE[:40]}" in caught.value.fix
    assert "n (int64): " in caught.value.fix


def test_no_prose_at_all_is_asked_for():
    with pytest.raises(InputError, match="none looks like running text"):
        open_sources([table(a=lambda i: f"x{i}", b=lambda i: f"y{i}", n=lambda i: i)])


def test_given_columns_win():
    source = open_sources(
        [table(key=lambda i: f"{i}", head=lambda i: f"h{i}", question=prose, answer=prose)],
        text="answer",
        title="head",
        id="key",
        metadata=["question"],
    )
    assert source.guessed == {"text": "answer", "title": "head", "id": "key"}
    assert list(source.columns) == ["question"]
    assert open_sources([table(question=prose, answer=prose)], text="answer", metadata=[]).columns == {}


@pytest.mark.parametrize("option", ["text", "title", "id", "metadata"])
def test_an_unknown_column_offers_the_nearest(option):
    value = ["sumary"] if option == "metadata" else "sumary"
    with pytest.raises(InputError, match=f"there is no column 'sumary' .asked for by --{option}.") as caught:
        open_sources([table(summary=prose, year=lambda i: i)], **{option: value})
    assert caught.value.fix == f"did you mean --{option} 'summary'? the columns are: summary, year"


def test_a_text_column_that_is_not_text_is_refused():
    with pytest.raises(InputError, match="column 'year' is not text: it holds int64 values") as caught:
        open_sources([table(summary=prose, year=lambda i: i)], text="year")
    assert "summary (string)" in caught.value.fix


def test_an_id_column_must_be_unique_and_filled():
    source = open_sources([table(user_id=lambda i: f"{i % 5}", review_id=lambda i: f"{i}", text=prose)])
    assert source.guessed["id"] == "review_id"
    assert "id" not in open_sources([table(id=lambda i: i or None, text=prose)]).guessed


@pytest.mark.parametrize("role", ["title", "id"])
def test_a_guess_is_refused_with_an_empty_name(role, tmp_path):
    frame = table(id=lambda i: f"{i}", title=lambda i: f"t{i}", summary=prose)
    source = open_sources([frame], **{role: ""})
    assert role not in source.guessed and len(source.guessed) == 2
    assert role in source.columns
    (tmp_path / "a.txt").write_text(prose(1))
    folder = open_sources([tmp_path], title="", id="")
    assert folder.guessed == {"text": "text"}
    assert [document.title for document in documents(folder)] == [""]
    with pytest.raises(InputError, match="there is no column ''"):
        open_sources([frame], text="")


@pytest.mark.parametrize(
    ("asked", "guessed"),
    [
        ({"title": ""}, {"text": "text", "id": "id"}),
        ({"id": ""}, {"text": "text", "title": "title"}),
        ({"text": "title"}, {"text": "title", "id": "id"}),
        ({"title": "id"}, {"text": "text", "title": "id"}),
    ],
    ids=["no title", "no id", "another text", "the id as title"],
)
def test_a_folder_keeps_the_roles_that_nobody_named(tmp_path, asked, guessed):
    (tmp_path / "a.html").write_text(f"<title>One</title><p>{prose(1)}</p>")
    assert open_sources([tmp_path], **asked).guessed == guessed


def test_a_name_of_something_else_is_no_title():
    source = open_sources([table(file_name=lambda i: f"f{i}", first_name=lambda i: f"A{i}", text=prose)])
    assert source.guessed == {"text": "text"}


@pytest.mark.parametrize("name", ["id", "_id", "ID", "show_id", "cveID", "docId", "uuid", "paper id", "DOI"])
def test_names_of_ids(name):
    assert looks_like_id(name)


@pytest.mark.parametrize("name", ["paid", "video", "identity", "title", "valid", ""])
def test_names_of_no_ids(name):
    assert not looks_like_id(name)


def test_names_fall_into_words():
    assert words_of_name("vulnerabilityName") == ["vulnerability", "name"]
    assert words_of_name("HTTPStatus code-2") == ["http", "status", "code", "2"]


def test_files_of_different_columns_become_one_source(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"text": prose(1), "n": 1, "day": "2020-01-01", "m": 1}) + "\n"
    )
    (tmp_path / "b.csv").write_text(f'text,n,day,m,only\n"{prose(2)}",1.5,2020-01-01T10:00,x,7\n')
    source = open_sources([str(tmp_path / "*.*")])
    assert source.columns == {"n": "float64", "day": "timestamp", "m": "string", "only": "int64"}
    assert [d.metadata for d in documents(source)] == [
        {"n": 1.0, "day": dt.datetime(2020, 1, 1), "m": "1", "only": None},
        {"n": 1.5, "day": dt.datetime(2020, 1, 1, 10), "m": "x", "only": 7},
    ]


def test_spelled_dates_here_and_iso_times_there_meet_as_times(tmp_path):
    (tmp_path / "a.csv").write_text(f'text,day\n"{prose(1)}","September 25, 2021"\n')
    (tmp_path / "b.csv").write_text(f'text,day\n"{prose(2)}",2021-09-25 10:00\n')
    source = open_sources([tmp_path / "a.csv", tmp_path / "b.csv"])
    moments = [d.metadata["day"] for d in documents(source)]
    assert moments == [dt.datetime(2021, 9, 25), dt.datetime(2021, 9, 25, 10)]


def test_an_id_that_repeats_in_the_second_file_is_no_obstacle_to_opening(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f'id,text\n1,"{prose(1)}"\n')
    assert open_sources([str(tmp_path / "*.csv")]).guessed["id"] == "id"


def test_a_file_without_the_text_column_is_named(tmp_path):
    (tmp_path / "a.csv").write_text(f'text,n\n"{prose(1)}",1\n')
    (tmp_path / "b.csv").write_text(f'body,n\n"{prose(1)}",1\n')
    with pytest.raises(InputError, match=r"there is no column 'text' in .*b.csv"):
        open_sources([tmp_path / "a.csv", tmp_path / "b.csv"], text="text")


def test_names_are_short_and_stable(tmp_path):
    paths = [tmp_path / f"{i}.csv" for i in range(5)]
    for path in paths:
        path.write_text(f'text,n\n"{prose(1)}",1\n')
    assert open_sources(paths[:2]).name == f"{paths[0]}, {paths[1]}"
    name = open_sources(paths).name
    assert name == open_sources(paths).name
    assert name.startswith(f"{paths[0]} and 4 more (")
    assert name != open_sources([paths[0], *paths[:0:-1]]).name


def test_reading_a_csv_imports_nothing_heavy(tmp_path):
    (tmp_path / "a.csv").write_text(f'text,n\n"{prose(1)}",1\n')
    code = (
        "import sys; from indexer.sources import open_sources; list(open_sources([sys.argv[1]]).batches());"
        "print([m for m in ('torch', 'pandas', 'datasets', 'trafilatura', 'pypdf') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.csv"], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_only_what_has_a_name_of_its_own_is_lasting(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text(f'text,n\n"{prose(1)}",1\n')
    for spec in (path, str(tmp_path), str(tmp_path / "*.csv")):
        assert open_sources([spec]).is_lasting
    assert not open_sources([path, table(text=prose)]).is_lasting
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert not open_sources(["-"]).is_lasting
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(path.read_bytes())).start()
    assert not open_sources([tmp_path / "pipe"]).is_lasting
