"""Does a killed indexing job lose or double anything? `kill -9` at random moments, then a comparison.

    python -m benchmarks.kill_test                       20 kills with the bundled encoder
    python -m benchmarks.kill_test --encoder words       with the fake encoder of the tests (fast)

A job indexes a file, then a second one in which a third of the documents has another text, a third other metadata
and some are gone (`--mirror`). It is killed at random moments and started again until it is through; when there
were too few kills the whole begins anew in another folder. In the end every row, vector and answer is compared
with those of a job that nobody disturbed. Prints a table; exit code 1 when anything differs.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Then the job is left in peace and the next begins, since what is stored stays and later kills would meet only the end.
_KILLS_PER_FILE = 3
_WORDS = [
    "ant",
    "bee",
    "cow",
    "dog",
    "elk",
    "fox",
    "gnu",
    "hen",
    "ibis",
    "jay",
    "koi",
    "lynx",
    "mole",
    "newt",
    "owl",
    "pig",
    "quail",
    "rat",
    "seal",
    "toad",
]


# Passage id and row id to all that a reader sees of the row.
Rows = dict[tuple[str, int], dict[str, Any]]


@dataclass
class Outcome:
    """What happened over all rounds.

    Attributes:
        rows: of the table: round, file, seconds until the kill, rows stored, rows published.
        differences: sentences; empty when nothing was lost or doubled.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def main() -> int:
    """Runs the kills that the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--encoder", default="default", help="encoder spec, or `words`")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--job", nargs=3, metavar=("FOLDER", "FILE", "MIRROR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        folder, file, mirror = arguments.job
        run_job(folder, file, mirror, arguments.encoder)
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill_often(
            Path(folder), arguments.kills, arguments.documents, arguments.encoder, arguments.seed
        )
    show(outcome, time.monotonic() - began)
    return 1 if outcome.differences else 0


def load(spec: str) -> Any:
    """The encoder, or the fake one."""
    if spec == "words":
        from tests.conftest import WordEmbedder

        return WordEmbedder()
    from encoder import load_encoder

    return load_encoder(spec)


def run_job(folder: str, file: str, mirror: str, spec: str) -> None:
    """The child: what `llm2comp index FILE --into FOLDER [--mirror]` does, with smaller commits."""
    from indexer.collection import Collection
    from indexer.ingest import job as ingest
    from indexer.sources import open_sources
    from indexer.storage.manifest import SETTINGS_FILE

    ingest._BLOCK_PASSAGES, ingest._COMMIT_PASSAGES = 128, 256
    encoder = load(spec)
    encoder.encode_query(["warm"])
    print("begin", flush=True)
    source = open_sources([file], text="text", id="id")
    source.name = "the file"  # both files are one source, so that it can be mirrored
    if (Path(folder) / SETTINGS_FILE).exists():
        collection = Collection.open(folder)
    else:
        collection = Collection.create(folder, encoder=encoder, columns=source.columns)
    collection.add(source, encoder=encoder, mirror=mirror == "mirror")
    print("done", flush=True)


def kill_often(folder: Path, kills: int, documents: int, spec: str, seed: int) -> Outcome:
    """Kills jobs `kills` times; returns the outcome."""
    rng = random.Random(seed)
    files = write_files(folder, documents, rng)
    whole, durations = folder / "undisturbed", []
    for file, mirror in files:
        durations.append(start(whole, file, mirror, spec, None)[1])
    expected, made_by, outcome, round_number = rows_of(whole), fingerprint_of(whole), Outcome(), 0
    while len(outcome.rows) < kills:
        round_number += 1
        disturbed = folder / f"round-{round_number}"
        for number, (file, mirror) in enumerate(files):
            for _ in range(min(_KILLS_PER_FILE, kills - len(outcome.rows))):
                is_through, after_s = start(disturbed, file, mirror, spec, rng.uniform(0, durations[number]))
                if is_through:  # the first job may have met a busier machine
                    durations[number] = min(durations[number], after_s)
                    break
                outcome.rows.append((round_number, file.name, round(after_s, 2), *sizes(disturbed)))
                outcome.differences += [
                    f"round {round_number}, {what}" for what in broken_promises(disturbed)
                ]
            start(disturbed, file, mirror, spec, None)
        if fingerprint_of(disturbed) != made_by:
            raise SystemExit(
                "the encoder was replaced meanwhile; give one that stays as it is with --encoder"
            )
        found = differences(expected, rows_of(disturbed), disturbed)
        outcome.differences += [f"round {round_number}, {what}" for what in found]
    return outcome


def fingerprint_of(folder: Path) -> str:
    """Of the encoder that made the collection."""
    from indexer.collection import Collection

    return Collection.open(folder).settings.encoder_fingerprint


def write_files(folder: Path, documents: int, rng: random.Random) -> list[tuple[Path, str]]:
    """The first state of the corpus, and a later one."""
    first = [
        {"id": f"d{n}", "text": " ".join(rng.choices(_WORDS, k=rng.randint(5, 60))), "year": 2000 + n % 20}
        for n in range(documents)
    ]
    second = []
    for number, row in enumerate(first):
        if number % 10 == 9:
            continue
        if number % 3 == 1:
            row = {**row, "text": f"{row['text']} changed"}
        elif number % 3 == 2:
            row = {**row, "year": 1900}
        second.append(row)
    files = []
    for name, rows in (("first.jsonl", first), ("second.jsonl", second)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        files.append((folder / name, "mirror" if rows is second else "keep"))
    return files


def start(folder: Path, file: Path, mirror: str, spec: str, kill_after_s: float | None) -> tuple[bool, float]:
    """Runs one job; returns whether it came to its end, and its seconds after loading the encoder."""
    command = [sys.executable, "-m", "benchmarks.kill_test", "--encoder", spec, "--job"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command += [str(folder), str(file), mirror]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    with child:
        if child.stdout is None or child.stdout.readline() != b"begin\n":
            raise SystemExit(f"the job did not begin: {child.wait()}")
        began = time.monotonic()
        if kill_after_s is not None:
            try:
                child.wait(kill_after_s)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
        code = child.wait()
        if code not in (0, -signal.SIGKILL):
            raise SystemExit(f"the job failed with {code}")
        return code == 0, time.monotonic() - began


def rows_of(folder: Path) -> Rows:
    """Every stored passage: id to all that a reader sees of it."""
    from indexer.collection import Collection

    store = Collection.open(folder).open_rows()
    rows = {}
    for batch in store.scan(store.schema.names):
        for row in batch.to_pylist():
            number = row.pop("_rowid")
            row.pop("ingest_id")
            row["vec"] = tuple(row["vec"])
            rows[row["id"], number] = row
    return rows


def sizes(folder: Path) -> tuple[int | str, int]:
    """Rows stored and rows published, as text."""
    from encoder.errors import CollectionError
    from indexer.collection import Collection

    try:
        collection = Collection.open(folder)
        publication = collection.publication()
        return collection.open_rows().count(), publication.passages if publication else 0
    except CollectionError:
        return "not made yet", 0


def broken_promises(folder: Path) -> list[str]:
    """What a reader would find wrong right after a kill."""
    from encoder.errors import CollectionError
    from indexer.collection import Collection

    try:
        collection = Collection.open(folder)
    except CollectionError as error:
        return [] if "no collection" in error.what or "not a collection" in error.what else [error.what]
    if collection.publication() is None:
        return []
    return [f"after a kill: {finding.what}" for finding in collection.verify()]


def differences(expected: Rows, found: Rows, folder: Path) -> list[str]:
    """Sentences on what was lost, doubled or changed."""
    from indexer.collection import Collection

    wanted, held = {row["id"]: row for row in expected.values()}, {row["id"]: row for row in found.values()}
    sentences = [f"lost: {name}" for name in wanted.keys() - held.keys()]
    sentences += [f"too much: {name}" for name in held.keys() - wanted.keys()]
    sentences += [f"doubled: {name}" for name, n in Counter(name for name, _ in found).items() if n > 1]
    sentences += [f"changed: {name}" for name in wanted.keys() & held.keys() if wanted[name] != held[name]]
    collection = Collection.open(folder)
    sentences += [f"verify: {finding.what}" for finding in collection.verify()]
    published = collection.info()["passages"]
    if published != len(wanted):
        sentences.append(f"{published} passages published, {len(wanted)} expected")
    return sentences


def show(outcome: Outcome, seconds: float) -> None:
    """The table, and the verdict."""
    print("| kill | round | file | after s | rows stored | rows published |\n|---|---|---|---|---|---|")
    for number, row in enumerate(outcome.rows, 1):
        print(f"| {number} | {' | '.join(map(str, row))} |")
    print(f"\n{len(outcome.rows)} kills in {seconds:.0f} s: ", end="")
    print("nothing lost, nothing doubled, verify silent" if not outcome.differences else "FAILED")
    kinds = Counter(sentence.split(":")[0] for sentence in outcome.differences)
    for kind, count in kinds.items():
        first = next(sentence for sentence in outcome.differences if sentence.split(":")[0] == kind)
        print(f"- {count} x {kind}; first: {first}")


if __name__ == "__main__":
    sys.exit(main())
