"""Delimited files: delimiter, encoding, quoting, types, broken rows."""

import csv
import datetime as dt
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.errors import InputError
from indexer.sources import open_sources

PROSE = "A quiet village wakes up to find that the river has moved during the night"


def write(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return path


def documents(source):
    return [document for batch in source.batches() for document in batch]


def rows(n, template="{i},Title {i},{prose} {i}.,{year}"):
    return "".join(template.format(i=i, prose=PROSE, year=1990 + i) + "\n" for i in range(n))


def test_a_plain_csv_is_read_with_text_title_id_and_types(tmp_path):
    source = open_sources([write(tmp_path / "a.csv", "show_id,title,description,release_year\n" + rows(5))])
    assert source.guessed == {"text": "description", "title": "title", "id": "show_id"}
    assert source.columns == {"release_year": "int64"}
    found = documents(source)
    assert [d.id for d in found] == ["0", "1", "2", "3", "4"]
    assert found[1].title == "Title 1"
    assert found[1].text == f"{PROSE} 1."
    assert found[1].metadata == {"release_year": 1991}
    assert found[1].row.endswith("a.csv line 3")
    assert source.fraction_read() == 1.0


def test_tabs_bare_carriage_returns_and_quoted_line_ends_are_found(tmp_path):
    table = f'Date\tGround\tSummary\r3/27/77\t0\t"{PROSE},\rand more."\r12/1/08\t2,750\t"{PROSE} ""again"""\r'
    source = open_sources([write(tmp_path / "crashes.csv", table)])
    found = documents(source)
    assert [d.text for d in found] == [f"{PROSE},\rand more.", f'{PROSE} "again"']
    assert [d.metadata["Ground"] for d in found] == [0, 2750]
    assert found[1].row.endswith("line 4")


def test_two_digit_years_stay_text(tmp_path):
    source = open_sources([write(tmp_path / "a.csv", f"Date,Summary\n9/17/08,{PROSE}\n1/2/07,{PROSE}!\n")])
    assert source.columns == {"Date": "string"}
    assert documents(source)[0].metadata == {"Date": "9/17/08"}


@pytest.mark.parametrize(
    ("cells", "type_", "value"),
    [
        (["September 25, 2021", " August 1, 2020"], "date", dt.date(2021, 9, 25)),
        (["3 Mar 1999", "14 April 2001"], "date", dt.date(1999, 3, 3)),
        (["2021-09-25", "NA"], "date", dt.date(2021, 9, 25)),
        (["25/12/2021", "03/04/2021"], "date", dt.date(2021, 12, 25)),
        (["12/25/2021", "03/04/2021"], "date", dt.date(2021, 12, 25)),
        (["02/03/2021", "03/04/2021"], "string", "02/03/2021"),
        (["2021-09-25T10:30:00Z", "2021-09-25 12:00"], "timestamp", dt.datetime(2021, 9, 25, 10, 30)),
        (["2021-09-25T10:30:00+02:00", "2021-09-26"], "timestamp", dt.datetime(2021, 9, 25, 8, 30)),
        (["2,750", "12"], "int64", 2750),
        (["1.5", "2"], "float64", 1.5),
        (["true", "FALSE"], "bool", True),
        (["007", "123"], "string", "007"),
        (["12345678901234567890", "1"], "string", "12345678901234567890"),
        (["2,75", "1"], "string", "2,75"),
        (["90 min", "2 Seasons"], "string", "90 min"),
        (["", ""], "string", None),
    ],
)
def test_cells_get_the_type_that_all_of_them_have(tmp_path, cells, type_, value):
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "value"])
        writer.writerows([[f"{PROSE} {i}", cell] for i, cell in enumerate(cells)])
    source = open_sources([tmp_path / "a.csv"])
    assert source.columns == {"value": type_}
    assert documents(source)[0].metadata == {"value": value}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    lines = [["id", "text", "price"], *([str(i), f"{PROSE}, {i}; really", "1,5"] for i in range(20))]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(lines)
    found = documents(open_sources([tmp_path / "a.csv"]))
    assert [found[3].id, found[3].text, found[3].metadata] == ["3", lines[4][1], {"price": "1,5"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_the_encoding_is_found(tmp_path, encoding):
    content = "id,text\n" + "".join(
        f"{i},Der Müller fährt über die Straße nach Köln für {i} Äpfel\n" for i in range(9)
    )
    found = documents(open_sources([write(tmp_path / "a.csv", content, encoding)]))
    assert found[8].text == "Der Müller fährt über die Straße nach Köln für 8 Äpfel"
    assert found[8].id == "8"


def test_russian_in_a_windows_encoding_is_found(tmp_path):
    content = "id,text\n" + "".join(
        f"{i},Все счастливые семьи похожи друг на друга номер {i}\n" for i in range(50)
    )
    found = documents(open_sources([write(tmp_path / "a.csv", content, "cp1251")]))
    assert found[0].text == "Все счастливые семьи похожи друг на друга номер 0"


def test_a_latin1_byte_late_in_a_plain_file_is_noticed(tmp_path):
    content = (
        "id,text\n" + rows(20_000, "{i},{prose} {i}\n").replace("\n\n", "\n") + "20000,Ein Müller am Fluß\n"
    )
    found = documents(open_sources([write(tmp_path / "a.csv", content, "latin-1")]))
    assert found[-1].text == "Ein Müller am Fluß"


def test_a_broken_byte_in_a_utf8_file_is_a_bad_row(tmp_path):
    content = ("id,text\n" + "".join(f"{i},Über Straßen und Flüsse hinweg {i}\n" for i in range(30))).encode()
    path = write(
        tmp_path / "a.csv", content.replace("Über Straßen und Flüsse hinweg 7".encode(), b"\xff oh no 7")
    )
    with pytest.raises(InputError, match="line holds bytes that are not UTF-8") as caught:
        open_sources([path])
    assert caught.value.where.endswith("a.csv line 9")
    source = open_sources([path], on_bad_row="skip")
    assert len(documents(source)) == 29
    assert source.counts["bad"] == 1
    assert source.bad_rows[0].endswith("a.csv line 9: the line holds bytes that are not UTF-8")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("70000,too,many,cells,here", "the row has 5 cells, the header 3"),
        ("70000,few", "the row has 2 cells, the header 3"),
        ('70000,Title,"never closed', "text follows a closing quote|never closed"),
        ('70000,Title,"a "word" here"', "text follows a closing quote"),
    ],
)
def test_a_broken_line_70001_is_named_and_only_it_is_lost(tmp_path, broken, message):
    lines = [f'{i},T{i},"{PROSE} {i}"' for i in range(1, 70_100)]
    lines[69_999] = broken  # the header is line 1
    path = write(tmp_path / "a.csv", "id,title,text\n" + "\n".join(lines) + "\n")
    with pytest.raises(InputError, match=message) as caught:
        documents(open_sources([path]))
    assert caught.value.where.endswith("a.csv line 70001")
    assert "--on-bad-row skip" in caught.value.fix
    source = open_sources([path], on_bad_row="skip")
    ids = [int(d.id) for d in documents(source)]
    assert ids == [i for i in range(1, 70_100) if i != 70_000]
    assert source.counts["bad"] == 1
    assert "line 70001" in source.bad_rows[0]


