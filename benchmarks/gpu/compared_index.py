"""What the steps of one size of an index share: rows, queries, the CPU's answers, and how a copy on the GPU is judged.

Shapes: N rows, Q queries, D dimension.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from accelerator import Accelerator, threads
from asking import DEPTH, TOGETHER, Ask, agreement, best_ten, speeds, together
from made_rows import MadeRows, make_queries
from numpy.typing import NDArray
from steps import Figure, NotRunError, figure

from indexer.segments.ann import AnnIndex
from indexer.segments.ann_gpu import GpuTwin, open_twin
from indexer.segments.faiss_module import load_faiss
from indexer.segments.vector_file import VECTOR_FILE, VectorFile

JUDGED = 128
SEED = 20
_ALONE, _SMALL_ALONE = 32, 4


class ComparedIndex:
    """One number of rows and one dimension.

    Args:
        accelerator: what is measured.
        made: the rows.
        folder: for files and answers of this size.
        rows: how many.
        dimension: numbers of a row.
    """

    def __init__(
        self, accelerator: Accelerator, made: MadeRows, folder: Path, rows: int, dimension: int
    ) -> None:
        self.accelerator, self.folder = accelerator, folder
        self.count, self.dimension = rows, dimension
        self._made = made

    def rows(self) -> Any:
        """The rows on the device, a torch tensor float16 [N, D]."""
        return self._made.of(self.count, self.dimension)

    def queries(self) -> NDArray[np.float32]:
        """As many queries as are asked at once, float32 [Q, D]."""
        return make_queries(self.rows(), TOGETHER)

    def vectors(self) -> VectorFile:
        """The product's vector file, which the CPU's step has written."""
        if not (self.folder / VECTOR_FILE).exists():
            raise NotRunError("the step of the CPU, which writes the vector file, did not run")
        return VectorFile(self.folder / VECTOR_FILE, self.count, self.dimension)

    def keep(self, name: str, answers: NDArray[np.int64]) -> None:
        """Keeps the CPU's answers, int64 [Q, 10], for the steps of the GPU."""
        self.folder.mkdir(parents=True, exist_ok=True)
        np.save(self.folder / f"{name}.npy", answers)

    def truth(self, name: str) -> NDArray[np.int64]:
        """The answers that were kept, int64 [Q, 10]."""
        file = self.folder / f"{name}.npy"
        if not file.exists():
            raise NotRunError("the step of the CPU, whose answers are the measure, did not run")
        return np.load(file)

    def on_processor(
        self, one: Callable[[NDArray[np.float32]], NDArray[np.int64]], name: str
    ) -> dict[str, Figure]:
        """Speed of the product on one thread; its answers are kept.

        Args:
            one: positions for a query float32 [D].
            name: of the answers.
        """
        queries, alone = self.queries(), _SMALL_ALONE if self.accelerator.is_small else _ALONE
        times = self.accelerator.seconds(lambda: [one(query) for query in queries[:alone]])
        self.keep(name, best_ten([one(query) for query in queries[:JUDGED]], self.rows(), queries[:JUDGED]))
        return {"one by one, one thread": figure([alone / taken for taken in times], "queries/s")}

    def on_all_threads(self, index: Any, nprobe: int | None = None) -> dict[str, Figure]:
        """Speed of FAISS itself with a whole batch, which is more than the product asks of it on a processor."""
        faiss = load_faiss()
        options = {} if nprobe is None else {"params": faiss.SearchParametersIVF(nprobe=nprobe)}

        def ask(asked: NDArray[np.float32]) -> Any:
            faiss.omp_set_num_threads(threads())  # a search of the product in this thread has set it to 1
            return index.search(asked, DEPTH, **options)[1]

        found = together(ask, self.queries(), self.accelerator)
        return {f"{name}, {threads()} threads": each for name, each in found.items()}

    def judge(
        self, twin: GpuTwin, truth: NDArray[np.int64], nprobe: int, *, is_twin: bool = True
    ) -> dict[str, Figure]:
        """Speed of an index on the GPU, and its overlap with the CPU's answers.

        Args:
            twin: the index.
            truth: int64 [Q, 10].
            nprobe: cells to visit.
            is_twin: the CPU has the same index; else the overlap is its recall and has no target.
        """
        ask: Ask = lambda queries: twin.candidates(queries, DEPTH, nprobe)  # noqa: E731
        alone = _SMALL_ALONE if self.accelerator.is_small else 4 * _ALONE
        queries = self.queries()
        overlaps = agreement(ask, self.rows(), queries, truth)
        if not is_twin:
            overlaps = {name: each | {"at_least": None} for name, each in overlaps.items()}
        return speeds(ask, queries, self.accelerator, alone=alone) | overlaps


def opened(vectors: VectorFile, ann: AnnIndex | None) -> GpuTwin:
    """The copy on the GPU that the product makes.

    Raises:
        NotRunError: it makes none.
    """
    twin = open_twin(vectors, ann)
    if twin is None:
        raise NotRunError("the product made no copy on the GPU")
    return twin
