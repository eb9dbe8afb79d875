"""How good is the bundled encoder on development sets, scored by their own `score.py`, beside simple peers?

The folder of `--eval` holds the sets and `score.py`, which calls `score_encoder:encode(texts, kind)` of this file.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import report
from machine import describe
from numpy.typing import NDArray

_ADAPTER = "score_encoder:encode"
# How the child is told what to load; the scored process is not ours to give options.
_SPEC, _DTYPE = "LLM2COMP_SCORED_ENCODER", "LLM2COMP_SCORED_DTYPE"
_TARGETS = {"sts_benchmark": 75.0, "cisi": 38.0}


def encode(texts: Sequence[str], kind: str) -> NDArray[np.float32]:
    """The adapter: unit vectors of queries or documents, float32 [N, D]."""
    encoder = _load(os.environ.get(_SPEC, "default"), os.environ.get(_DTYPE, "auto"))
    return encoder.encode_query(texts) if kind == "query" else encoder.encode_document(texts)


@functools.cache
def _load(spec: str, dtype: str) -> Any:
    from encoder import load_encoder

    return load_encoder(spec) if spec.startswith("st:") else load_encoder(spec, dtype=dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eval", type=Path, required=True, metavar="DIR", help="the sets and their score.py")
    parser.add_argument("--encoder", default="default", help="to score (default: the bundled one)")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16 or auto (default: auto)")
    parser.add_argument("--peers", nargs="*", default=["bm25", "lsa"], help="of score.py (default: bm25 lsa)")
    parser.add_argument("--only", nargs="+", help="names of sets (default: all)")
    report.add_out(parser, "encoder_scores")
    args = parser.parse_args()
    head = describe("llm2comp", "torch", "scikit-learn")
    card = _load(args.encoder, args.dtype).card
    began = time.monotonic()
    scores = _score(args)
    note = (
        f"Encoder {Path(args.encoder).name} ({card.get('fingerprint', '')[:12]}) on {card.get('computed_on', 'an unknown device')}; "
        f"{len(scores)} sets in {(time.monotonic() - began) / 60:.1f} min, peers included."
    )
    report.publish("Encoder scores", [head, note, _table(scores, args.peers)], args.out)


def _score(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Set to scores by name of the scored."""
    script = (args.eval / "score.py").resolve()
    environment = os.environ | {_SPEC: _absolute(args.encoder), _DTYPE: args.dtype}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scores.json"
        line = [sys.executable, str(script), _ADAPTER, *args.peers, "--json", str(file)]
        line += ["--only", *args.only] if args.only else []
        done = subprocess.run(
            line, cwd=Path(__file__).parent, env=environment, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            raise SystemExit(f"score.py ended with {done.returncode}")
        return json.loads(file.read_text(encoding="utf-8"))


def _absolute(spec: str) -> str:
    """The same encoder for a process that runs in another folder."""
    return str(Path(spec).resolve()) if Path(spec).is_dir() else spec


def _table(scores: dict[str, dict[str, float]], peers: Sequence[str]) -> str:
    rows = []
    for name, row in scores.items():
        task, label = name.split("/")
        target = _TARGETS.get(label)
        shown = "" if target is None else f">= {target:g}: {report.verdict(row[_ADAPTER] >= target)}"
        rows.append(
            [task, label, *(f"{row[who]:.1f}" if who in row else "-" for who in (_ADAPTER, *peers)), shown]
        )
    return report.table(["task", "set", "ours", *peers, "target"], rows)


if __name__ == "__main__":
    main()
