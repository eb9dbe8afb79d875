"""Stage 3 as a stage: pairs of several data sets, their instructions, and what every option leaves on disk."""

import json
import re

import pytest
import torch

from encoder.checkpoint import load_encoder
from encoder.config import Prompts, read_config
from encoder.errors import ConfigError, InputError, TrainingError
from tests.encoder.tiny import tiny_tokenizer
from tests.train.stages.contrast_runs import (
    ONE_STEP,
    read_rows,
    spoil,
    train,
    write_adapted,
    write_encoder,
    write_pairs,
    write_rows,
)
from tests.train.stages.tiny_runs import rows
from train.contrast.loss import ContrastiveLoss
from train.running.watcher import Watcher


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Nothing of the tests stays in the cache of the user."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("cache")
    yield
    datasets.config.HF_DATASETS_CACHE = before


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pairs, pairs with hard negatives, a whole encoder, and one that is an adapter over `backbone`."""
    folder = tmp_path_factory.mktemp("contrastive")
    write_pairs(folder / "pairs.jsonl")
    write_pairs(folder / "hard.jsonl", seed=1, negatives=2)
    write_encoder(folder / "whole")
    write_adapted(folder / "adapted")
    return folder


@pytest.fixture(scope="module")
def plain_run(folder):
    """All weights trained on one data set."""
    out = folder / "runs" / "plain"
    measures, notes = train("contrastive", out, folder / "whole", {"pairs": folder / "pairs.jsonl"})
    return out, measures, notes


@pytest.fixture
def seen(monkeypatch):
    """What the loss got to see: for each batch a list of texts a column, as tokens say them."""
    tokenizer, batches = tiny_tokenizer(), []
    forward = ContrastiveLoss.forward

    def spy(self, columns, labels=None):
        columns = list(columns)
        batches.append(
            [
                [
                    tokenizer.decode(row[1 : mask.sum()])  # without BOS
                    for row, mask in zip(column["input_ids"], column["attention_mask"], strict=True)
                ]
                for column in columns
            ]
        )
        return forward(self, columns, labels)

    monkeypatch.setattr(ContrastiveLoss, "forward", spy)
    return batches


@pytest.fixture
def watched(monkeypatch):
    """What the watcher was given: `texts` and `pairs`."""
    found = {}
    begin = Watcher.__init__

    def spy(self, encoder, texts, **options):
        found.update(texts=list(texts), pairs=options["pairs"])
        begin(self, encoder, texts, **options)

    monkeypatch.setattr(Watcher, "__init__", spy)
    return found


def _losses(out):
    return [row["loss"] for row in rows(out) if "loss" in row]


def _vectors(spec):
    return load_encoder(str(spec), device="cpu", dtype="float32").encode_document(["gan bas", "tin tor"])


# What it learns from.


def test_training_brings_queries_and_documents_together(plain_run):
    losses = _losses(plain_run[0])
    assert len(losses) == 6
    assert losses[-1] < 0.8 * losses[0]


def test_it_says_what_was_read_and_what_is_trained(plain_run):
    _, measures, notes = plain_run
    assert notes[0] == "pairs: 40 pairs read, 8 held out, 32 to train on"
    assert notes[1].startswith("trained: all weights (")
    assert {"known_items", "effective_rank", "mean_cosine", "slot_similarity"} <= measures.keys()


def test_every_checkpoint_and_the_result_load_by_themselves(plain_run):
    out = plain_run[0]
    places = [out / "checkpoints" / "checkpoint-3", out / "checkpoints" / "checkpoint-6", out / "encoder"]
    first, second, result = (_vectors(place) for place in places)
    assert abs(first - second).max() > 1e-4
    assert min(abs(result - each).max() for each in (first, second)) < 1e-6
    assert [stage["stage"] for stage in read_config(out / "encoder").stages] == ["compress", "contrastive"]


def test_a_batch_is_of_one_data_set_with_its_hard_negatives(folder, tmp_path, seen):
    sets = {
        "pairs": folder / "pairs.jsonl",
        "hard": {"files": folder / "hard.jsonl", "negatives": ["negative_1", "negative_2"]},
    }
    train("contrastive", tmp_path / "run", folder / "whole", sets, contrast={"max_query_tokens": 24})
    plain = {row["anchor"] for row in read_rows(folder / "pairs.jsonl")}
    assert {len(columns) for columns in seen} == {2, 4}
    for columns in seen:
        of_plain = [text in plain for text in columns[0]]
        assert all(of_plain) if len(columns) == 2 else not any(of_plain)


def test_instructions_and_prompts_stand_where_they_stand_in_use(folder, tmp_path, seen, watched):
    write_encoder(tmp_path / "encoder", prompts=Prompts("ask: ", "text: ", "{instruction}? "))
    sets = {
        "told": {"files": folder / "pairs.jsonl", "instruction": "find it"},
        "plain": {"files": folder / "hard.jsonl", "negatives": ["negative_1"]},
    }
    train(
        "contrastive",
        tmp_path / "run",
        tmp_path / "encoder",
        sets,
        contrast={"max_query_tokens": 24},
        schedule={"steps": 8},
    )
    begun = {len(columns): {text.split()[0] for text in columns[0]} for columns in seen}
    assert begun == {2: {"find"}, 3: {"ask:"}}
    assert all(text.startswith("text: ") for columns in seen for column in columns[1:] for text in column)
    assert {query.split()[0] for query, _ in watched["pairs"][:3]} == {
        "find",
        "ask:",
    }  # the first ones are used
    assert all(text.startswith("text: ") for _, text in watched["pairs"])
    assert all(text.startswith("text: ") for text in watched["texts"])


def test_the_tokens_of_a_query_are_those_of_the_encoder_in_use(folder, tmp_path, monkeypatch):
    write_encoder(tmp_path / "encoder", prompts=Prompts(instruction="{instruction}? "))
    found = []
    forward = ContrastiveLoss.forward

    def spy(self, columns, labels=None):
        columns = list(columns)
        found.append(columns[0])
        return forward(self, columns, labels)

    monkeypatch.setattr(ContrastiveLoss, "forward", spy)
    sets = {"told": {"files": folder / "pairs.jsonl", "instruction": "find it"}}
    train(
        "contrastive",
        tmp_path / "run",
        tmp_path / "encoder",
        sets,
        contrast={"max_query_tokens": 24},
        schedule={**ONE_STEP, "learning_rate": 0.0},
    )
    encoder = load_encoder(str(tmp_path / "run" / "encoder"), device="cpu", dtype="float32")
    queries = [row["anchor"] for row in read_rows(folder / "pairs.jsonl")]
    vectors = encoder.encode_query(queries, instruction="find it")
    with torch.no_grad():
        from encoder.st import MemoryEncoder

        module = MemoryEncoder.load(str(tmp_path / "run" / "encoder"))
        trained = module(dict(found[0]))["sentence_embedding"].numpy()
    assert (trained @ vectors.T).max(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_texts_are_cut_to_the_length_of_their_column(folder, tmp_path, monkeypatch):
    lengths = []
    forward = ContrastiveLoss.forward

    def spy(self, columns, labels=None):
        columns = list(columns)
        lengths.append([column["input_ids"].shape[1] for column in columns])
        return forward(self, columns, labels)

    monkeypatch.setattr(ContrastiveLoss, "forward", spy)
    contrast = {"max_query_tokens": 3, "max_document_tokens": 7}
    train(
        "contrastive",
        tmp_path / "run",
        folder / "whole",
        {"pairs": folder / "pairs.jsonl"},
        contrast=contrast,
        schedule=ONE_STEP,
    )
    assert lengths == [[1 + 3, 1 + 7]]  # BOS


@pytest.mark.parametrize(("asked", "stored"), [(20, 24), (60, 60), (1000, 128 - 4 - 1)])
def test_longer_documents_make_an_encoder_of_longer_texts(folder, tmp_path, asked, stored):
    _, notes = train(
        "contrastive",
        tmp_path / "run",
        folder / "whole",
        {"pairs": folder / "pairs.jsonl"},
        contrast={"max_document_tokens": asked},
        schedule=ONE_STEP,
    )
    assert read_config(tmp_path / "run" / "encoder").max_tokens == stored
    told = "contrast.max_document_tokens is 1,000: cut to 123 tokens, this encoder holds no more"
    assert (told in notes) == (asked == 1000)


def test_doubled_pairs_are_dropped_and_told(folder, tmp_path):
    pairs = read_rows(folder / "pairs.jsonl")
    write_rows(tmp_path / "doubled.jsonl", [*pairs, *pairs[:5], {"anchor": "x", "positive": ""}])
    _, notes = train(
        "contrastive",
        tmp_path / "run",
        folder / "whole",
        {"doubled": tmp_path / "doubled.jsonl"},
        schedule=ONE_STEP,
    )
    assert notes[0] == (
        "doubled: 46 pairs read, 1 without anchor or positive, 5 that were there twice, 8 held out, 32 to train on"
    )


def test_texts_of_held_out_pairs_are_never_trained_on(folder, tmp_path, seen, watched):
    pairs = read_rows(folder / "pairs.jsonl")
    # Every positive answers a second query, so that each held-out pair has a neighbour that shares a text with it.
    again = [{"anchor": f"again {number}", "positive": row["positive"]} for number, row in enumerate(pairs)]
    write_rows(tmp_path / "again.jsonl", [*pairs, *again])
    _, notes = train(
        "contrastive",
        tmp_path / "run",
        folder / "whole",
        {"again": tmp_path / "again.jsonl"},
        contrast={"max_document_tokens": 60, "max_query_tokens": 60},
        schedule={"steps": 16},
    )
    held_out = {text for pair in watched["pairs"] for text in pair}
    trained = {text for columns in seen for column in columns for text in column}
    assert len(watched["pairs"]) == 8
    assert len(trained) > 60
    assert not held_out & trained
    assert "that share a text with what is held out" in notes[0]


def test_small_data_sets_are_joined_or_left_out_and_told(folder, tmp_path, seen):
    pairs = read_rows(folder / "pairs.jsonl")
    sets = {}
    for name, part in {"a": pairs[:6], "b": pairs[6:12], "c": pairs[12:]}.items():
        sets[name] = write_rows(tmp_path / f"{name}.jsonl", part)
    few = read_rows(folder / "hard.jsonl")[:3]
    sets["few"] = {"files": write_rows(tmp_path / "few.jsonl", few), "instruction": "another one"}
    _, notes = train(
        "contrastive",
        tmp_path / "run",
        folder / "whole",
        sets,
        contrast={"max_query_tokens": 24},
        held_out=0,
        watch={"best_by": "last"},
    )
    assert "few: 3 pairs fill no batch of 8 and are left out" in notes
    small = {row["anchor"] for row in pairs[:12]}
    counts = [sum(text in small for text in columns[0]) for columns in seen]
    assert set(counts) == {0, 8}  # batches of the two small ones, and of the third


def test_a_batch_that_no_data_set_fills_is_refused(folder, tmp_path):
    with pytest.raises(
        InputError, match="No data set fills a batch of 64: the largest has 32 pairs"
    ) as caught:
        train(
            "contrastive",
            tmp_path / "run",
            folder / "whole",
            {"pairs": folder / "pairs.jsonl"},
            schedule={"batch": 64},
        )
    assert "lower schedule.batch" in caught.value.fix


def test_a_finished_run_has_nothing_left_to_do(folder, plain_run):
    out, measures, _ = plain_run
    again, notes = train("contrastive", out, folder / "whole", {"pairs": folder / "pairs.jsonl"})
    assert notes == ["the run was finished before; nothing is left to train"]
    assert again == measures


def test_known_items_are_halves_of_texts_where_no_pairs_are_held_out(folder, tmp_path, watched):
    texts = [
        " ".join(row["positive"] for row in read_rows(folder / "pairs.jsonl")[n : n + 3]) for n in range(30)
    ]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    measures, _ = train(
        "contrastive",
        tmp_path / "run",
        folder / "whole",
        {"pairs": folder / "pairs.jsonl"},
        held_out=0,
        texts={"files": [str(tmp_path / "texts.txt")], "held_out": 10},
        schedule=ONE_STEP,
    )
    assert watched["pairs"] is None
    assert len(watched["texts"]) == 10
    assert "known_items" in measures


def test_pairs_with_a_text_that_is_watched_are_not_trained_on(folder, tmp_path, watched, seen):
    pairs = read_rows(folder / "pairs.jsonl")
    (tmp_path / "texts.txt").write_text("\n".join(row["positive"] for row in pairs), encoding="utf-8")
    _, notes = train(
        "contrastive",
        tmp_path / "run",
        folder / "whole",
        {"pairs": folder / "pairs.jsonl"},
        held_out=0,
        texts={"files": [str(tmp_path / "texts.txt")], "held_out": 10},
        schedule={"steps": 4, "batch": 8},
        watch={"best_by": "last"},
    )
    assert "10 that share a text with what is held out, 30 to train on" in notes[0]
    trained = {text for _, documents in seen for text in documents}
    assert trained and trained.isdisjoint(watched["texts"])


def test_a_loss_that_is_not_finite_names_the_rows_of_its_batch(folder, tmp_path, monkeypatch):
    rows = read_rows(folder / "pairs.jsonl")[:8]
    spoil(monkeypatch, step=2)
    sections = {"held_out": 0, "watch": {"best_by": "last"}}
    with pytest.raises(TrainingError) as caught:
        train(
            "contrastive",
            tmp_path / "run",
            folder / "whole",
            {"p": write_rows(tmp_path / "p.jsonl", rows)},
            **sections,
        )
    said = re.fullmatch(r"The loss is nan at step 2, in a batch of the items \[(.*)\]\.", caught.value.what)
    assert said and sorted(map(int, said[1].split(", "))) == list(range(8))


# What is refused.


@pytest.mark.parametrize(
    ("sections", "what", "fix"),
    [
        (
            {"soup": 3, "watch": {"keep": 2}},
            "soup averages 3 checkpoints, watch.keep keeps 2",
            "set watch.keep to 3",
        ),
        (
            {"soup": 3},
            "soup averages 3 checkpoints, and 6 steps make 2, one every 3",
            "lower watch.evaluate_steps",
        ),
        ({"pairs": []}, "The recipe names no pairs", r"\[\[pairs\]\]"),
        ({"watch": {"best_by": "held_out_loss"}}, "goes by held_out_loss", "known_items"),
        ({"contrast": {"matryoshka": [64]}}, "matryoshka holds 64, the embedding has 32", "from 1 to 32"),
    ],
)
def test_impossible_recipes_are_refused(folder, tmp_path, sections, what, fix):
    with pytest.raises(ConfigError, match=what) as caught:
        train(
            "contrastive", tmp_path / "run", folder / "whole", {"pairs": folder / "pairs.jsonl"}, **sections
        )
    assert __import__("re").search(fix, caught.value.fix)


def test_nothing_to_choose_the_best_checkpoint_by_is_refused(folder, tmp_path):
    with pytest.raises(
        ConfigError, match="held_out is 0, and the best checkpoint is the one that finds most known"
    ) as caught:
        train(
            "contrastive", tmp_path / "run", folder / "whole", {"pairs": folder / "pairs.jsonl"}, held_out=0
        )
    assert caught.value.fix == 'set held_out to 200, or watch.best_by to "last"'
    assert not (tmp_path / "run").exists()


def test_an_encoder_without_memory_tokens_is_refused(folder, tmp_path):
    write_encoder(tmp_path / "mntp")
    content = json.loads((tmp_path / "mntp" / "llm2comp.json").read_text())
    (tmp_path / "mntp" / "llm2comp.json").write_text(
        json.dumps(content | {"n_memory": 0, "pooling": "bidirectional_mean"})
    )
    (tmp_path / "mntp" / "memory.safetensors").unlink()
    with pytest.raises(ConfigError, match="has no memory tokens"):
        train("contrastive", tmp_path / "run", tmp_path / "mntp", {"pairs": folder / "pairs.jsonl"})
