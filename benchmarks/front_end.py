"""The front end in a process of its own on a copy of a collection, with a map and topics, and how much memory it has."""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from machine import ROOT
from material import read_texts

_NAME = "corpus"
_DEMO_DOCUMENTS = 400
_STATUS = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_FEWEST_WORDS, _MOST_WORDS = 3, 7
_PATIENCE_S = 30
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """A running front end.

    Attributes:
        address: as it prints it.
        collection: the copy that it shows.
        process: of the server.
    """

    address: str
    collection: Path
    process: subprocess.Popen[str]

    def memory(self) -> int | None:
        """Resident bytes of the server now; None where /proc is missing."""
        try:
            found = _STATUS.search(Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii"))
        except OSError:
            return None
        return None if found is None else 1024 * int(found[1])

    def processor_s(self) -> float | None:
        """Seconds of processor time that the server has used; None where /proc is missing."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def front_end(collection: Path | None, folder: Path) -> Iterator[FrontEnd]:
    """Serves a copy of a collection; a map and topics are made in the copy where it has none.

    Args:
        collection: to be shown; None for a small one of the demo corpus.
        folder: for the copy and the server's own files.

    Raises:
        SystemExit: it does not start.
    """
    home, log = folder / "home", folder / "server.log"
    copy = home / "collections" / _NAME
    environment = os.environ | {"LLM2COMP_HOME": str(home), "PYTHONPATH": str(ROOT)}
    _prepare(collection, copy, folder, environment)
    with log.open("w") as written:
        process = subprocess.Popen(
            [*_COMMAND, "app", "--port", "0", "--no-browser"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
        )
    try:
        address = process.stdout.readline().strip() if process.stdout else ""
        if not address.startswith("http://"):
            raise SystemExit(f"the front end did not start: {log.read_text()[-2000:]}")
        yield FrontEnd(address, copy, process)
    finally:
        process.terminate()
        process.wait(timeout=_PATIENCE_S)


_COMMAND = [sys.executable, "-P", "-m", "app.cli"]


def _prepare(collection: Path | None, copy: Path, folder: Path, environment: dict[str, str]) -> None:
    copy.parent.mkdir(parents=True)
    if collection is not None:
        shutil.copytree(collection, copy)
    else:
        import pyarrow as pa
        from pyarrow import parquet

        file = folder / "texts.parquet"
        parquet.write_table(pa.table({"text": read_texts(None, None, folder, _DEMO_DOCUMENTS)}), file)
        _run(["index", str(file), "--into", str(copy)], environment)
    for verb, method in (("map", "pca"), ("topics", "kmeans")):
        if not any((copy / "derived").glob(f"{verb}-*")):
            _run([verb, str(copy), "--method", method], environment)


def _run(arguments: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*_COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"llm2comp {arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")


def size_line(collection: Path) -> str:
    """How large a collection is, for the note above a table."""
    from indexer.collection import Collection

    info = Collection.open(collection).info()
    return f"{info['documents']:,} documents, {info['passages']:,} passages"


def draw_queries(collection: Path, number: int, seed: int = 0) -> list[str]:
    """Different queries of 3 to 7 words that stand together in a passage, so that all have answers.

    Args:
        collection: whose passages.
        number: of queries; fewer where there are no more.
        seed: of the draw.
    """
    from indexer.collection import Collection
    from indexer.search import Searcher
    from indexer.topics.describe import texts_of

    snapshot = Searcher(Collection.open(collection)).snapshot
    draw = random.Random(seed)
    texts = list(texts_of(snapshot, snapshot.row_ids()))
    found: dict[str, None] = {}
    for _ in range(50 * number):
        words, length = _LETTERS.findall(draw.choice(texts)), draw.randint(_FEWEST_WORDS, _MOST_WORDS)
        if len(words) > length:
            at = draw.randrange(len(words) - length)
            found[" ".join(words[at : at + length])] = None
        if len(found) == number:
            break
    return list(found)


def chromium_options() -> dict[str, object]:
    """How Playwright starts the browser of this machine, or its own where there is none."""
    executable = next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    return {"executable_path": executable, "args": ["--disable-gpu", "--no-sandbox"]}
