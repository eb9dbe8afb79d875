"""Texts -> the vectors of a frozen sentence encoder, computed once and kept on disk, shard by shard.

Needs no gradient and no optimizer. A killed run goes on with the first shard that is missing.
"""

import io
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from encoder.atomic import write_bytes
from encoder.weights import quiet_transformers
from train.distillation.material import Material

SHARD_TEXTS = 8192
_BATCH_TOKENS = 2048  # one core's cache: 10 % more tokens/s than 4096


class Teacher:
    """A sentence encoder of the BERT family, pooled by the mean over all its tokens.

    Args:
        directory: local model files, as sentence-transformers or transformers save them.
        max_tokens: special tokens included; what is beyond is cut off.
        dtype: of weights and states; pooling is always done in float32.
    """

    def __init__(self, directory: Path, *, max_tokens: int, dtype: torch.dtype) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        # Written-out attention: 20 % more tokens/s on a CPU than the fused one, at these lengths.
        with quiet_transformers():
            model = AutoModel.from_pretrained(directory, local_files_only=True, attn_implementation="eager")
        self.model = model.to(dtype).eval()
        self.max_tokens = max_tokens

    @property
    def frame(self) -> tuple[int, int]:
        """The special tokens before and after every text."""
        first, last = self.tokenizer("")["input_ids"]
        return first, last

    @torch.no_grad()
    def embed(self, ids: list[list[int]]) -> NDArray[np.float32]:
        """Unit rows for texts given as token ids with their special tokens.

        Args:
            ids: N lists, each of 1 to `max_tokens` ids.

        Returns:
            [N, D] float32, in the order given.
        """
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        result: NDArray[np.float32] | None = None
        while order:
            rows = _take_batch(order, ids)
            states = self._mean_states([ids[row] for row in rows])
            result = np.empty((len(ids), states.shape[1]), np.float32) if result is None else result
            result[rows] = states
        return np.empty((0, 0), np.float32) if result is None else result

    def _mean_states(self, ids: list[list[int]]) -> NDArray[np.float32]:
        length = max(map(len, ids))
        padded = torch.tensor([row + [0] * (length - len(row)) for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in ids])
        hidden = self.model(input_ids=padded, attention_mask=mask).last_hidden_state.float()
        summed = (hidden * mask[..., None]).sum(1)  # the division by the length cancels below
        return torch.nn.functional.normalize(summed, dim=-1).numpy()

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text with special tokens, cut at `max_tokens`."""
        return self.tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"]


def _take_batch(order: list[int], ids: list[list[int]]) -> list[int]:
    """Removes from the end of `order` the longest rows that fit the budget together, at least one."""
    count = max(1, _BATCH_TOKENS // len(ids[order[-1]]))
    rows = order[-count:]
    del order[-count:]
    return rows


def write_vectors(material: Material, directory: Path, teacher: Any, *, processes: int = 1) -> None:
    """Leaves `texts.parquet` and one `vectors_<n>.npy` of float16 [n, D] per shard in a directory.

    Args:
        material: the texts, in the order in which they are cut into shards.
        directory: shards that are there already are kept, so it belongs to one material and teacher.
        teacher: keyword arguments of `Teacher`.
        processes: one thread each; two threads of one process wait for each other on a shared machine.
    """
    directory.mkdir(parents=True, exist_ok=True)
    table = io.BytesIO()
    pq.write_table(pa.table({"text": material.texts, "is_long": material.is_long}), table)
    write_bytes(directory / "texts.parquet", table.getvalue())
    shards = range(-(-len(material.texts) // SHARD_TEXTS))
    missing = [shard for shard in shards if not _is_complete(directory, shard, len(material.texts))]
    if not missing:
        return
    work = [(directory, teacher, missing[worker::processes]) for worker in range(processes)]
    if processes == 1:
        _write_shards(*work[0])
        return
    # A forked child would inherit torch's threads in an unusable state.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.starmap(_write_shards, work)


def _is_complete(directory: Path, shard: int, texts: int) -> bool:
    """Whether a shard holds all its texts; the last one grows when more texts are drawn."""
    path = directory / f"vectors_{shard:05d}.npy"
    expected = min(SHARD_TEXTS, texts - shard * SHARD_TEXTS)
    return path.exists() and len(np.load(path, mmap_mode="r")) >= expected


def _write_shards(directory: Path, teacher: Any, shards: list[int]) -> None:
    torch.set_num_threads(1)
    model = Teacher(**teacher)
    texts = pq.read_table(directory / "texts.parquet")["text"].to_pylist()
    for shard in shards:
        ids = model.tokenize(texts[shard * SHARD_TEXTS : (shard + 1) * SHARD_TEXTS])
        content = io.BytesIO()
        np.save(content, model.embed(ids).astype(np.float16))
        write_bytes(directory / f"vectors_{shard:05d}.npy", content.getvalue())
