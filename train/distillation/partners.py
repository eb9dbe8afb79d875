"""Pairs of texts that shall find each other while each stays near its own teacher vector: stage 3 beside stage B.

A member of a pair looks for its partner among the *teacher's* vectors of partners, which stand still. So a batch
needs no partner in it, only texts of one length like every other batch, and thousands of candidates cost one product;
and what the student does not learn from pairs stays the teacher's space. (Locked-image tuning, Zhai et al. 2022, holds
one side of its pairs still in the same way.)

Shapes: N pairs, 2N members (anchor of pair i: 2i, its positive: 2i + 1), B members in a batch, C candidates,
D numbers per vector.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.errors import InputError
from encoder.prompt import TextTokenizer
from train.distillation.lessons import Lessons, to_lessons
from train.distillation.material import Material, is_long
from train.distillation.recipe import PairsConfig

Pair = tuple[str, str]


def split_pairs(pairs: Iterable[Pair], config: PairsConfig) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on, and pairs of which no text is trained on as a pair, in an order drawn by the seed.

    Args:
        pairs: anchor and positive; those without a letter or digit on a side are left out.
        config: how many of each.

    Raises:
        InputError: there are no pairs to train on beside those held out.
    """
    drawn = [pair for pair in pairs if all(any(map(str.isalnum, text or "")) for text in pair)]
    random.Random(config.seed).shuffle(drawn)
    held_out, rest = drawn[: config.held_out], drawn[config.held_out :]
    seen = {text for pair in held_out for text in pair}
    rest = [pair for pair in rest if seen.isdisjoint(pair)][: config.most]
    if not rest:
        raise InputError(
            f"Of {len(drawn)} pairs, {config.held_out} cannot be held out: some must be learnt from.",
            "pairs.held_out",
            "lower it, or set pairs.most = 0 to learn from no pairs",
        )
    return rest, held_out


def read_members(pairs: Iterable[Pair], tokenizer: TextTokenizer, *, longest: int) -> Lessons:
    """Members of pairs without targets ([2N, 0]), cut at `longest` tokens."""
    material = members(pairs)
    return to_lessons(tokenizer, material, np.empty((len(material.texts), 0), np.float16), longest=longest)


def members(pairs: Iterable[Pair]) -> Material:
    """Anchors and positives in turn."""
    texts = [text for pair in pairs for text in pair]
    return Material(texts, [is_long(text) for text in texts])


@dataclass(frozen=True)
class Partners:
    """What is learnt from pairs."""

    lessons: Lessons  # [2N] members, none of them missing
    held_out: Lessons  # members of pairs that are not learnt from, without targets
    config: PairsConfig

    def loss(self, vectors_BD: Tensor, numbers_B: NDArray[np.int64], step: int) -> Tensor:
        """How hard members find their partners: mean cross-entropy, a scalar.

        Anchors look among positives, positives among anchors. For member i with partner's teacher vector t_i and
        candidates C_i, drawn anew in each step less those whose cosine to t_i is above `near`:

            -log( exp(v_i . t_i / temperature) / sum over c in {t_i} and C_i of exp(v_i . c / temperature) )

        Args:
            vectors_BD: [B, D] float32 unit rows of the student.
            numbers_B: [B] which members they are.
            step: decides the draw.
        """
        generator = np.random.default_rng((self.config.seed, step))
        total = vectors_BD.new_zeros(())
        for side in (0, 1):
            rows = np.flatnonzero(numbers_B % 2 == side)
            if len(rows):
                own_RD = self._targets(numbers_B[rows] ^ 1)
                count = min(self.config.candidates, len(self.lessons) // 2)
                drawn_C = generator.choice(len(self.lessons) // 2, count, replace=False) * 2 + 1 - side
                total = total + self._sum(vectors_BD[rows], own_RD, self._targets(drawn_C))
        return total / len(numbers_B)

    def _sum(self, vectors_RD: Tensor, own_RD: Tensor, candidate_CD: Tensor) -> Tensor:
        logit_RC = vectors_RD @ candidate_CD.T / self.config.temperature
        logit_RC = logit_RC.masked_fill(own_RD @ candidate_CD.T > self.config.near, -torch.inf)
        own_R1 = (vectors_RD * own_RD).sum(-1, keepdim=True) / self.config.temperature
        return (torch.cat([own_R1, logit_RC], dim=1).logsumexp(dim=1) - own_R1[:, 0]).sum()

    def _targets(self, numbers_X: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.lessons.targets[numbers_X].astype(np.float32))


def found_first(vectors_ND: NDArray[np.float32]) -> float:
    """Share of anchors, 0 to 1, nearer to their own positive than to any other.

    Args:
        vectors_ND: float32 unit rows [2N, D] of members.
    """
    cosine_NN = vectors_ND[::2] @ vectors_ND[1::2].T
    return float((cosine_NN.argmax(axis=1) == np.arange(len(cosine_NN))).mean())
