"""`llm2comp eval` in this process, on small sets and with the word encoder of the tests."""

import json

import numpy as np
import pytest

from app.cli import main
from encoder.errors import UnsupportedBackboneError
from encoder.memory import new_memory
from encoder.save import save_encoder
from tests.encoder.tiny import tiny_backbone, tiny_config, tiny_tokenizer
from tests.train.evaluation import sets


@pytest.fixture
def data(tmp_path):
    return sets.write_all(tmp_path / "sets")


@pytest.fixture
def words(monkeypatch, word_embedder):
    """Stands for every encoder."""
    word_embedder.card = {
        "name": "words",
        "dimension": 32,
        "fingerprint": "f" * 64,
        "computed_on": "cpu float32",
    }
    monkeypatch.setattr("train.evaluation.evaluate.load_encoder", lambda spec, **_: word_embedder)
    return word_embedder


def run(*arguments):
    return main(["eval", *map(str, arguments)])


def test_a_table_goes_to_stdout_and_the_rest_to_stderr(capsys, data, words):
    assert run("default", "--data", data, "--baselines", "lsa", "bm25") == 0
    captured = capsys.readouterr()
    rows = {line.split()[0]: line.split() for line in captured.out.splitlines() if line}
    assert rows["task"] == ["task", "kind", "metric", "default", "lsa", "bm25"]
    assert rows["pairs"][-3:] == ["100.0", rows["pairs"][-2], "-"]
    assert rows["effective"][0] == "effective"
    assert "default, pairs (1 of 4): 100.0" in captured.err
    assert "Scores are times 100" in captured.err


def test_quiet_shows_no_progress(capsys, data, words):
    assert run("default", "--data", data, "--quiet") == 0
    assert "(1 of 4)" not in capsys.readouterr().err


def test_json_is_one_object_with_where_it_came_from(capsys, data, words):
    assert run("default", "--data", data, "--tasks", "pairs", "roads", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["format"] == 1
    assert [task["name"] for task in content["tasks"]] == ["pairs", "roads"]
    assert content["columns"][0]["encoder"]["fingerprint"] == "f" * 64
    assert content["columns"][0]["effort"]["truncated"] == 0
    assert content["command"] == f"llm2comp eval default --data {data} --tasks pairs roads"
    assert {"python", "torch", "scikit-learn"} <= set(content["versions"])


@pytest.mark.parametrize("ending", [".md", ".json"])
def test_a_report_is_written_and_never_replaced_unasked(capsys, data, words, tmp_path, ending):
    out = tmp_path / f"scores{ending}"
    given = ["default", "--data", data, "--tasks", "pairs", "--out", out, "--quiet"]
    assert run(*given) == 0
    text = out.read_text()
    assert "pairs" in text
    if ending == ".json":
        assert json.loads(text)["columns"][0]["scores"]["pairs"] == pytest.approx(100)
    assert run(*given) == 1
    assert "the file exists already" in capsys.readouterr().err
    assert run(*given, "--force") == 0


def test_a_mean_below_the_one_asked_for_exits_with_3(capsys, data, words):
    assert run("default", "--data", data, "--tasks", "pairs", "--at-least", "99") == 0
    assert run("default", "--data", data, "--tasks", "pairs", "--at-least", "100.5") == 3
    assert "default: the mean is 100.00, less than --at-least 100.5" in capsys.readouterr().err


def test_the_first_encoder_is_held_to_all_its_tasks_beside_a_baseline_with_few(data, words):
    # bm25 has one task; the mean that counts is still the one over all four.
    given = ["default", "--data", data, "--baselines", "bm25", "--quiet"]
    assert run(*given, "--at-least", "90") == 0


def test_the_instruction_reaches_queries_and_nothing_else(data, words, monkeypatch):
    asked = []
    encode = type(words).encode_query
    monkeypatch.setattr(
        type(words),
        "encode_query",
        lambda self, texts, **options: asked.append(options["instruction"]) or encode(self, texts),
    )
    assert run("default", "--data", data, "--instruction", "Find it", "--quiet") == 0
    assert run("default", "--data", data, "--quiet") == 0
    assert asked == ["Find it", None]


def test_a_stopped_command_goes_on(data, words, tmp_path, monkeypatch, capsys):
    given = ["default", "--data", data, "--work", tmp_path / "work"]

    def stop(texts, **_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(words, "encode_query", stop, raising=False)
        assert run(*given) == 130
    before = words.n_encoded
    assert run(*given) == 0
    assert "Scores kept from before, with their speed: 1." in capsys.readouterr().err
    assert words.n_encoded > before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["default"], 2, "there is nothing to score on"),
        (["default", "--tasks", "x", "--mteb", "SICK-R"], 2, "--tasks is for --data"),
        (["default", "--data", "DATA", "--own-instructions"], 2, "--own-instructions is for --mteb"),
        (["default", "--data", "DATA", "--tasks", "pear"], 2, "there is no task pear"),
        (["default", "--data", "DATA", "--baselines", "tfidf"], 2, "there is no baseline tfidf"),
        (["default", "--data", "DATA", "--poolings"], 2, "no encoder here says which backbone"),
        (["hf:a/b?pooling=x", "--data", "DATA"], 2, "there is no pooling 'x'"),
        (["default", "--data", "nowhere"], 1, "this folder of evaluation sets does not exist"),
        (["default", "--data", "DATA", "--out", "scores.txt"], 1, "scores.txt has no known ending"),
        (["nowhere", "--data", "DATA"], 1, "nowhere does not exist"),
        (["default", "--data", "DATA", "--at-least", "high"], 2, "invalid float value: 'high'"),
    ],
)
def test_what_cannot_be_is_said_in_three_lines(capsys, data, arguments, code, said):
    given = [str(data) if argument == "DATA" else argument for argument in arguments]
    assert run(*given) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    what, where, fix = captured.err.splitlines()
    assert what.startswith("error: ") and said in what
    assert where.startswith("where: ") and fix.startswith("do:    ")


