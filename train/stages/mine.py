"""Hard negatives for pairs by `sentence_transformers.util.mine_hard_negatives`, with any encoder.

Shapes: N queries, P passages, D embedding dimension.
"""

import contextlib
import io
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.atomic import sync_file, sync_folder
from encoder.checkpoint import load_encoder
from encoder.embedder import Embedder
from encoder.errors import ConfigError
from train.running.progress import Note
from train.settings import MineRecipe
from train.texts.pairs import read_pairs

_SCORES_AT_ONCE = 1 << 26  # similarities that exist at a time, 256 MiB
_SAY_EVERY_S = 10.0


class _Found(NamedTuple):
    """What was mined for a pair."""

    negatives: list[str]  # from the nearest on
    scores: list[float]  # of the positive, then of each negative


def mine(recipe: MineRecipe, note: Note, *, device: str = "auto") -> dict[str, Any]:
    """Writes pairs with hard negatives: the positives of other pairs that lie near the anchor.

    A negative comes from the same data set (and the same source, where the recipe names a column), is no positive of
    the anchor, and is less similar to it than the least similar of its positives by the margins. The nearest
    `skip_first` of those are passed over. Hard negatives that the files have already are not read.

    The file has the columns anchor, positive, negative_1, negative_2, ..., source (the data set) and scores (the
    cosine of the positive, then of each negative); a pair for which fewer were found has nulls, so no pair is lost.

    Args:
        recipe: what to do.
        note: told lines for people.
        device: "auto" or a device name of torch.

    Returns:
        `pairs`, and of those `complete`, `partly` and `none`, in all and for each data set under `sets`.

    Raises:
        CheckpointError: the encoder is not there, damaged or foreign.
        ConfigError: the file is there already, or more negatives are asked for than passages looked at.
        InputError: a file of pairs cannot be read.
        OSError: the file cannot be written; nothing is left of it.
        UnsupportedBackboneError: the decoder cannot attend in both directions.
        UsageError: the encoder or the device is not understood.
    """
    out = Path(recipe.out)
    _check(recipe, out)
    embedder = load_encoder(recipe.encoder, device=device)
    data = read_pairs([replace(each, negatives=()) for each in recipe.pairs])
    counts: dict[str, dict[str, int]] = {}
    with _table_writer(out, recipe.negatives) as write:
        for name, pairs in data.train.items():
            anchors, positives = list(pairs["anchor"]), list(pairs["positive"])
            searcher = _Searcher.over(
                embedder, anchors, positives, instruction=data.instructions.get(name), say=_teller(note, name)
            )
            found = _mine_one(pairs, searcher, recipe)
            write(name, anchors, positives, found)
            counts[name] = _count(found, recipe.negatives)
            note(_told(name, counts[name], recipe))
    total = {
        key: sum(each[key] for each in counts.values()) for key in ("pairs", "complete", "partly", "none")
    }
    return {**total, "sets": counts, "out": str(out)}


def _told(name: str, counts: dict[str, int], recipe: MineRecipe) -> str:
    """What was found for a data set, and what to change where that is little."""
    line = (
        f"{name}: {counts['complete']:,} of {counts['pairs']:,} pairs have {recipe.negatives} hard negatives"
    )
    if counts["partly"]:
        line += f", {counts['partly']:,} fewer"
    line += f", {counts['none']:,} none"
    if 2 * counts["none"] > counts["pairs"]:
        line += f" (a lower margin than {recipe.margin} finds more, as does a better encoder)"
    return line


def _check(recipe: MineRecipe, out: Path) -> None:
    """Refuses what could only go wrong after hours.

    Raises:
        ConfigError: the file is there already, or more negatives are asked for than passages looked at.
    """
    if out.exists():
        raise ConfigError("The file is there already.", str(out), "name another one in out, or remove it")
    if out.suffix != ".parquet":
        raise ConfigError(f"out is {recipe.out!r}, expected a parquet file.", "out", "write NAME.parquet")
    if recipe.negatives > recipe.among:
        raise ConfigError(
            f"negatives is {recipe.negatives} and among is {recipe.among}: so many cannot be drawn from so few.",
            "negatives, among",
            "raise among, or lower negatives",
        )


