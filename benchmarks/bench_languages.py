"""What search finds of texts in other languages and alphabets than the encoder was made for.

Texts are the translated messages of the programs on this machine (`/usr/share/locale`), the same number of each
language. Two questions of each: is a text found by its middle third, and is it found by its English original?
"""

import argparse
import gettext
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import report
from child import one_thread
from machine import describe

_LANGUAGES = "en de fr es it pl tr vi ru uk el he ar hi th ko ja zh_CN"
_MODES = ("semantic", "keyword", "hybrid")
_LEAST_CHARACTERS = 60  # of the English original: less says nothing
_MOST_CHARACTERS = 600
# What the query syntax would read as conditions.
_SYNTAX = str.maketrans(dict.fromkeys("\"+-()|*^~:'`", " "))

Message = tuple[str, str]  # English original, translation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="default", help="encoder directory (default: the bundled one)")
    parser.add_argument(
        "--locale", type=Path, default=Path("/usr/share/locale"), help="folder of the catalogues"
    )
    parser.add_argument("--languages", nargs="+", default=_LANGUAGES.split(), metavar="CODE")
    parser.add_argument("--items", type=int, default=400, help="texts of each language (default: 400)")
    report.add_out(parser, "languages")
    args = parser.parse_args()
    one_thread()
    head = describe("llm2comp", "torch")
    from encoder import load_encoder

    encoder = load_encoder(args.encoder, device="cpu")
    rows = []
    for code in args.languages:
        messages = read_messages(args.locale, code)
        random.Random(0).shuffle(messages)
        items = messages[: args.items]
        if len(items) < args.items:
            rows.append([code, f"not run: {len(items)} texts on this machine", *[""] * 8])
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows.append([code, *_measure(encoder, items, Path(folder) / "texts")])
    note = (
        f"Encoder `{args.encoder}`, {args.items} program messages of each language ({_LEAST_CHARACTERS} to "
        f"{_MOST_CHARACTERS} characters in English). Unknown tokens tell the encoder nothing, see `encoder.unknown`; "
        "`mostly` is the share of texts in which most tokens are. Recall in per cent: of the whole text by its "
        "middle third in three modes, and by its English original by meaning."
    )
    columns = ["language", "unknown tokens", "mostly"]
    columns += [f"{mode} @{depth}" for mode in _MODES for depth in (1, 10)] + ["from English @1", "@10"]
    report.publish("Languages", [head, note, report.table(columns, rows)], args.out)


def read_messages(locale: Path, code: str) -> list[Message]:
    """The distinct long messages of all catalogues of a language, in a lasting order; for "en" those of German."""
    folder = locale / ("de" if code == "en" else code) / "LC_MESSAGES"
    found: dict[str, Message] = {}
    for file in sorted(folder.glob("*.mo")):
        for original, translation in _catalogue(file):
            text = original if code == "en" else translation
            if _LEAST_CHARACTERS <= len(original) <= _MOST_CHARACTERS and (code == "en" or original != text):
                found.setdefault(text, (original, text))
    return [found[text] for text in sorted(found)]


def _catalogue(file: Path) -> Iterator[Message]:
    try:
        with file.open("rb") as stream:
            catalogue: Any = gettext.GNUTranslations(stream)
    except (OSError, ValueError):
        return
    for original, translation in vars(catalogue)["_catalog"].items():
        if isinstance(original, str) and isinstance(translation, str):
            yield " ".join(original.rpartition("\x04")[2].split()), " ".join(translation.split())


def middle(text: str) -> str:
    """The middle third of a text: of its words, or of its characters where it has few words."""
    words = text.split()
    parts: Sequence[str] = words if len(words) >= 9 else text
    third = parts[len(parts) // 3 : 2 * len(parts) // 3]
    return " ".join(third.split()) if isinstance(third, str) else " ".join(third)


def _measure(encoder: Any, items: list[Message], place: Path) -> list[str]:
    """The cells of one language."""
    import pandas as pd

    from encoder.stats import EncodingStats
    from indexer.collection import Collection
    from indexer.search import Searcher
    from indexer.sources import open_sources

    table = pd.DataFrame({"id": [f"n{n}" for n in range(len(items))], "text": [text for _, text in items]})
    source = open_sources([table], text="text", id="id")
    collection = Collection.create(place, encoder=encoder, columns=source.columns)
    collection.add(source, encoder=encoder)
    searcher, stats = Searcher(collection, encoder), EncodingStats()
    encoder.encode_document([text for _, text in items], stats=stats)
    queries = [middle(text).translate(_SYNTAX) for _, text in items]
    cells = [f"{stats.unknown / stats.tokens:.0%}", f"{len(stats.mostly_unknown) / len(items):.0%}"]
    for mode in _MODES:
        cells += _recall(searcher, queries, mode)
    return cells + _recall(searcher, [original for original, _ in items], "semantic")


def _recall(searcher: Any, queries: list[str], mode: str) -> list[str]:
    """Recall at 1 and at 10 of the text with the number of the query, in per cent."""
    ranks = []
    for number, result in enumerate(searcher.search_batch(queries, 10, mode=mode)):
        found = [hit.document_id for hit in result.hits]
        ranks.append(found.index(f"n{number}") if f"n{number}" in found else 10)
    return [f"{100 * sum(rank < depth for rank in ranks) / len(ranks):.1f}" for depth in (1, 10)]


if __name__ == "__main__":
    main()
