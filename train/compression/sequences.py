"""Which tokens are encoded, decoded and judged: places only, nothing is computed with them.

Shapes: B texts, S splits of a text, P sequences (a text and a split each), G some of them, T tokens, R rows.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.errors import ShapeError


@dataclass(frozen=True)
class Sequences:
    """P sequences: what the encoder reads of a text, and what the decoder goes on with."""

    text_P: NDArray[np.int64]  # number of the text
    context_P: NDArray[np.int64]  # tokens that the encoder reads, from the first on
    start_P: NDArray[np.int64]  # first token that the decoder reads after the memory
    end_P: NDArray[np.int64]  # one past the last
    rows_P: NDArray[np.int64]  # places of the decoder that are judged, from the last memory token on

    def __len__(self) -> int:
        return len(self.text_P)

    def of(self, group_G: NDArray[np.int64]) -> "Sequences":
        """The sequences of these numbers [G]."""
        parts = (self.text_P, self.context_P, self.start_P, self.end_P, self.rows_P)
        return Sequences(*(part[group_G] for part in parts))


def split_texts(
    length_B: NDArray[np.int64], split_BS: NDArray[np.int64], *, is_end_judged: bool
) -> Sequences:
    """Context and continuation of each text at each split.

    Args:
        length_B: [B] int64, tokens.
        split_BS: [B, S] int64, tokens of the context.
        is_end_judged: whether what is predicted after the last token counts too.

    Raises:
        ShapeError: a context or a continuation is empty.
    """
    if ((split_BS < 1) | (split_BS >= length_B[:, None])).any():
        raise ShapeError(
            f"splits {split_BS.tolist()} do not all lie within texts of {length_B.tolist()} tokens",
            "Compressor",
            "draw them with draw_splits, and pass over texts shorter than least_tokens",
        )
    text_P = np.repeat(np.arange(len(length_B)), split_BS.shape[1])
    split_P, end_P = split_BS.reshape(-1), length_B[text_P]
    return Sequences(text_P, split_P, split_P, end_P, end_P - split_P + int(is_end_judged))


def whole_texts(length_B: NDArray[np.int64]) -> Sequences:
    """Each text [B] as a context and again as what is decoded from it."""
    return Sequences(np.arange(len(length_B)), length_B, np.zeros_like(length_B), length_B, length_B)


def take_tokens(
    ids_BT: Tensor, text_G: NDArray[np.int64], start_G: NDArray[np.int64], end_G: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Tokens `start <= t < end` of some texts, right padded with tokens of the same text.

    Args:
        ids_BT: [B, T] int64.
        text_G: [G] int64, number of the text.
        start_G: [G] int64.
        end_G: [G] int64.

    Returns:
        Tokens [G, longest] int64 and whether each is real [G, longest] bool.
    """
    step_T = np.arange(int((end_G - start_G).max()))
    place_GT = np.minimum(start_G[:, None] + step_T, ids_BT.shape[1] - 1)
    real_GT = step_T < (end_G - start_G)[:, None]
    flat_GT = torch.from_numpy(text_G[:, None] * ids_BT.shape[1] + place_GT).to(ids_BT.device)
    return ids_BT.reshape(-1)[flat_GT], torch.from_numpy(real_GT).to(ids_BT.device)


def predicted_tokens(ids_BT: Tensor, sequences: Sequences) -> Tensor:
    """Tokens [R] int64 that the judged places are to predict, sequence after sequence, out of texts [B, T]."""
    flat_R = runs(sequences.text_P * ids_BT.shape[1] + sequences.start_P, sequences.rows_P)
    return ids_BT.reshape(-1)[torch.from_numpy(flat_R).to(ids_BT.device)]


def runs(start_G: NDArray[np.int64], count_G: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers `start, start + 1, ...`, `count` of them, of one run after another: [R] int64."""
    before_G = np.cumsum(count_G) - count_G
    return np.repeat(start_G - before_G, count_G) + np.arange(int(count_G.sum()))
