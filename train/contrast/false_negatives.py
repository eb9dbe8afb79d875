"""Candidates that must not count as negatives: doubled texts, other positives of a query, what a guide finds.

Shapes: B rows of this device, N candidates of all devices, R rows of a chunk, T tokens, G numbers of the guide.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

# Odd constants of splitmix64; products of int64 wrap around.
_BY_TOKEN, _BY_PLACE = -7046029254386353131, -4658895280553007687
_MIX = -7723592293110705685
_LOW_BITS = (1 << 33) - 1


def text_keys(features: dict[str, Any]) -> Tensor:
    """A number for every text as the model sees it: equal tokens, equal numbers, wherever the padding lies.

    Two different texts share a number once in about 2^60 pairs, and the loss then misses one negative.

    Args:
        features: `input_ids` and `attention_mask`, [B, T] each.

    Returns:
        [B] int64.
    """
    real_BT = features["attention_mask"].bool()
    place_BT = real_BT.cumsum(dim=1)  # among the real tokens alone
    key_BT = (features["input_ids"] + 1) * _BY_TOKEN + place_BT * _BY_PLACE
    # Mixed before the sum, which would else only know which tokens and which places there are, not their pairs.
    key_BT = (key_BT ^ ((key_BT >> 31) & _LOW_BITS)) * _MIX
    return (key_BT ^ ((key_BT >> 31) & _LOW_BITS)).masked_fill(~real_BT, 0).sum(dim=1)


@dataclass(frozen=True)
class Exclusion:
    """What is known of rows and candidates besides their vectors.

    Candidate number j stands in row j of the batch of all devices if j is below the number of such rows; the
    further ones are hard negatives.
    """

    row_B: Tensor  # keys of the rows' texts
    target_B: Tensor  # keys of the texts that they look for
    place_B: Tensor  # where among the candidates those stand
    candidate_N: Tensor  # keys of the candidates
    partner_A: Tensor  # keys of the texts that look for the first candidates, all devices
    guide_BG: Tensor | None = None  # unit vectors of a guide for the rows
    guide_NG: Tensor | None = None
    margin: float = 0.0

    def left_out(self, begin: int, end: int) -> Tensor:
        """Which candidates the rows `begin` to `end` pass over, [R, N] bool; never what they look for.

        A candidate is passed over if it is the text looked for or the row's own text once more, if a row with the
        same text looks for it, or if the guide finds it more similar than the text looked for less the margin.
        """
        row_R1, target_R1 = self.row_B[begin:end, None], self.target_B[begin:end, None]
        mask_RN = (self.candidate_N == target_R1) | (self.candidate_N == row_R1)
        mask_RN[:, : len(self.partner_A)] |= self.partner_A == row_R1
        place_R1 = self.place_B[begin:end, None]
        if self.guide_BG is not None and self.guide_NG is not None:
            found_RN = self.guide_BG[begin:end] @ self.guide_NG.T
            mask_RN |= found_RN > found_RN.gather(1, place_R1) - self.margin
        return mask_RN.scatter_(1, place_R1, value=False)
