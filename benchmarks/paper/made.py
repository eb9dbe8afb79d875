"""Texts, pairs and development sets without meaning, for a trial of the study: words of a few subjects, from a seed."""

import io
import random
from pathlib import Path

from encoder.atomic import write_bytes

_SUBJECTS = {
    "sea": "ship wave harbour sailor tide anchor coast storm island net",
    "kitchen": "bread flour oven salt butter spoon recipe onion soup plate",
    "sky": "star planet moon comet orbit telescope night light cloud sun",
    "court": "judge law trial witness lawyer verdict jury appeal crime fine",
    "garden": "rose seed soil tree leaf rain spade bee fruit root",
    "music": "song violin piano choir note rhythm drum concert melody flute",
}
_BETWEEN = ["the", "of", "and", "near", "with", "under", "before", "after", "from", "beside"]
_TEXTS, _PAIRS = 300, 120


def make_material(folder: Path) -> tuple[Path, Path]:
    """Writes training files and development sets, the same at every call; files that are there stay.

    Returns:
        The folders for --data and --eval.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(0)
    names = list(_SUBJECTS)
    tables = {
        "data/text": {"text": [_text(rng, rng.choice(names), 40) for _ in range(_TEXTS)]},
        "data/pairs": _pairs(rng, names),
        "sets/graded": _graded(rng, names),
        "sets/labelled": _labelled(rng, names) | {"split": ["train", "test"] * 30},
        "sets/grouped": _labelled(rng, names),
        **_search(rng, names),
    }
    for name, columns in tables.items():
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # another process may read it
            content = io.BytesIO()
            pq.write_table(pa.table(columns), content)
            write_bytes(path, content.getvalue())
    return folder / "data", folder / "sets"


def _text(rng: random.Random, subject: str, words: int) -> str:
    own = _SUBJECTS[subject].split()
    return " ".join(rng.choice(own if rng.random() < 0.6 else _BETWEEN) for _ in range(words)) + "."


def _pairs(rng: random.Random, names: list[str]) -> dict[str, list[str]]:
    subjects = [rng.choice(names) for _ in range(_PAIRS)]
    return {
        "anchor": [_text(rng, subject, 5) for subject in subjects],
        "positive": [_text(rng, subject, 20) for subject in subjects],
    }


def _graded(rng: random.Random, names: list[str]) -> dict[str, list[object]]:
    rows = [(rng.choice(names), rng.choice(names)) for _ in range(60)]
    return {
        "sentence1": [_text(rng, left, 8) for left, _ in rows],
        "sentence2": [_text(rng, right, 8) for _, right in rows],
        "score": [5.0 if left == right else 0.0 for left, right in rows],
        "split": ["test"] * len(rows),
    }


def _labelled(rng: random.Random, names: list[str]) -> dict[str, list[str]]:
    labels = [names[number // 2 % len(names)] for number in range(60)]
    return {"text": [_text(rng, label, 8) for label in labels], "label": labels}


def _search(rng: random.Random, names: list[str]) -> dict[str, dict[str, list[object]]]:
    subjects = [names[number % len(names)] for number in range(60)]
    wanted = [(f"q{number}", f"d{number}") for number in range(20)]
    return {
        "sets/search/corpus": {
            "id": [f"d{number}" for number in range(60)],
            "title": [f"{subject} {number}" for number, subject in enumerate(subjects)],
            "text": [_text(rng, subject, 20) for subject in subjects],
        },
        "sets/search/queries": {
            "id": [query for query, _ in wanted],
            "text": [f"{subjects[number]} {number}" for number in range(20)],
        },
        "sets/search/qrels": {
            "query_id": [query for query, _ in wanted],
            "corpus_id": [document for _, document in wanted],
            "score": [1.0] * len(wanted),
            "split": ["test"] * len(wanted),
        },
    }
