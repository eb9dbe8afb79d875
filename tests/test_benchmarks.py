"""Every benchmark runs at a tiny size and prints its table; what the figures are is not tested."""

import importlib
import importlib.util
import os
import struct
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from encoder.memory import new_memory
from encoder.save import save_encoder
from tests.encoder.tiny import tiny_backbone, tiny_config, tiny_tokenizer

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
pytestmark = pytest.mark.slow


def run(script, *arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "| commit |" in done.stdout and "| load average at start |" in done.stdout
    return done.stdout


def cells(output, first):
    """The cells of the table row that begins with `first`."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in output.splitlines() if "|" in line]
    return next(row for row in rows if row[0].startswith(first))


@pytest.fixture(scope="module")
def encoder_directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    backbone = tiny_backbone()
    memory = new_memory(backbone, 4)
    save_encoder(folder, backbone=backbone, memory=memory, tokenizer=tiny_tokenizer(), config=tiny_config())
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    file = tmp_path_factory.mktemp("texts") / "texts.parquet"
    words = ["fox", "dog", "wizards", "books", "rooms", "seven", "quiet"]
    rows = [
        f"The {words[n % 7]} read {words[n % 5]} number {n} while {words[n % 3]} jumps." for n in range(120)
    ]
    pq.write_table(pa.table({"body": rows}), file)
    return file


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


def test_start_finds_no_heavy_module():
    output = run("bench_start.py", "--rounds", 1)
    assert cells(output, "llm2comp --help")[4] == "none"
    assert cells(output, "llm2comp nosuch")[4] == "none"


def test_encode_compares_equal_vectors(texts, encoder_directory, tmp_path):
    out = tmp_path / "encode.md"
    given = ["--texts", texts, "--column", "body", "--rows", 20, "--rounds", 1, "--out", out]
    output = run("bench_encode.py", *given, "--encoder", encoder_directory)
    assert float(cells(output, "encode_document, float32")[5]) > 0.99999
    assert out.read_text() == output
    assert str(tmp_path) not in output and str(texts.parent) not in output


def test_encode_stands_beside_minilm_on_texts_of_one_length(texts, encoder_directory):
    given = [
        "--texts",
        texts,
        "--column",
        "body",
        "--rows",
        20,
        "--rounds",
        1,
        "--peer",
        "minilm",
        "--cut",
        8,
    ]
    output = run("bench_encode.py", *given, "--encoder", encoder_directory)
    assert cells(output, "all-MiniLM-L6-v2 by SentenceTransformer.encode")[5] == "other weights"
    assert float(cells(output, "encode_document, float32")[5]) > 0.99999
    assert "each cut after 8 tokens" in output


def test_cached_gradients_are_those_of_one_graph(texts, encoder_directory):
    given = ["--texts", texts, "--column", "body", "--encoder", encoder_directory]
    output = run("bench_cached.py", *given, "--batch", 6, "--tokens", 8, "--mini-batch", 4, "--rounds", 1)
    assert float(cells(output, "ContrastiveLoss, cached")[7]) <= 1e-5
    assert cells(output, "MultipleNegativesRankingLoss")[5] == "1.00 x"
    assert str(encoder_directory.parent) not in output


def test_index_and_then_query(texts, encoder_directory, kept):
    material = ["--texts", texts, "--column", "body", "--encoder", encoder_directory]
    material += ["--passages", 60, "--window", 32]
    indexed = run("bench_index.py", *material, "--keep", kept)
    assert "%" in cells(indexed, "outside the encoder")[1]
    assert str(encoder_directory.parent) not in indexed
    asked = run("bench_query.py", "--collection", kept, "--rounds", 1, "--count", 3)
    assert cells(asked, "ours: flat")[5] == "1.0000"
    assert cells(asked, "FAISS IndexFlatIP")[5] == "1.0000"
    assert cells(asked, "ours: hybrid")[2].endswith("ms")
    if not importlib.util.find_spec("lancedb"):
        assert "not run" in cells(asked, "lancedb: full text")[2]


def test_demo_waits_for_the_first_answer(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    bench_demo = importlib.import_module("bench_demo")
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "Makefile").write_text(
        "demo:\n\t@echo packages are installed\n\t@echo first answers to $(NO_APP)\n"
    )
    installed, answered = bench_demo._demo(clone)
    assert 0 < installed <= answered
    (clone / "Makefile").write_text("demo:\n\t@echo nothing\n")
    with pytest.raises(SystemExit, match="no answer"):
        bench_demo._demo(clone)


def test_diagnose_is_measured_beside_a_decomposition_of_all_rows():
    output = run("bench_diagnose.py", "--rows", 900, "--many", 1500, "--rounds", 1, "--threads", 1)
    assert cells(output, "singular value decomposition")[1] == "900"
    assert cells(output, "our spectrum, in blocks")[1] == "1,500"
    assert cells(output, "our spectrum")[7] in ("yes", "no")


def test_memory_tokens_are_measured_on_the_same_texts(encoder_directory, texts):
    shown = run(
        "bench_memory_tokens.py", "--texts", texts, "--column", "body", "--encoder", encoder_directory
    )
    assert [cells(shown, str(slot))[0] for slot in range(1, 5)] == ["1", "2", "3", "4"]
    assert cells(shown, "mean")[4] == "1.000"  # the neighbours of the mean are those of the mean
    assert 0 <= float(cells(shown, "clusters, n_clusters 2")[1]) <= 1
    assert cells(shown, "0.8")[-1].startswith(("+", "-"))
    assert len(shown.splitlines()) > 40


@pytest.fixture(scope="module")
def shown(texts, encoder_directory, tmp_path_factory):
    """A collection for the front end."""
    folder = tmp_path_factory.mktemp("shown") / "shown"
    given = ["--text", "body", "--encoder", str(encoder_directory), "--into", str(folder)]
    line = [sys.executable, "-P", "-m", "app.cli", "index", str(texts), *given]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_topics_are_timed_stage_by_stage(shown):
    output = run("bench_topics.py", "--collection", shown, "--rounds", 1)
    for method in ("kmeans", "hdbscan"):
        lines = [line for line in output.splitlines() if line.startswith(f"| {method} | all: ")]
        assert len(lines) == 1 and lines[0].endswith(" s |")
    assert str(shown.parent) not in output


def test_every_page_is_measured_without_an_error(shown):
    output = run("bench_pages.py", "--collection", shown, "--rounds", 2, "--queries", 4, "--no-browser")
    for page in ("Search, nothing", "Map", "Topics", "Health", "Corpora", "Search, the first", "Map with"):
        assert cells(output, page)[9] == "0"
    assert cells(output, "4 different ones")[5] == "0"
    assert str(shown.parent) not in output


def test_people_searching_at_once_all_get_answers(shown):
    given = ["--people", 3, "--browsers", 0, "--queries", 9, "--hurried", 6, "--pause", 0.1]
    output = run("bench_load.py", "--collection", shown, *given)
    assert cells(output, "with pauses")[1:3] == ["9", "0"]
    assert cells(output, "without")[1:3] == ["6", "0"]
    assert str(shown.parent) not in output


@pytest.mark.parametrize(
    ("answered", "place"),
    [([0, 250, 900], 0), ([0, 999], 0), ([0, 499, 501, 1000], 2), ([0, 500, 1000], 1), ([0, 1000], 1)],
)
def test_memory_is_to_be_flat_from_the_first_sample_after_the_filling(monkeypatch, answered, place):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    assert importlib.import_module("bench_load")._place_filled(answered) == place


def test_memory_that_goes_on_growing_misses_the_target_and_early_growth_is_told(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    load = importlib.import_module("bench_load")
    at = [(0, 700), (500, 800), (1000, 820), (1500, 880)]
    for last, verdict in ((820, "yes"), (880, "no")):
        samples = [(done, min(size, last) * 2**20) for done, size in at]
        first = load.Load(seconds={"session": [0.1] * 1500}, memory=samples)
        row = cells(load._memory_table(first, load.Load()), "700 MiB")
        assert row[1] == "800 MiB" and row[2] == f"{last} MiB"
        assert row[4] == f"{100 * (last / 700 - 1):+.1f} %" and row[7].endswith(verdict)


def test_hybrid_names_its_legs(encoder_directory, tmp_path):
    folder = tmp_path / "sets" / "tiny"
    folder.mkdir(parents=True)
    documents = [f"the fox read book {n} about dogs" for n in range(12)]
    ids = [str(n) for n in range(12)]
    pq.write_table(pa.table({"id": ids, "title": [""] * 12, "text": documents}), folder / "corpus.parquet")
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["book 3", "book 7"]}), folder / "queries.parquet")
    judged = {"query_id": ["a", "b"], "corpus_id": ["3", "7"], "score": [1.0, 1.0], "split": ["test", "test"]}
    pq.write_table(pa.table(judged), folder / "qrels.parquet")
    common = ("--data", folder.parent, "--sets", "tiny", "--encoder", encoder_directory)
    output = run("bench_hybrid.py", *common, "--weight", 0, "--keep", tmp_path / "kept")
    name, size, words, _, hybrid, bm25, is_reached = cells(output, "tiny")
    assert size == "12 documents, 12 passages, 2 queries"
    assert (words, bm25) == ("100.0 / 100.0", "100.0")
    assert (hybrid, is_reached) == (words, "yes")  # words alone decide
    again = run("bench_hybrid.py", *common, "--weight", 1, "--keep", tmp_path / "kept")
    assert cells(again, "tiny")[4].split(" /")[0] == cells(again, "tiny")[3].split(" /")[0]  # vectors alone


def _catalogue(messages):
    """The bytes of a .mo file."""
    pairs = [(b"", b"Content-Type: text/plain; charset=UTF-8\n")]
    pairs += sorted((original.encode(), translation.encode()) for original, translation in messages)
    tables, data, at = [], b"", 28 + 16 * len(pairs)
    for column in (0, 1):
        for pair in pairs:
            tables += [len(pair[column]), at + len(data)]
            data += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + struct.pack(f"<{len(tables)}I", *tables) + data


def test_languages_finds_each_text_by_its_words(encoder_directory, tmp_path):
    folder = tmp_path / "locale" / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    messages = [
        (f"{'the file could not be opened by the program that was asked '}{n}", f"{f'wort{n} ' * 12}ende")
        for n in range(8)
    ]
    (folder / "tiny.mo").write_bytes(_catalogue([*messages, ("too short", "zu kurz")]))
    given = ["--locale", folder.parents[1], "--encoder", encoder_directory, "--items", 8]
    output = run("bench_languages.py", *given, "--languages", "de", "ru")
    row = cells(output, "de")
    assert row[1:3] == ["0%", "0%"]  # bytes have no unknown token
    assert row[5:7] == ["100.0", "100.0"]
    assert cells(output, "ru")[1] == "not run: 0 texts on this machine"
