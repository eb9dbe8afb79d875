"""Does hybrid search find what the better of its two legs finds? Through our own engine, on judged sets.

Every set becomes a collection, titles and all, and every test query is asked by words, by vector and by both, with the
weight stored in the encoder. The passages of a document count as the document. Beside it stands BM25 of `llm2comp eval`.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import report
from child import one_thread
from machine import describe

_SETS = ("scifact", "cisi")
_MODES = {"words": "keyword", "dense": "semantic", "hybrid": "hybrid"}
_DEPTH = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of sets, as `llm2comp eval` reads them",
    )
    parser.add_argument("--sets", nargs="+", default=_SETS, metavar="NAME", help="(default: scifact cisi)")
    parser.add_argument("--encoder", default="default", help="encoder (default: the bundled one)")
    parser.add_argument("--weight", type=float, help="of the dense part (default: the encoder's own)")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="leave the collections here, or take them from it"
    )
    report.add_out(parser, "hybrid")
    args = parser.parse_args()
    one_thread()
    head = describe("llm2comp", "torch", "pylance", "faiss-cpu")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = {
            name: _measure(args.data / name, folder / name, args.encoder, args.weight) for name in args.sets
        }
    weights = {name: one["weight"] for name, one in found.items()}
    note = (
        f"Encoder {Path(args.encoder).name}, weight of the dense part "
        f"{', '.join(f'{weight:g}' for weight in sorted(set(weights.values())))}; every vector compared (exact). "
        f"Figures times 100: nDCG@{_DEPTH}, and recall@{_DEPTH}, which is the mean share of a query's relevant documents "
        f"among the first {_DEPTH}."
    )
    report.publish("Hybrid search", [head, note, _table(found), _wins(found)], args.out)


def _measure(place: Path, into: Path, spec: str, weight: float | None) -> dict[str, Any]:
    """The figures of one set: of each way of asking its mean nDCG and recall, and nDCG of every query."""
    from encoder import load_encoder
    from indexer.search import Searcher
    from train.evaluation.baselines import score_bm25
    from train.evaluation.tasks import RetrievalTask, read_tasks

    task = read_tasks(place)[0]
    if not isinstance(task, RetrievalTask):
        raise SystemExit(f"{place} is no retrieval set")
    encoder = load_encoder(spec)
    searcher = Searcher(_collection(place / "corpus.parquet", into, encoder, weight), encoder)
    found: dict[str, Any] = {
        "weight": searcher.snapshot.collection.settings.hybrid_weight,
        "documents": len(task.documents),
        "passages": searcher.snapshot.rows,
        "bm25": score_bm25(task),
    }
    for name, mode in _MODES.items():
        results = searcher.search_batch(list(task.queries), _DEPTH, mode=mode, exact=True)
        found[name] = _figures([[hit.document_id for hit in result.hits] for result in results], task)
    return found


def _collection(corpus: Path, into: Path, encoder: Any, weight: float | None) -> Any:
    """The set as a collection; one that is there already is taken as it is, but for the weight."""
    from indexer import Collection
    from indexer.sources import open_sources

    if into.exists():
        collection = Collection.open(into)
    else:
        collection = Collection.create(into, encoder=encoder)
        source = open_sources([corpus], text="text", title="title", id="id", metadata=[])
        collection.add(source, encoder=encoder)
    wanted = encoder.hybrid_weight if weight is None else weight
    return Collection(into, replace(collection.settings, hybrid_weight=wanted))


def _figures(rankings: Sequence[Sequence[str]], task: Any) -> dict[str, Any]:
    """Means over the queries, times 100, and the gains they are made of."""
    from encoder.metrics import ndcg_at_k

    gains = [
        ndcg_at_k(list(ranking), judged, _DEPTH)
        for ranking, judged in zip(rankings, task.judgements, strict=True)
    ]
    recalls = [
        len(set(ranking) & set(judged)) / len(judged)
        for ranking, judged in zip(rankings, task.judgements, strict=True)
    ]
    return {
        "ndcg": 100 * sum(gains) / len(gains),
        "recall": 100 * sum(recalls) / len(recalls),
        "gains": gains,
    }


def _table(found: dict[str, dict[str, Any]]) -> str:
    rows = [
        [
            name,
            f"{one['documents']:,} documents, {one['passages']:,} passages, {len(one['words']['gains'])} queries",
            *(f"{one[way]['ndcg']:.1f} / {one[way]['recall']:.1f}" for way in _MODES),
            report.number(one["bm25"]),
            report.verdict(one["hybrid"]["ndcg"] >= max(one["words"]["ndcg"], one["dense"]["ndcg"])),
        ]
        for name, one in found.items()
    ]
    header = ["set", "size", *(f"{way}: nDCG / recall" for way in _MODES), "BM25 of eval: nDCG"]
    return report.table([*header, "hybrid not below the better leg"], rows)


def _wins(found: dict[str, dict[str, Any]]) -> str:
    """How sure the difference is: hybrid against its better leg, query by query."""
    rows = []
    for name, one in found.items():
        better = max(("words", "dense"), key=lambda way: one[way]["ndcg"])
        differences = [
            both - leg for both, leg in zip(one["hybrid"]["gains"], one[better]["gains"], strict=True)
        ]
        error = pstdev(differences) / len(differences) ** 0.5
        rows.append(
            [
                name,
                better,
                f"{100 * mean(differences):+.1f} ± {100 * error:.1f}",
                sum(difference > 1e-9 for difference in differences),
                sum(difference < -1e-9 for difference in differences),
            ]
        )
    header = ["set", "better leg", "hybrid less it, nDCG ± standard error", "queries won", "queries lost"]
    return "Query by query:\n\n" + report.table(header, rows)


if __name__ == "__main__":
    main()
