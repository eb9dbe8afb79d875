"""One pass over all rows, and what it keeps for the measures: second moments, a sample, lengths, hashes.

Memory beside a block: D x D numbers for each group of rows, the sample, and 24 bytes a row where repeats are looked for.

Shapes: N rows given, n of them with a direction, S sampled, D embedding dimension.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from encoder.spectrum.closeness import RowSample, directions, pair_closeness
from encoder.spectrum.covariance import Covariance, check_axes, checked_rows, merged

_BLOCK_NUMBERS = 4 << 20  # 32 MiB of float64 at a time
_MOST_GROUPS = 20
_LEAST_GROUPS = 5
_DEALS = 512
_GROUP_BYTES = 256 << 20  # of all groups together, as far as the least number allows

Blocks = NDArray[np.floating] | Iterable[NDArray[np.floating]]


class Gathering:
    """What one pass over rows keeps.

    Args:
        most_pair_rows: rows that are sampled.
        seed: of the sample and of the groups; both depend on the order of the rows and not on the blocks.
        in_detail: also groups of rows, for intervals, and lengths and hashes of all rows.
    """

    def __init__(self, most_pair_rows: int, seed: int, *, in_detail: bool = False) -> None:
        self.sample = RowSample(most_pair_rows, seed)
        self.seed = seed
        self.seen = self.zero_rows = self.non_finite_rows = 0
        self.groups: list[Covariance] = []
        self._in_detail = in_detail
        self._random = np.random.default_rng([seed, 1])
        self._dealt = np.zeros(0, np.int64)
        self._kept: list[NDArray[np.int64]] = []
        self._norms: list[NDArray[np.float64]] = []
        self._hashes: list[NDArray[np.uint64]] = []

    def add(self, block: NDArray[np.floating]) -> None:
        """Looks at rows [N, D].

        Raises:
            ShapeError: they are not as wide as those before.
        """
        if not self.groups:
            count = group_count(block.shape[1]) if self._in_detail else 1
            self.groups = [Covariance(block.shape[1]) for _ in range(count)]
        found = directions(checked_rows(block, self.groups[0].dimension))
        positions = self.seen + found.kept.astype(np.int64)
        self.seen += len(block)
        self.zero_rows += found.zeros
        self.non_finite_rows += found.non_finite
        self.sample.add(found.unit, positions)
        if not self._in_detail:
            self.groups[0].add(found.unit)
            return
        group = self._group_of_each(len(found.unit))
        for number, covariance in enumerate(self.groups):
            covariance.add(found.unit[group == number])
        self._kept.append(positions)
        self._norms.append(found.norms)
        self._hashes.append(row_hashes(found.unit))

    def _group_of_each(self, rows: int) -> NDArray[np.int64]:
        """Random groups of the next rows, [rows], of which every group gets as many, give or take one."""
        count = len(self.groups)
        while len(self._dealt) < rows:  # always as many at once, so that blocks change nothing
            deal = np.tile(np.arange(count), (_DEALS, 1))
            self._dealt = np.concatenate([self._dealt, self._random.permuted(deal, axis=1).ravel()])
        group, self._dealt = self._dealt[:rows], self._dealt[rows:]
        return group

    def total(self) -> Covariance:
        """The second moments of all rows."""
        return merged(self.groups) if self.groups else Covariance(0)

    @cached_property
    def closeness(self) -> NDArray[np.float64] | None:
        """`pair_closeness` of the sample, [S], after all rows were added; None for less than two rows."""
        return pair_closeness(self.sample.rows)

    @property
    def positions(self) -> NDArray[np.int64]:
        """Places of the rows with a direction among all that were given, [n]."""
        return np.concatenate([np.zeros(0, np.int64), *self._kept])

    @property
    def norms(self) -> NDArray[np.float64]:
        """Their lengths as given, [n]."""
        return np.concatenate([np.zeros(0), *self._norms])

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """Their directions in half precision, hashed, [n]."""
        return np.concatenate([np.zeros(0, np.uint64), *self._hashes])


def gather(embeddings: Blocks, most_pair_rows: int, *, seed: int, in_detail: bool = False) -> Gathering:
    """Looks at all rows once.

    Args:
        embeddings: [N, D] floating, or blocks of such rows.
        most_pair_rows: rows that are sampled.
        seed: of the sample and of the groups.
        in_detail: see `Gathering`.

    Raises:
        ShapeError: embeddings are not [N, D] with D > 0, or blocks differ in D.
    """
    gathering = Gathering(most_pair_rows, seed, in_detail=in_detail)
    for block in blocks_of(embeddings):
        gathering.add(block)
    return gathering


def blocks_of(embeddings: Blocks) -> Iterator[NDArray[np.floating]]:
    """Rows [n, D] in blocks small enough for float64 copies, and at least one where there is an array.

    Raises:
        ShapeError: an array has another number of axes, or D = 0.
    """
    for array in [embeddings] if isinstance(embeddings, np.ndarray) else embeddings:
        check_axes(array)
        step = max(1, _BLOCK_NUMBERS // array.shape[1])
        for start in range(0, max(len(array), 1), step):
            yield array[start : start + step]


def group_count(dimension: int) -> int:
    """Groups of rows whose D x D moments are kept: fewer for a wide encoder."""
    return int(np.clip(_GROUP_BYTES // (8 * dimension**2), _LEAST_GROUPS, _MOST_GROUPS))


def row_hashes(unit: NDArray[np.floating]) -> NDArray[np.uint64]:
    """A number for each row that is the same for rows equal in half precision, as collections store them.

    Args:
        unit: [N, D] rows of unit length.

    Returns:
        [N]; two of a million different rows share one with a chance of 1 in 37 million.
    """
    half = unit.astype(np.float16) + np.float16(0)  # -0 becomes 0
    digests = b"".join(blake2b(row, digest_size=8).digest() for row in np.ascontiguousarray(half))
    return np.frombuffer(digests, np.uint64)