def test_vectors_that_are_no_numbers_stop_it(capsys, data, words, monkeypatch):
    monkeypatch.setattr(
        words,
        "encode_document",
        lambda texts, **_: np.full((len(texts), 32), np.nan, np.float32),
        raising=False,
    )
    assert run("default", "--data", data, "--quiet") == 1
    assert "hold NaN or infinity" in capsys.readouterr().err


@pytest.fixture
def tiny_run(tmp_path):
    """A backbone and an encoder whose description points at it."""
    from peft import LoraConfig, get_peft_model

    from encoder.config import BaseReference

    backbone, tokenizer = tiny_backbone(), tiny_tokenizer()
    backbone.save_pretrained(tmp_path / "run" / "backbone")
    tokenizer.save_pretrained(tmp_path / "run" / "backbone")
    adapted = get_peft_model(backbone, LoraConfig(r=2, target_modules=["q_proj"]))
    config = tiny_config(base=BaseReference(kind="path", ref="../backbone"))
    memory = new_memory(backbone, 4)
    save_encoder(
        tmp_path / "run" / "encoder", backbone=adapted, memory=memory, tokenizer=tokenizer, config=config
    )
    return tmp_path / "run"


def test_poolings_of_the_own_backbone_stand_beside_an_encoder(capsys, data, tiny_run):
    given = [
        tiny_run / "encoder",
        "--data",
        data,
        "--tasks",
        "pairs",
        "--dtype",
        "float32",
        "--json",
        "--quiet",
    ]
    assert run(*given, "--poolings") == 0
    columns = json.loads(capsys.readouterr().out)["columns"]
    assert [column["title"] for column in columns[1:]] == [
        f"untrained {pooling}"
        for pooling in ("mean", "last", "weighted", "bidirectional_mean", "echo", "prompteol")
    ]
    assert {column["encoder"]["max_tokens"] for column in columns[:4]} == {40}
    assert columns[0]["spectrum"]["slot_similarity_mean"] is not None
    assert len({column["scores"]["pairs"] for column in columns}) > 1
    assert {column["effort"]["texts"] for column in columns} == {8}


def test_a_pooling_that_the_backbone_refuses_says_so_in_its_column(capsys, data, tiny_run, monkeypatch):
    def refuse(*_):
        raise UnsupportedBackboneError("this decoder reads one way", "backbone", "choose another")

    monkeypatch.setattr("encoder.checkpoint.check_bidirectional", refuse)
    given = ["--data", data, "--tasks", "pairs", "--poolings", tiny_run / "backbone", "--json", "--quiet"]
    assert run(f"{tiny_run / 'backbone'}?pooling=mean", *given) == 0
    columns = {column["title"]: column for column in json.loads(capsys.readouterr().out)["columns"]}
    assert columns["untrained bidirectional_mean"]["absent"] == "not possible: this decoder reads one way"
    assert columns["untrained mean"]["scores"]["pairs"] is not None
