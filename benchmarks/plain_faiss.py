"""Search by vector as a short script does it: FAISS, exact, float32, and pandas for the texts. A peer, not a part of us."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def build(table: Path, vectors: Path, folder: Path) -> None:
    import faiss

    rows = np.load(vectors)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    faiss.write_index(index, str(folder / "plain.faiss"))
    (folder / "plain.parquet").write_bytes(table.read_bytes())


def open_search(folder: Path) -> Callable[[NDArray[np.float32], int], list[str]]:
    import faiss
    import pandas as pd

    faiss.omp_set_num_threads(1)
    index = faiss.read_index(str(folder / "plain.faiss"))
    passages = pd.read_parquet(folder / "plain.parquet")

    def search(vector: NDArray[np.float32], k: int) -> list[str]:
        _scores, positions = index.search(vector[None], k)
        return passages.iloc[positions[0]][["id", "text"]].to_dict("list")["id"]

    return search