def test_a_quote_that_is_never_closed_on_the_last_line_loses_only_that_line(tmp_path):
    path = write(tmp_path / "a.csv", "id,text,n\n" + rows(50, '{i},"{prose} {i}",{i}') + '50,"open,1\n')
    source = open_sources([path], on_bad_row="skip")
    assert len(documents(source)) == 50
    assert "a quote is opened here and never closed" in source.bad_rows[0]


def test_backslash_escaped_quotes_are_understood(tmp_path):
    lines = "".join(f'{i},"He said \\"no, {i}\\" and {PROSE}"\n' for i in range(20))
    found = documents(open_sources([write(tmp_path / "a.csv", "id,text\n" + lines)]))
    assert found[2].text == f'He said "no, 2" and {PROSE}'


def test_null_and_blank_texts_are_counted_and_kept_out(tmp_path):
    source = open_sources([write(tmp_path / "a.csv", f"id,text\n1,{PROSE}\n2,\n3,   \n4,{PROSE} too\n")])
    assert [d.id for d in documents(source)] == ["1", "4"]
    assert source.counts["empty"] == 2
    assert source.counts["read"] == 4
    assert len(documents(source)) == 2
    assert source.counts["empty"] == 2, "counts begin anew with each reading"


def test_a_value_that_fits_no_more_after_the_survey_is_null_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.sources.table_source._SURVEY_BYTES", 0)
    lines = "".join(f"{i},{PROSE} {i},{i if i < 2500 else 'n. d.'}\n" for i in range(2502))
    source = open_sources([write(tmp_path / "a.csv", "id,text,year\n" + lines)])
    found = documents(source)
    assert source.columns == {"year": "int64"}
    assert found[-1].metadata == {"year": None}
    assert source.counts["misfit"] == 2
    assert source.misfits == {"year": 2}


