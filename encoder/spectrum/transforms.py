"""Linear changes of an embedding space, fitted to its rows: centre, drop, whiten, fewer dimensions.

A transformation is named by a text such as `centre+drop:2+pca:128`. Steps stand in this order, each at most once:

    centre     subtracts the mean of the rows
    drop:M     takes away the M strongest directions (after centring: the first principal components)
    whiten:S   centres (before any drop) and gives all directions alike variance; the eigenvalues are drawn to their
               mean by the share S, 0 to 1 (left out: 0.1), so that directions of mere noise are not blown up
    cut:D      keeps the first D numbers, as they stand
    pca:D      keeps D numbers along the strongest directions (after centring: the principal components)

Rows are made unit length at the end. "Strongest" is by the second moments of the rows as the step before left them,
for `pca` as they were before whitening. `none` is no transformation.

Shapes: N rows, D embedding dimension before, E after.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from encoder.errors import ShapeError, UsageError
from encoder.fingerprint import combine, weights_sha256
from encoder.spectrum.closeness import unit_rows
from encoder.spectrum.covariance import Covariance, checked_rows
from encoder.spectrum.gathering import Blocks, blocks_of

NONE = "none"
_ORDER = ("centre", "drop", "whiten", "cut", "pca")
_SHRINKAGE = 0.1
_WHOLE = re.compile(r"[1-9][0-9]{0,5}")
_SHARE = re.compile(r"0(\.[0-9]{1,4})?|1(\.0{1,4})?")
_LONGEST_SPEC = 100
_LEAST_SHARE = 1e-6  # of the largest eigenvalue: stored fp16 vectors hold only rounding below
_NO_LENGTH = 1e-6  # a row that is shorter after the steps has no direction but rounding


@dataclass(frozen=True, slots=True)
class Steps:
    """What a transformation does, in the order of the fields; `str` gives the text that names it."""

    centre: bool = False
    drop: int = 0
    whiten: float | None = None  # share by which eigenvalues are drawn to their mean
    cut: int | None = None
    pca: int | None = None

    @property
    def is_centred(self) -> bool:
        """Whether the mean is taken away, alone or by whitening."""
        return self.centre or self.whiten is not None

    def __str__(self) -> str:
        whiten = "" if self.whiten in (None, _SHRINKAGE) else f":{self.whiten:g}"
        parts = {
            "centre": self.centre and self.whiten is None,
            f"drop:{self.drop}": self.drop,
            f"whiten{whiten}": self.whiten is not None,
            f"cut:{self.cut}": self.cut,
            f"pca:{self.pca}": self.pca,
        }
        return "+".join(text for text, is_there in parts.items() if is_there) or NONE


def parse_steps(spec: str) -> Steps:
    """The steps that a text names.

    Raises:
        UsageError: a step is unknown, doubled, out of order, or has an impossible number.
    """
    if spec == NONE:
        return Steps()
    found: dict[str, str] = {}
    for part in spec[: _LONGEST_SPEC + 1].split("+"):
        name, colon, number = part.partition(":")
        if name not in _ORDER or (colon and not number) or len(spec) > _LONGEST_SPEC:
            raise _not_understood(
                part[:40], spec, "steps are centre, drop:M, whiten, whiten:S, cut:D and pca:D"
            )
        if name in found or (found and _ORDER.index(name) < _ORDER.index(list(found)[-1])):
            raise _not_understood(part, spec, f"write each step once, in the order {', '.join(_ORDER)}")
        found[name] = number
    if "cut" in found and "pca" in found:
        raise _not_understood("cut and pca together", spec, "choose one of the two")
    return Steps(
        centre=_no_number(found, spec),
        drop=_whole(found, "drop", spec) or 0,
        whiten=_share(found, spec),
        cut=_whole(found, "cut", spec),
        pca=_whole(found, "pca", spec),
    )


def _no_number(found: dict[str, str], spec: str) -> bool:
    if found.get("centre"):
        raise _not_understood(f"centre:{found['centre']}", spec, "centre takes no number")
    return "centre" in found


def _whole(found: dict[str, str], name: str, spec: str) -> int | None:
    if name not in found:
        return None
    if not _WHOLE.fullmatch(found[name]):
        raise _not_understood(f"{name}:{found[name]}", spec, f"give a whole number from 1, as in {name}:2")
    return int(found[name])


def _share(found: dict[str, str], spec: str) -> float | None:
    if "whiten" not in found:
        return None
    number = found["whiten"] or str(_SHRINKAGE)
    if not _SHARE.fullmatch(number):
        raise _not_understood(f"whiten:{number}", spec, "give 0 to 1, as in whiten:0.05")
    return float(number)


def _not_understood(part: str, spec: str, fix: str) -> UsageError:
    return UsageError(f"the step {part!r} of a transformation is not understood", spec[:_LONGEST_SPEC], fix)


def check_steps(steps: Steps, dimension: int) -> int:
    """How many numbers a row of D numbers has after the steps.

    Args:
        steps: to take.
        dimension: D.

    Raises:
        UsageError: more is dropped or kept than there is.
    """
    kept = steps.cut or steps.pca or dimension
    room = dimension - steps.drop if steps.pca else dimension
    if steps.drop >= dimension or kept > room:
        raise UsageError(
            f"{steps} asks for more than the {dimension} numbers of a vector",
            "transformation",
            f"drop fewer than {dimension}, and keep at most what is left",
        )
    return kept


@dataclass(frozen=True, eq=False)
class Transform:
    """A fitted transformation: unit rows of (x - mean) @ matrix.

    Attributes:
        spec: the text that names its steps.
        mean: float32 [D].
        matrix: float32 [D, E].
        rows: how many it was fitted to.
    """

    spec: str
    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]
    rows: int

    @property
    def dimension(self) -> int:
        """Numbers of a row after it, E."""
        return self.matrix.shape[1]

    @cached_property
    def sha256(self) -> str:
        """Over all that decides the result, hex."""
        return combine(spec=self.spec, weights=weights_sha256([("mean", self.mean), ("matrix", self.matrix)]))

    def apply(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Unit rows float32 [N, E].

        A row of which nothing is left (it is the mean, or lies in what is dropped) has no direction any more; it
        becomes the first unit vector, since what is stored must have one.

        Args:
            vectors: [N, D] finite, unit rows where the transformation was fitted to such; may be empty.

        Raises:
            ShapeError: they are not D wide, or not finite.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.mean) or not np.isfinite(vectors).all():
            raise ShapeError(
                f"vectors of shape {vectors.shape} do not fit {self.spec}, or are not finite",
                "Transform.apply",
                f"give finite rows of {len(self.mean)} numbers",
            )
        moved = (vectors.astype(np.float32) - self.mean) @ self.matrix
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        has_direction = lengths > _NO_LENGTH * self._stretch
        first = np.zeros(self.dimension, np.float32)
        first[0] = 1
        return np.where(has_direction, moved / np.where(has_direction, lengths, 1), first)

    @cached_property
    def _stretch(self) -> float:
        """About how much it lengthens: the longest row of the matrix."""
        return float(np.linalg.norm(self.matrix, axis=1).max())


def fit_transform(rows: Blocks | Covariance, steps: Steps) -> Transform:
    """The transformation that these rows ask for; sums are float64, and memory D x D whatever N is.

    Args:
        rows: [N, D] finite, at least one, or blocks of such rows, or what they add up to. They are made unit length
            unless they come added up; zero and non-finite ones are left out.
        steps: to take, at least one.

    Raises:
        ShapeError: there is no row, or blocks differ in D.
        UsageError: there is no step, or more is dropped or kept than there is.
    """
    total = rows if isinstance(rows, Covariance) else _added_up(rows)
    if not total.n:
        raise ShapeError("there is no row to fit a transformation to", "fit_transform", "give at least one")
    check_steps(steps, total.dimension)
    if steps == Steps():
        raise UsageError("there is no step to take", "transformation", "name one, such as centre")
    mean, moments = total.moments()
    if steps.is_centred:
        moments = moments - np.outer(mean, mean)
    else:
        mean = np.zeros(total.dimension)
    matrix = _matrix(moments, steps)
    return Transform(str(steps), mean.astype(np.float32), matrix.astype(np.float32), total.n)


def _added_up(rows: Blocks) -> Covariance:
    total: Covariance | None = None
    for block in blocks_of(rows):
        total = total or Covariance(block.shape[1])
        total.add(unit_rows(checked_rows(block, total.dimension))[0])
    return total or Covariance(0)


def _matrix(moments: NDArray[np.float64], steps: Steps) -> NDArray[np.float64]:
    """The product of all steps after centring, [D, E], from the second moments [D, D]."""
    matrix = np.eye(len(moments))
    if steps.drop:
        dropped = _directions(moments)[:, : steps.drop]
        matrix -= dropped @ dropped.T
        moments = matrix @ moments @ matrix
    if steps.whiten is not None:
        # The dropped directions must not come back: what whitening makes of them is rounding blown up.
        matrix = matrix @ _whitening(moments, steps.whiten) @ matrix
    if steps.cut:
        return matrix[:, : steps.cut]
    return matrix @ _directions(moments)[:, : steps.pca] if steps.pca else matrix


def _whitening(moments: NDArray[np.float64], shrinkage: float) -> NDArray[np.float64]:
    """The symmetric matrix [D, D] that gives rows of these moments alike variance in all directions."""
    values, vectors = np.linalg.eigh(moments)
    values = np.maximum(values, 0)
    shrunk = (1 - shrinkage) * values + shrinkage * values.mean()
    floor = shrunk.max() * _LEAST_SHARE
    if floor == 0:  # all rows are alike: there is no variance to even out
        return np.eye(len(moments))
    return (vectors / np.sqrt(np.maximum(shrunk, floor))) @ vectors.T


def _directions(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eigenvectors as columns [D, D], strongest first; the largest number of each is positive."""
    vectors = np.linalg.eigh(moments)[1][:, ::-1]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    return vectors * np.where(largest < 0, -1.0, 1.0)
