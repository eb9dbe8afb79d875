"""Approximate candidates by FAISS: the kinds `rabitq` and `ivf-sq8`, built, saved, searched.

Candidates only: whoever asks reranks them exactly (`indexer.segments.vector_file.exact_scores`).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import CollectionError
from indexer.segments.faiss_module import load_faiss
from indexer.segments.vector_file import VectorFile
from indexer.storage import manifest

ANN_FILE = "ann.faiss"
ROTATION_FILE = "rotation.f32"
KINDS = ("auto", *manifest.KINDS)
# One core scans about 25 GB/s, so an exact scan of this many bytes takes about 20 ms.
FLAT_BYTES = 500_000_000
_TRAIN_ROWS_PER_CELL = 64
_BLOCK = 16384


@dataclass(slots=True)
class AnnIndex:
    """A loaded approximate index.

    Attributes:
        kind: "rabitq" or "ivf-sq8".
        index: the FAISS index.
        rotation: float32 [D, D] applied to rows and queries; None for ivf-sq8.
        cells: cells of an IVF index, 0 for rabitq.
    """

    kind: str
    index: Any
    rotation: NDArray[np.float32] | None
    cells: int

    def candidates(
        self, query: NDArray[np.float32], depth: int, nprobe: int, allowed: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """Positions of about the best `depth` rows, best first; never a row that is not allowed.

        Args:
            query: float32 [D].
            depth: most positions.
            nprobe: cells to visit; ignored by rabitq.
            allowed: bool [rows]; None for all.
        """
        faiss = load_faiss()
        faiss.omp_set_num_threads(1)
        bitmap = None if allowed is None else np.packbits(allowed, bitorder="little")
        selector = None if allowed is None else faiss.IDSelectorBitmap(allowed.size, faiss.swig_ptr(bitmap))
        if self.rotation is not None:
            parameters = faiss.RaBitQSearchParameters(sel=selector, qb=8, centered=False)
            turned = query @ self.rotation
        else:
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=nprobe)
            turned = query
        found = self.index.search(turned[None], min(depth, self.index.ntotal), params=parameters)[1][0]
        found = found[found >= 0]
        # Cheap, and true whatever the backend does.
        return found if allowed is None else found[allowed[found]]


def choose_kind(requested: str, rows: int, dimension: int) -> str:
    """The kind to build.

    Args:
        requested: one of `KINDS`.
        rows: vectors.
        dimension: numbers per vector.
    """
    if requested != "auto":
        return requested
    return "flat" if 2 * rows * dimension <= FLAT_BYTES else "rabitq"


def build_ann(kind: str, vectors: VectorFile, seed: int) -> AnnIndex:
    """Trains and fills an index; the same vectors and seed give the same file.

    Args:
        kind: "rabitq" or "ivf-sq8".
        vectors: rows to index.
        seed: of rotation and training sample.
    """
    return _build_rabitq(vectors, seed) if kind == "rabitq" else _build_ivf(vectors, seed)


def _build_rabitq(vectors: VectorFile, seed: int) -> AnnIndex:
    faiss = load_faiss()
    rotation = _random_rotation(vectors.dimension, seed)
    index = faiss.IndexRaBitQ(vectors.dimension, faiss.METRIC_INNER_PRODUCT)
    index.train(_sample(vectors, 65536, seed) @ rotation)
    for start in range(0, vectors.rows, _BLOCK):
        index.add(vectors.block(start, min(start + _BLOCK, vectors.rows)) @ rotation)
    return AnnIndex("rabitq", index, rotation, 0)


def _build_ivf(vectors: VectorFile, seed: int) -> AnnIndex:
    faiss = load_faiss()
    cells = 1 << max(0, round(math.log2(4 * math.sqrt(max(1, vectors.rows)))))
    cells = max(1, min(cells, vectors.rows // _TRAIN_ROWS_PER_CELL))
    coarse = faiss.IndexFlatIP(vectors.dimension)
    index = faiss.IndexIVFScalarQuantizer(
        coarse, vectors.dimension, cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter, index.cp.seed = 10, seed
    index.cp.min_points_per_centroid = 1  # fewer rows than FAISS likes are no matter for stderr
    index.train(_sample(vectors, cells * _TRAIN_ROWS_PER_CELL, seed))
    for start in range(0, vectors.rows, _BLOCK):
        index.add(vectors.block(start, min(start + _BLOCK, vectors.rows)))
    index.own_fields, _ = True, coarse.this.disown()  # the coarse index lives as long as the index
    return AnnIndex("ivf-sq8", index, None, cells)


def _random_rotation(dimension: int, seed: int) -> NDArray[np.float32]:
    square = np.random.default_rng(seed).standard_normal((dimension, dimension))
    return np.linalg.qr(square)[0].astype(np.float32)


def _sample(vectors: VectorFile, rows: int, seed: int) -> NDArray[np.float32]:
    if vectors.rows <= rows:
        return vectors.block(0, vectors.rows)
    positions = np.random.default_rng(seed).choice(vectors.rows, rows, replace=False)
    return vectors.take(np.sort(positions))


def save_ann(ann: AnnIndex, folder: Path) -> None:
    """Writes the index, and its rotation if it has one, into `folder`.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    faiss = load_faiss()
    # Through Python, since FAISS's own writer passes over a full disk when it closes the file.
    with (folder / ANN_FILE).open("wb") as stream:
        faiss.write_index(ann.index, faiss.PyCallbackIOWriter(stream.write))
    if ann.rotation is not None:
        (folder / ROTATION_FILE).write_bytes(np.ascontiguousarray(ann.rotation, "<f4").tobytes())


def load_ann(kind: str, folder: Path, rows: int, dimension: int) -> AnnIndex:
    """The index in `folder`, mapped into memory. Its hash must have been checked before.

    Args:
        kind: as it was built.
        folder: of the segment.
        rows: vectors that it must hold.
        dimension: numbers per vector.

    Raises:
        CollectionError: the files are damaged or do not fit.
    """
    faiss = load_faiss()
    flag = faiss.IO_FLAG_MMAP_IFC if kind == "rabitq" else faiss.IO_FLAG_MMAP
    expected = faiss.IndexRaBitQ if kind == "rabitq" else faiss.IndexIVFScalarQuantizer
    try:
        index = faiss.read_index(str(folder / ANN_FILE), flag)
        rotation = None
        if kind == "rabitq":
            rotation = np.fromfile(folder / ROTATION_FILE, "<f4").reshape(dimension, dimension)
    except (OSError, RuntimeError, MemoryError, ValueError) as error:
        raise _damaged(folder, str(error).splitlines()[0]) from error
    if not isinstance(index, expected) or index.ntotal != rows or index.d != dimension:
        raise _damaged(folder, "it is another index than the collection names")
    return AnnIndex(kind, index, rotation, getattr(index, "nlist", 0))


def _damaged(folder: Path, reason: str) -> CollectionError:
    return CollectionError(
        f"{ANN_FILE} is damaged: {reason}",
        str(folder / ANN_FILE),
        f"it is derived: llm2comp rebuild {folder.parents[2]}",
    )