class _Searcher:
    """Vectors that are there already, behind the interface of a `SentenceTransformer`.

    The library would put texts together in the order they come and knows only its own models; our encoders put
    texts of one length together and compute in bfloat16 where that is fast.
    """

    def __init__(
        self, queries: dict[str, int], vectors_ND: Tensor, passages: dict[str, int], vectors_PD: Tensor
    ) -> None:
        self._queries, self._query_ND = queries, vectors_ND
        self._passages, self._passage_PD = passages, vectors_PD
        self.device = torch.device("cpu")  # of what the library computes from the similarities
        self._fast = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._moved_PD: Tensor | None = None

    @classmethod
    def over(
        cls,
        embedder: Embedder,
        anchors: Sequence[str],
        positives: Sequence[str],
        *,
        instruction: str | None,
        say: Callable[[int, int, int], None],
    ) -> "_Searcher":
        """Encodes each text once."""
        queries = {text: number for number, text in enumerate(dict.fromkeys(anchors))}
        passages = {text: number for number, text in enumerate(dict.fromkeys(positives))}
        query_ND = embedder.encode_query(list(queries), instruction=instruction)
        passage_PD = embedder.encode_document(list(passages), progress=say)
        return cls(queries, torch.from_numpy(query_ND), passages, torch.from_numpy(passage_PD))

    def encode_query(self, texts: Sequence[str], **_options: Any) -> NDArray[np.float32]:
        """Unit rows [N, D]."""
        return self._query_ND[[self._queries[text] for text in texts]].numpy()

    def encode_document(self, texts: Sequence[str], **_options: Any) -> NDArray[np.float32]:
        """Unit rows [P, D]."""
        return self._passage_PD[[self._passages[text] for text in texts]].numpy()

    def get_embedding_dimension(self) -> int:
        """Numbers per vector, D."""
        return self._query_ND.shape[1]

    def similarity(self, queries: Any, passages: Any) -> Tensor:
        """Cosines of unit rows [N, D] and [P, D], [N, P]."""
        return torch.as_tensor(queries).to(self._fast) @ self._moved(torch.as_tensor(passages)).T

    def similarity_pairwise(self, queries: Any, passages: Any) -> Tensor:
        """Cosines of unit rows [N, D] and as many others, [N]."""
        return (torch.as_tensor(queries) * torch.as_tensor(passages)).sum(dim=1)

    def _moved(self, passages_PD: Tensor) -> Tensor:
        """All passages [P, D] where products are fast; the library gives the same ones again and again."""
        if self._fast.type == "cpu":
            return passages_PD
        if self._moved_PD is None:
            self._moved_PD = passages_PD.to(self._fast)
        return self._moved_PD


def _mine_one(pairs: Any, searcher: _Searcher, recipe: MineRecipe) -> list[_Found]:
    """What is found for each pair of a data set, in its order."""
    from sentence_transformers.util import mine_hard_negatives

    anchors, positives = list(pairs["anchor"]), list(pairs["positive"])
    passages = len(set(positives))
    with _seeded(recipe.seed), contextlib.redirect_stderr(io.StringIO()):  # its bars; ours are lines
        mined = mine_hard_negatives(
            pairs.select_columns(["anchor", "positive"]),
            searcher,  # type: ignore[arg-type]
            anchor_column_name="anchor",
            positive_column_name="positive",
            range_min=recipe.skip_first,
            range_max=recipe.skip_first + recipe.among,
            absolute_margin=recipe.margin,
            relative_margin=recipe.relative_margin or None,
            num_negatives=recipe.negatives,
            sampling_strategy=recipe.sampling,  # type: ignore[arg-type]
            output_format="labeled-list",
            output_scores=True,
            faiss_batch_size=max(1, _SCORES_AT_ONCE // passages),
            verbose=False,
        )
    found = {(row["anchor"], row["positive"][0]): _Found(row["positive"][1:], row["scores"]) for row in mined}
    nothing = _Found([], [])
    return [found.get(pair, nothing) for pair in zip(anchors, positives, strict=True)]


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The library draws from Python's own random numbers."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _count(found: Sequence[_Found], wanted: int) -> dict[str, int]:
    sizes = [len(each.negatives) for each in found]
    none, complete = sizes.count(0), sizes.count(wanted)
    return {"pairs": len(sizes), "complete": complete, "partly": len(sizes) - none - complete, "none": none}


def _teller(note: Note, name: str) -> Callable[[int, int, int], None]:
    """Says how far encoding is, every ten seconds."""
    last = time.monotonic()

    def say(done: int, total: int, _tokens: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SAY_EVERY_S:
            last = time.monotonic()
            note(f"{name}: {done:,} of {total:,} passages encoded")

    return say


@contextlib.contextmanager
def _table_writer(out: Path, negatives: int) -> Iterator[Callable[..., None]]:
    """A function that adds a data set to a parquet file, which is there whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["anchor", "positive", *(f"negative_{place + 1}" for place in range(negatives)), "source"]
    schema = pa.schema([*((name, pa.string()) for name in names), ("scores", pa.list_(pa.float32()))])
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    os.close(handle)
    try:
        with pq.ParquetWriter(temporary, schema) as writer:

            def write(name: str, anchors: list[str], positives: list[str], found: Sequence[_Found]) -> None:
                rows = [each.negatives + [None] * (negatives - len(each.negatives)) for each in found]
                columns = [anchors, positives, *([row[place] for row in rows] for place in range(negatives))]
                columns += [[name] * len(found), [each.scores or None for each in found]]
                writer.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))

            yield write
        Path(temporary).chmod(0o644)
        sync_file(Path(temporary))
        Path(temporary).replace(out)
        sync_folder(out.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