def test_doubled_and_missing_column_names_are_numbered_and_said(tmp_path):
    source = open_sources([write(tmp_path / "a.csv", f",name,name,text\n0,a,b,{PROSE}\n1,c,d,{PROSE}.\n")])
    assert source.guessed == {"text": "text", "title": "name"}
    assert list(source.columns) == ["column_1", "name_2"]
    assert any("doubled column names" in note and "name" in note for note in source.notes)


def test_a_file_without_header_gets_numbered_columns(tmp_path):
    content = "".join(f"{i},{2000 + i}-01-02,{PROSE} {i}\n" for i in range(5))
    source = open_sources([write(tmp_path / "a.csv", content)])
    assert source.guessed == {"text": "column_3"}
    assert len(documents(source)) == 5
    assert any("has no header" in note for note in source.notes)


def test_one_column_of_prose_with_commas_is_one_column(tmp_path):
    content = "text\n" + "".join(f"{PROSE}, {'and then, ' * (i % 3)}number {i}\n" for i in range(20))
    found = documents(open_sources([write(tmp_path / "a.csv", content)]))
    assert found[2].text == f"{PROSE}, and then, and then, number 2"


def test_five_thousand_columns_keep_two_hundred_and_say_so(tmp_path):
    head = ["text", *(f"c{i}" for i in range(5000))]
    lines = [[f"{PROSE} {n}", *["1"] * 5000] for n in range(3)]
    write(tmp_path / "a.csv", "\n".join(",".join(line) for line in [head, *lines]))
    source = open_sources([tmp_path / "a.csv"])
    assert len(source.columns) == 200
    assert any("of 5,000 metadata columns the first 200 are kept" in note for note in source.notes)
    assert open_sources([tmp_path / "a.csv"], metadata=["c4999"]).columns == {"c4999": "int64"}


def test_a_cell_of_a_megabyte_is_one_text(tmp_path):
    text = f"{PROSE}. " * 20_000
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], ["1", text], ["2", PROSE]])
    assert [d.text for d in documents(open_sources([tmp_path / "a.csv"]))] == [text, PROSE]


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=12))
def test_what_csv_writer_writes_comes_back(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(["number", "text", "note"])
    writer.writerows([[f"x{i}", f"word {text}", note] for i, (text, note) in enumerate(table)])
    path.write_bytes(out.getvalue().encode())
    found = documents(open_sources([path], text="text", metadata=["number"]))
    assert [d.text for d in found] == [f"word {text}" for text, _ in table]
    assert [d.metadata["number"] for d in found] == [f"x{i}" for i in range(len(table))]
