"""Part index, the product around the GPU: what never reaches it, and what happens when it has no room or fails.

Every check asks a small real collection twice, with a GPU and without one, and compares the hits.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from accelerator import Accelerator
from numpy.typing import NDArray
from steps import Figure, NotRunError, Step, figure, told

from indexer.segments import ann_gpu
from indexer.segments.ann import AnnIndex
from indexer.segments.ann_gpu import GpuTwin, OpenTwin, open_twin, torch_twin
from indexer.segments.vector_file import VectorFile

_ROWS, _DIMENSION = 20_000, 256
_SMALL_ROWS, _SMALL_DIMENSION = 600, 16
_QUERIES = 40
_K = 10
_LEFT_BYTES = 8 << 20
_SEED = 20

Open = Callable[[VectorFile, AnnIndex | None], GpuTwin | None]


class _Vectors:
    """An encoder whose vector of the text "row 7" is row 7, float32 [D], of a made array."""

    name = "made"
    max_tokens = 16
    hybrid_weight = 1.0
    card: dict[str, Any] = {"name": "made"}

    def __init__(self, rows: int, dimension: int) -> None:
        made = np.random.default_rng(_SEED).standard_normal((rows, dimension)).astype(np.float32)
        self.vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
        self.dimension = dimension
        self.fingerprint = hashlib.sha256(f"made {rows} {dimension}".encode()).hexdigest()

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        return [np.array([[0, 3], [4, len(text)]], dtype=np.int64) for text in texts]

    def encode_query(self, texts: Sequence[str], **_: Any) -> NDArray[np.float32]:
        return self.vectors[[int(text.split()[1]) for text in texts]]

    encode_document = encode_query


@dataclass
class _Watched:
    """A copy on the GPU that counts the queries it gets, and fails behind so many calls."""

    twin: GpuTwin
    asked: int = 0
    calls: int = 0
    fails_after: int | None = None
    before: Callable[[], None] = lambda: None

    def can_search(self, depth: int, nprobe: int) -> bool:
        return self.twin.can_search(depth, nprobe)

    def candidates(self, queries: NDArray[np.float32], depth: int, nprobe: int) -> list[NDArray[np.int64]]:
        self.asked, self.calls = self.asked + len(queries), self.calls + 1
        self.before()
        if self.fails_after is not None and self.calls > self.fails_after:
            raise RuntimeError("the GPU was lost, as this benchmark made it")
        return self.twin.candidates(queries, depth, nprobe)


def product_steps(accelerator: Accelerator, folder: Path, forget: Callable[[], None]) -> list[Step]:
    """The checks.

    Args:
        accelerator: what is measured.
        folder: for the collections.
        forget: frees what other steps hold on the device.
    """
    checks = _Checks(accelerator, folder / "collections", forget)
    return [
        *(
            Step(f"index product, {kind}: filtered queries", partial(checks.filtered, kind))
            for kind in ("flat", "ivf-sq8")
        ),
        Step("index product: no room for a copy", checks.no_room),
        Step("index product: memory fills up in the middle", checks.memory_fills),
        Step("index product: the GPU fails in the middle", checks.fails_in_the_middle),
    ]


class _Checks:
    """The collections, and what is asked of them."""

    def __init__(self, accelerator: Accelerator, folder: Path, forget: Callable[[], None]) -> None:
        self._accelerator, self._folder, self._forget = accelerator, folder, forget
        size = (_SMALL_ROWS, _SMALL_DIMENSION) if accelerator.is_small else (_ROWS, _DIMENSION)
        self._encoder = _Vectors(*size)

    def filtered(self, kind: str) -> dict[str, Figure]:
        watched = self._watched(kind)
        collection = self._collection(kind)
        plain = self._hits(collection, lambda *_: watched)
        reached = watched.asked
        bound = len(self._encoder.vectors) // 3
        where = f"year < {bound}"
        filtered = self._hits(collection, lambda *_: watched, where=where)
        passed = all(year < bound for hits, _ in filtered for _, _, year in hits)
        alone = self._hits(collection, _none, where=where)
        return {
            "unfiltered queries that reached it": figure([reached], at_least=_QUERIES),
            "filtered queries that reached it": figure([watched.asked - reached], at_most=0),
            # An approximate index on a GPU rounds otherwise: its answers are compared, and need not be the same.
            "unfiltered: equal answers": self._equal(plain, self._hits(collection, _none))
            | {"at_least": 1 if kind == "flat" else None},
            "filtered: equal answers": self._equal(filtered, alone),
            "filtered: all hits pass the filter": figure([float(passed)], at_least=1),
        }

    def no_room(self) -> dict[str, Figure]:
        """Free memory is said to be 0, on a processor too: no copy is made."""
        import torch  # noqa: F401 - the product looks at the device's memory only where torch is loaded

        free, ann_gpu.free_bytes = ann_gpu.free_bytes, lambda: 0
        try:
            return self._compared(open_twin)
        finally:
            ann_gpu.free_bytes = free

    def memory_fills(self) -> dict[str, Figure]:
        """All but 8 MB of the device are taken between the copy's making and its first search."""
        if not self._accelerator.is_cuda:
            raise NotRunError("the processor's memory is not filled for a benchmark")
        import torch

        self._forget()
        watched, taken = self._watched("flat"), []

        def fill() -> None:
            while (room := (ann_gpu.free_bytes() or 0) - _LEFT_BYTES) > _LEFT_BYTES:
                try:
                    taken.append(torch.empty(min(room, 1 << 30), dtype=torch.uint8, device="cuda:0"))
                except torch.OutOfMemoryError:
                    return

        watched.before = fill
        try:
            return self._compared(lambda *_: watched)
        finally:
            taken.clear()

    def fails_in_the_middle(self) -> dict[str, Figure]:
        """The copy raises at its third call."""
        watched = self._watched("flat")
        watched.fails_after = 2
        found = self._compared(lambda *_: watched)
        return found | {"calls before it was given up": figure([watched.calls], at_most=3)}

    def _compared(self, opener: Open) -> dict[str, Figure]:
        collection = self._collection("flat")
        found = self._hits(collection, opener)
        notes = list(dict.fromkeys(note for _, notes in found for note in notes))
        equal = self._equal(found, self._hits(collection, _none))
        return {"equal answers": equal, "said with the answers": told("; ".join(notes) or "nothing")}

    def _watched(self, kind: str) -> _Watched:
        """A copy of the collection's one segment, as the product makes it on this device."""
        segment = self._snapshot(self._collection(kind), _none).segments[0]
        if self._accelerator.is_cuda:
            twin = open_twin(segment.vectors, segment.ann)
        elif segment.ann is None:
            twin = torch_twin(segment.vectors, "cpu", self._accelerator.free_bytes)
        else:
            twin = None
        if twin is None:
            raise NotRunError(f"no copy of a {kind} segment can be made here: that needs a GPU and faiss-gpu")
        return _Watched(twin)

    def _collection(self, kind: str) -> Any:
        import pyarrow as pa

        from indexer.collection import Collection
        from indexer.sources import open_sources

        count = len(self._encoder.vectors)
        path = self._folder / f"{kind}-{count}"
        if (path / "made").exists():
            return Collection.open(path)
        shutil.rmtree(path, ignore_errors=True)
        numbers = range(count)
        table = pa.table(
            {"id": [f"d{n}" for n in numbers], "text": [f"row {n}" for n in numbers], "year": list(numbers)}
        )
        collection = Collection.create(path, encoder=self._encoder, columns={"year": "int64"}, words="plain")
        collection.add(open_sources([table], text="text", id="id"), encoder=self._encoder, index=kind)
        if (found := self._snapshot(collection, _none).segments[0].entry.kind) != kind:
            raise NotRunError(f"the product made a {found} segment of these rows")
        (path / "made").touch()
        return collection

    def _snapshot(self, collection: Any, opener: OpenTwin) -> Any:
        from indexer.query.snapshot import Snapshot

        return Snapshot(collection, collection.publication(), opener)

    def _hits(self, collection: Any, opener: OpenTwin, where: str | None = None) -> list[tuple[Any, Any]]:
        """Hits (id, score, year) and notes of each query, asked one by one and then all at once."""
        from indexer.search import Searcher

        searcher = Searcher(collection, self._encoder)
        searcher._snapshot = self._snapshot(collection, opener)  # as the tests put a GPU into a search
        queries = list(self._encoder.vectors[: _QUERIES // 2])
        results = [searcher.search(query, _K, where=where) for query in queries]
        results += searcher.search_batch(queries, _K, where=where)
        return [
            (
                [(hit.id, round(hit.score, 6), hit.metadata["year"]) for hit in result.hits],
                result.provenance.notes,
            )
            for result in results
        ]

    def _equal(self, found: list[tuple[Any, Any]], expected: list[tuple[Any, Any]]) -> Figure:
        """The share of queries with equal hits."""
        same = [mine == other for (mine, _), (other, _) in zip(found, expected, strict=True)]
        return figure([sum(same) / len(same)], at_least=1)


def _none(_vectors: VectorFile, _ann: AnnIndex | None) -> None:
    return None
