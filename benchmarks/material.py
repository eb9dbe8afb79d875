"""Texts to measure with: a column of a Parquet file, or the demo corpus that every machine can make."""

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_FEWEST_WORDS, _MOST_WORDS = 3, 40
_HELD_OUT_SHARE = 0.05
_BLOCK = 512
_SEED = 20


def read_texts(file: Path | None, column: str | None, folder: Path, rows: int | None = None) -> list[str]:
    """The texts that are not empty, in file order.

    Args:
        file: Parquet; None for the demo corpus, which is made in `folder`.
        column: of texts; "text" when None.
        folder: for the demo corpus.
        rows: most texts.
    """
    from pyarrow import parquet

    if file is None:
        from app.demo_corpus import write_demo_corpus

        file = folder / "demo.parquet"
        if rows is None:
            write_demo_corpus(file)
        else:
            write_demo_corpus(file, limit=rows)
    found = parquet.read_table(file, columns=[column or "text"]).column(0).to_pylist()
    return [text for text in found if text and text.strip()][:rows]


def source_label(file: Path | None, column: str | None) -> str:
    """What the texts are, without where they lie."""
    return "the demo corpus" if file is None else f"{file.name}, column {column or 'text'}"


def hold_out(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts to index and texts that stay out of the index, the last twentieth, for queries."""
    kept = max(1, len(texts) - max(1, round(_HELD_OUT_SHARE * len(texts))))
    return list(texts[:kept]), list(texts[kept:])


def cut_to_size(texts: Sequence[str], encoder: Any, window: int, passages: int) -> list[str]:
    """The first texts that make at least so many passages, or all of them.

    Args:
        texts: in file order.
        encoder: whose tokens count.
        window: tokens of a passage.
        passages: wanted; the last text may add a few more.
    """
    from indexer.documents import Document
    from indexer.passages.cut import cut_passages

    count = 0
    for start in range(0, len(texts), _BLOCK):
        documents = [
            Document(id=None, title="", text=text, metadata={}) for text in texts[start : start + _BLOCK]
        ]
        for number, cut in enumerate(cut_passages(documents, encoder, window=window, overlap=window // 8)):
            count += len(cut)
            if count >= passages:
                return list(texts[: start + number + 1])
    return list(texts)


def choose_queries(texts: Sequence[str], count: int) -> list[str]:
    """Sentences of a query's length, one of a text at most, chosen by a fixed seed and all different."""
    sentences = dict.fromkeys(
        " ".join(_SENTENCE_END.split(text.strip(), maxsplit=1)[0].split()) for text in texts
    )
    fitting = [line for line in sentences if _FEWEST_WORDS <= len(line.split()) <= _MOST_WORDS]
    return random.Random(_SEED).sample(fitting, min(count, len(fitting)))


def write_json(file: Path, value: Any) -> None:
    """Writes JSON that `read_json` reads."""
    file.write_text(json.dumps(value), encoding="utf-8")


def read_json(file: Path) -> Any:
    """Reads JSON."""
    return json.loads(file.read_text(encoding="utf-8"))
