"""Every verb on a small real collection, in this process, with the word encoder of the tests."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.cli import main

ROWS = [
    ("a-1", "Roads", "Who pays for the roads of a country is a political question.", 2019, "France"),
    ("a-2", "Bridges", "A bridge carries a road over water and costs more than the road.", 2021, "Italy"),
    ("a-3", "Bread", "Flour, water, salt and time make bread.", 2021, "France"),
    ("a-4", "Tax", "Tolls and taxes pay for roads and for schools.", 2023, "Spain"),
]


@pytest.fixture
def articles(tmp_path):
    file = tmp_path / "articles.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "title", "text", "year", "country"])
        writer.writerows(ROWS)
    return file


@pytest.fixture(autouse=True)
def _word_encoder(monkeypatch, tmp_path, word_embedder):
    monkeypatch.setenv("LLM2COMP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: word_embedder)


@pytest.fixture
def collection(articles, tmp_path, capsys):
    into = tmp_path / "collection"
    assert main(["index", str(articles), "--into", str(into), "--quiet"]) == 0
    capsys.readouterr()
    return into


def as_json(capsys, *arguments):
    code = main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out)


def test_index_says_what_it_did_and_goes_on(capsys, articles, tmp_path):
    into = tmp_path / "new"
    code, done = as_json(capsys, "index", articles, "--into", into, "--quiet")
    assert (code, done["added"], done["passages"], done["version"]) == (0, 4, 4, 1)
    code, done = as_json(capsys, "index", articles, "--into", into, "--quiet")
    assert (code, done["added"], done["unchanged"], done["passages"], done["version"]) == (0, 0, 4, 0, 1)
    assert main(["index", str(articles), "--into", str(into), "--quiet"]) == 0
    assert "4 documents read: 0 new, 0 changed" in capsys.readouterr().out


def test_index_dry_run_writes_nothing(capsys, articles, tmp_path):
    into = tmp_path / "new"
    code, plan = as_json(capsys, "index", articles, "--into", into, "--dry-run", "--quiet")
    assert code == 0
    assert plan["documents"] == 4
    assert plan["passages"] == 4
    assert not into.exists()


def test_index_dry_run_cuts_as_the_collection_does(capsys, articles, tmp_path):
    into = tmp_path / "narrow"
    assert (
        main(["index", str(articles), "--into", str(into), "--window", "8", "--overlap", "0", "--quiet"]) == 0
    )
    capsys.readouterr()
    made = as_json(capsys, "info", into)[1]["passages"]
    _, plan = as_json(capsys, "index", articles, "--into", into, "--dry-run", "--quiet")
    assert plan["passages"] == made > 4


def test_index_refuses_another_window_than_the_collection_has(capsys, articles, collection):
    assert main(["index", str(articles), "--into", str(collection), "--window", "16", "--quiet"]) == 1
    assert "was made with --window 64, not 16" in capsys.readouterr().err


def test_index_refuses_another_way_of_cutting_words(capsys, articles, collection):
    assert main(["index", str(articles), "--into", str(collection), "--words", "ngram2", "--quiet"]) == 1
    assert "was made with --words english, not ngram2" in capsys.readouterr().err
    assert main(["index", str(articles), "--into", str(collection), "--words", "english", "--quiet"]) == 0


def test_index_goes_on_with_the_encoder_of_the_collection(
    capsys, articles, tmp_path, monkeypatch, word_embedder
):
    into, asked = tmp_path / "other", []

    def load(spec="default", **options):
        asked.append((spec, options.get("only_cached", False)))
        return type(word_embedder)(name=spec)

    monkeypatch.setattr("encoder.checkpoint.load_encoder", load)
    assert main(["index", str(articles), "--into", str(into), "--encoder", "hf:org/one", "--quiet"]) == 0
    assert main(["index", str(articles), "--into", str(into), "--quiet"]) == 0
    assert main(["index", str(articles), "--into", str(tmp_path / "new"), "--quiet"]) == 0
    # A spec that stands in a file downloads nothing.
    assert asked == [("hf:org/one", False), ("hf:org/one", True), ("default", False)]
    assert main(["index", str(articles), "--into", str(into), "--encoder", "default", "--quiet"]) == 1
    assert "was made with the encoder hf:org/one" in capsys.readouterr().err


def test_index_names_columns_that_the_collection_does_not_have(capsys, collection, tmp_path):
    more = tmp_path / "more.csv"
    more.write_text("id,title,text,year,place,mood\nb-1,Rain,Rain falls on the roads of the town.,2024,x,y\n")
    assert main(["index", str(more), "--into", str(collection), "--text", "text"]) == 0
    captured = capsys.readouterr().err
    assert "the collection cannot be filtered by place, mood: it was made without" in captured


def test_another_file_with_the_same_ids_is_taken_over_only_on_request(capsys, articles, collection, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(
        articles.read_text(encoding="utf-8").replace("Flour, water", "Rye, water"), encoding="utf-8"
    )
    assert main(["index", str(other), "--into", str(collection), "--quiet"]) == 1
    said = capsys.readouterr().err
    assert f"the id 'a-3' belongs to another document, which came from {articles}" in said
    assert "add --take-over" in said
    code, done = as_json(capsys, "index", other, "--into", collection, "--quiet", "--take-over")
    assert (code, done["changed"], done["unchanged"]) == (0, 1, 3)


def test_rows_without_an_id_are_not_replaced_and_the_user_is_told(capsys, articles, tmp_path):
    into = tmp_path / "new"
    articles.write_text(
        "text,year\nA road is long and costs much.,2001\nBread is made of flour and water.,2002\n"
    )
    assert main(["index", str(articles), "--into", str(into)]) == 0
    assert "no id column" not in capsys.readouterr().err
    articles.write_text(articles.read_text().replace("costs much", "costs little"))
    assert main(["index", str(articles), "--into", str(into)]) == 0
    assert "no id column: a changed row counts as a new one" in capsys.readouterr().err
    assert as_json(capsys, "info", into)[1]["documents"] == 3


def test_the_page_offers_what_was_indexed_here(collection):
    from app import library

    assert [entry.path for entry in library.known()] == [collection]


def test_the_title_can_be_filtered(capsys, collection):
    code, found = as_json(capsys, "search", collection, "road", "--where", "title starts with 'Br'")
    assert code == 0
    assert {hit["title"] for hit in found["hits"]} == {"Bridges", "Bread"}


def test_search_shows_a_table(capsys, collection):
    assert main(["search", str(collection), "who pays for roads", "-k", "2"]) == 0
    captured = capsys.readouterr()
    head, first, *_ = captured.out.splitlines()
    assert head.split()[:4] == ["#", "score", "title", "passage"]
    assert first.split()[2] in {"Roads", "Tax"}
    assert captured.err.startswith("4 passages · version 1 · encoder words · ")
    assert captured.err.endswith(" ms · index flat, exact\n")


@pytest.mark.parametrize(("load_ms", "said"), [(3_400.0, True), (900.0, False)])
def test_search_tells_a_long_load_apart_from_the_search(capsys, collection, monkeypatch, load_ms, said):
    from indexer.query.ranking import Clock

    spent = Clock.milliseconds
    monkeypatch.setattr(Clock, "milliseconds", lambda clock: {**spent(clock), "load": load_ms})
    assert main(["search", str(collection), "roads"]) == 0
    assert (" · encoder loaded in 3 s\n" in capsys.readouterr().err) == said


def test_search_json_carries_scores_spans_and_provenance(capsys, collection):
    code, found = as_json(capsys, "search", collection, "bread", "-k", 1, "--where", "country = France")
    assert code == 0
    (hit,) = found["hits"]
    assert hit["document_id"] == "a-3"
    assert hit["metadata"] == {"year": 2021, "country": "France"}
    assert hit["text"][slice(*hit["span"])] == ROWS[2][2]
    assert found["provenance"]["matching"] == 2
    assert found["provenance"]["mode"] == "exact"


def test_search_of_a_file_of_queries_writes_a_line_each(capsys, collection, tmp_path):
    queries, out = tmp_path / "queries.txt", tmp_path / "answers.jsonl"
    queries.write_text("roads\n\nbread\n")
    assert main(["search", str(collection), "--queries", str(queries), "--out", str(out), "-k", "1"]) == 0
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert [answer["query"] for answer in answers] == ["roads", "bread"]
    assert answers[1]["hits"][0]["document_id"] == "a-3"


def test_search_replaces_no_file_unless_forced(capsys, collection, tmp_path):
    queries, out = tmp_path / "queries.txt", tmp_path / "answers.jsonl"
    queries.write_text("roads\n")
    out.write_text("mine")
    arguments = ["search", str(collection), "--queries", str(queries), "--out", str(out)]
    assert main(arguments) == 1
    assert "the file exists already" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert json.loads(out.read_text())["query"] == "roads"


def test_search_out_without_queries_is_wrong_usage(capsys, collection, tmp_path):
    assert main(["search", str(collection), "roads", "--out", str(tmp_path / "x")]) == 2
    assert "--out is for the answers to --queries" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("out", ["nosuch/answers.jsonl", "/dev/full"])
def test_search_says_where_it_cannot_write(capsys, collection, tmp_path, out):
    queries = tmp_path / "queries.txt"
    queries.write_text("roads\n")
    arguments = ["--queries", str(queries), "--out", str(tmp_path / out), "--force"]
    assert main(["search", str(collection), *arguments]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_search_json_lines_hold_no_infinity(capsys, tmp_path):
    source, into, queries = tmp_path / "a.jsonl", tmp_path / "into", tmp_path / "queries.txt"
    source.write_text('{"id": "1", "text": "Flour and water", "share": 1e999}\n')
    queries.write_text("flour\n")
    assert main(["index", str(source), "--into", str(into), "--text", "text", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["search", str(into), "--queries", str(queries)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "Infinity" not in line
    assert json.loads(line)["hits"][0]["metadata"] == {"share": None}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["roads", "-k", "0"], "k = 0 is impossible"),
        (["roads", "-k", "-1"], "k = -1 is impossible"),
        (["roads", "-k", "1000000000"], "k = 1000000000 is impossible"),
        (["x" * 1_000_000], "the query has 1,000,000 characters"),
        (["roads", "--where", "yeer = 2020"], "year"),
        (["roads", "--where", "year = soon"], "whole numbers"),
        (["roads", "--where", "year >"], "^"),
        (["roads", "--show", "nosuch"], "there is no column 'nosuch'"),
    ],
)
def test_an_impossible_search_is_refused_in_three_lines(capsys, collection, arguments, said):
    assert main(["search", str(collection), *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert said in captured.err
    assert "\ndo:    " in captured.err


def test_a_filter_that_nothing_passes_is_no_error(capsys, collection):
    assert main(["search", str(collection), "roads", "--where", "year > 3000"]) == 0
    assert capsys.readouterr().out == "nothing found among 0 passages that pass the filter\n"


def test_a_value_that_no_passage_has_is_answered_with_the_nearest(capsys, collection):
    assert main(["search", str(collection), "roads", "--where", "country = 'france'"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "no passage has the country 'france'; did you mean 'France'?"


def test_an_open_quote_is_a_condition_and_the_answer_says_so(capsys, collection):
    assert main(["search", str(collection), '"never said']) == 0
    said = capsys.readouterr().out.splitlines()
    assert not said[0].startswith("nothing found among 0 ") and "in quotes or behind +" in said[1]


@pytest.mark.parametrize(
    ("arguments", "do"),
    [
        (["--limit", "3"], "see llm2comp search --help"),
        (["-without"], "see llm2comp search --help; put -- before a query that begins with -"),
    ],
)
def test_an_option_that_a_verb_lacks_is_answered_with_the_help_of_the_verb(capsys, collection, arguments, do):
    assert main(["search", str(collection), *arguments]) == 2
    captured = capsys.readouterr().err
    assert "unrecognized arguments" in captured and captured.rstrip().endswith(f"do:    {do}")


def test_a_query_that_begins_with_a_minus_follows_two(capsys, collection):
    assert main(["search", str(collection), "--", "roads -without"]) == 0
    assert main(["search", str(collection), "--", "-without roads"]) == 0


def test_info_without_a_folder_lists_the_collections_also_a_damaged_one(capsys, collection):
    assert main(["info"]) == 0
    table = "".join(capsys.readouterr().out.split())  # long folders wrap
    assert collection.name in table
    broken = collection.parent / "home" / "collections" / "broken"
    broken.mkdir(parents=True)
    (broken / "collection.json").write_text("{")
    code, listed = as_json(capsys, "info")
    found = {one["collection"]: one for one in listed["collections"]}
    assert code == 0 and found[collection.name]["passages"] == 4
    assert found["broken"]["error"] and "passages" not in found["broken"]
    assert main(["info"]) == 0
    assert found["broken"]["error"][:20] in capsys.readouterr().out


def test_info_of_an_empty_library_says_how_to_begin(capsys):
    assert main(["info"]) == 0
    assert capsys.readouterr().out.startswith("no collection yet; make one: llm2comp index")


def test_one_of_a_kind_is_said_in_the_singular(capsys, collection):
    assert main(["delete", str(collection), "--id", "a-1", "--yes"]) == 0
    assert capsys.readouterr().out == "1 document deleted; version 2\n"


def test_info_and_verify_agree_that_all_is_well(capsys, collection):
    code, info = as_json(capsys, "info", collection)
    assert code == 0
    assert (info["documents"], info["passages"], info["index"], info["recall"]) == (4, 4, "flat", 1.0)
    assert info["unpublished_rows"] == 0
    assert as_json(capsys, "verify", collection) == (0, {"format": 1, "ok": True, "findings": []})


def test_verify_exits_with_3_and_names_the_damaged_file(capsys, collection):
    damaged = next(collection.glob("rows.lance/data/*.lance"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    code, report = as_json(capsys, "verify", collection)
    assert code == 3
    assert damaged.name in json.dumps(report["findings"])


def test_delete_asks_before_it_takes_much(capsys, collection):
    assert main(["delete", str(collection), "--where", "year = 2021"]) == 2
    assert "deletes 2 documents, 50% of the collection" in capsys.readouterr().err
    code, done = as_json(capsys, "delete", collection, "--where", "year = 2021", "--yes")
    assert (code, done["documents"], done["version"]) == (0, 2, 2)
    assert as_json(capsys, "info", collection)[1]["documents"] == 2


def test_delete_of_an_unknown_id_deletes_nothing(capsys, collection):
    assert as_json(capsys, "delete", collection, "--id", "nosuch")[1]["documents"] == 0


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_export_writes_every_passage_once(capsys, collection, tmp_path, ending):
    out = tmp_path / f"out.{ending}"
    code, done = as_json(capsys, "export", collection, "--out", out, "--quiet")
    assert (code, done["passages"]) == (0, 4)
    match ending:
        case "csv":
            with out.open(newline="") as stream:
                rows = list(csv.DictReader(stream))
        case "jsonl":
            rows = [json.loads(line) for line in out.read_text().splitlines()]
        case _:
            rows = pq.read_table(out).to_pylist()
    assert {row["document_id"]: row["text"] for row in rows} == {row[0]: row[2] for row in ROWS}


def test_export_replaces_nothing_unless_forced(capsys, collection, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("mine")
    assert main(["export", str(collection), "--out", str(out)]) == 1
    assert "the file exists already" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["export", str(collection), "--out", str(out), "--force", "--quiet"]) == 0
    assert out.read_text().startswith("id,")


def test_encode_writes_unit_rows_in_the_order_of_the_source(capsys, articles, tmp_path, word_embedder):
    out = tmp_path / "vectors.npy"
    code, done = as_json(capsys, "encode", articles, "--out", out, "--quiet")
    assert (code, done["vectors"], done["dimension"]) == (0, 4, 32)
    texts = [f"{title}\n{text}" for _, title, text, _, _ in ROWS]
    np.testing.assert_allclose(np.load(out), word_embedder.encode_document(texts), atol=1e-6)
    table = tmp_path / "vectors.parquet"
    assert main(["encode", str(articles), "--out", str(table), "--quiet"]) == 0
    assert pq.read_table(table)["id"].to_pylist() == [row[0] for row in ROWS]


def test_encode_of_a_source_without_a_text_is_refused(capsys, tmp_path):
    file, out = tmp_path / "blank.csv", tmp_path / "vectors.npy"
    file.write_text("id,text\n1,   \n2,\n")
    assert main(["encode", str(file), "--text", "text", "--out", str(out), "--quiet"]) == 1
    assert "error: the source holds no text" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["blank.csv"]


def test_rebuild_changes_the_kind_of_index(capsys, collection):
    code, info = as_json(capsys, "rebuild", collection, "--index", "rabitq", "--quiet")
    assert (code, info["version"], info["passages"]) == (0, 2, 4)
    assert as_json(capsys, "verify", collection)[0] == 0


def test_gc_keeps_the_newest_version(capsys, collection):
    assert main(["delete", str(collection), "--id", "a-1", "--yes"]) == 0
    capsys.readouterr()
    code, would = as_json(capsys, "gc", collection, "--dry-run")
    assert (code, would["dry_run"], would["before"]) == (0, True, would["after"])
    code, done = as_json(capsys, "gc", collection)
    assert done["after"] < done["before"]
    assert as_json(capsys, "info", collection)[1]["documents"] == 3
    assert [path.name for path in (collection / "publish").iterdir()] == ["0000002.json"]
