"""Those that answer queries in `bench_query.py`: how each is built from one collection, and how it is asked.

Everyone gets the same passages and the same stored vectors, and hands back ids after fetching the texts of the hits.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plain_faiss
from numpy.typing import NDArray

TABLE, VECTORS, QUERY_VECTORS = "passages.parquet", "vectors.npy", "queries.npy"
K = 10
# With their scores: lancedb else writes a warning at every query, which would cost it time.
_LANCEDB_COLUMNS = {
    "dense": ["id", "text", "_distance"],
    "keyword": ["id", "text", "_score"],
    "hybrid": ["id", "text"],
}

# Text and vector of a query -> ids of the hits, and the milliseconds of its steps where the contender tells them.
Ask = Callable[[str, NDArray[np.float32]], tuple[list[str], dict[str, float]]]


@dataclass(frozen=True)
class Contender:
    """One way to search.

    Attributes:
        name: in the table.
        kind: "dense" (a vector is given), "keyword" or "hybrid" (encoding included).
        build: makes `folder` from (collection, material), None where another contender's is used.
        open: gives the function that answers, from (folder, encoder spec).
        place: folder that holds what was built.
        target_ms: p50 wanted.
    """

    name: str
    kind: str
    build: Callable[[Path, Path, Path], None] | None
    open: Callable[[Path, str], Ask]
    place: str
    target_ms: float | None = None


def _build_ours(index: str) -> Callable[[Path, Path, Path], None]:
    def build(_collection: Path, _material: Path, folder: Path) -> None:
        from indexer import Collection
        from indexer.rebuild import rebuild_index

        publication = rebuild_index(Collection.open(folder), index=index)
        kinds = {entry.kind for entry in publication.segments}
        if index != "flat" and kinds != {index}:
            raise ValueError(f"no {index} index was made of these rows")

    return build


def prepare(contender: Contender, collection: Path, folder: Path) -> None:
    """Copies the collection where a contender of ours builds in it; this is not part of its build time."""
    if contender.place.startswith("ours"):
        shutil.copytree(collection, folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)


def _open_ours(mode: str) -> Callable[[Path, str], Ask]:
    def opener(folder: Path, spec: str) -> Ask:
        from indexer import Collection, Searcher

        searcher = Searcher(Collection.open(folder), _encoder(spec) if mode == "hybrid" else None)

        def ask(text: str, vector: NDArray[np.float32]) -> tuple[list[str], dict[str, float]]:
            if mode == "semantic":
                found = searcher.search(vector, K, mode="semantic", by="passage")
            else:
                found = searcher.search(text, K, mode=mode)
            return [hit.id for hit in found.hits], found.provenance.milliseconds

        return ask

    return opener


def _encoder(spec: str) -> Any:
    import torch

    from encoder import load_encoder

    torch.set_num_threads(1)
    return load_encoder(spec)


def _build_lancedb(*, indexed: bool) -> Callable[[Path, Path, Path], None]:
    def build(_collection: Path, material: Path, folder: Path) -> None:
        import lancedb
        import pyarrow as pa
        from pyarrow import parquet

        vectors = np.load(material / VECTORS)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
        rows = parquet.read_table(material / TABLE).append_column("vector", column)
        table = lancedb.connect(str(folder)).create_table("passages", rows)
        if indexed:
            table.create_index(metric="dot", vector_column_name="vector")
            if not table.list_indices():
                raise ValueError("lancedb made no index of so few rows")
        else:
            table.create_fts_index("text")

    return build


def _open_lancedb(kind: str, refine: int | None = None) -> Callable[[Path, str], Ask]:
    def opener(folder: Path, spec: str) -> Ask:
        os.environ["LANCEDB_LOG"] = "error"  # the same warning, where the scores cannot be asked for
        import lancedb

        table = lancedb.connect(str(folder)).open_table("passages")
        encoder = _encoder(spec) if kind == "hybrid" else None

        def ask(text: str, vector: NDArray[np.float32]) -> tuple[list[str], dict[str, float]]:
            if encoder is not None:
                vector = encoder.encode_query([text])[0]
                query = (
                    table.search(query_type="hybrid", vector_column_name="vector").vector(vector).text(text)
                )
            elif kind == "keyword":
                query = table.search(text, query_type="fts")
            else:
                query = table.search(vector, vector_column_name="vector").distance_type("dot")
                query = query if refine is None else query.refine_factor(refine)
            found = query.select(_LANCEDB_COLUMNS[kind]).limit(K).to_arrow()
            return found["id"].to_pylist(), {}

        return ask

    return opener


def _build_plain(_collection: Path, material: Path, folder: Path) -> None:
    plain_faiss.build(material / TABLE, material / VECTORS, folder)


def _open_plain(folder: Path, _spec: str) -> Ask:
    search = plain_faiss.open_search(folder)
    return lambda _text, vector: (search(vector, K), {})


# The word index of ours-flat also serves hybrid and keyword; the table lancedb-words has vectors without an index.
CONTENDERS = (
    Contender("ours: flat", "dense", _build_ours("flat"), _open_ours("semantic"), "ours-flat", 6),
    Contender("ours: rabitq", "dense", _build_ours("rabitq"), _open_ours("semantic"), "ours-rabitq", 3),
    Contender(
        "lancedb: no index, exact",
        "dense",
        _build_lancedb(indexed=False),
        _open_lancedb("dense"),
        "lancedb-words",
    ),
    Contender(
        "lancedb: IVF_PQ, defaults",
        "dense",
        _build_lancedb(indexed=True),
        _open_lancedb("dense"),
        "lancedb-ivf",
    ),
    Contender("lancedb: IVF_PQ, refine factor 10", "dense", None, _open_lancedb("dense", 10), "lancedb-ivf"),
    Contender("FAISS IndexFlatIP and pandas", "dense", _build_plain, _open_plain, "plain"),
    Contender("ours: keyword", "keyword", None, _open_ours("keyword"), "ours-flat"),
    Contender("lancedb: full text", "keyword", None, _open_lancedb("keyword"), "lancedb-words"),
    Contender("ours: hybrid", "hybrid", None, _open_ours("hybrid"), "ours-flat", 60),
    Contender("lancedb: hybrid, our encoder", "hybrid", None, _open_lancedb("hybrid"), "lancedb-words"),
)
