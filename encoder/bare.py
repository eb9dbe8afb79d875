"""A backbone pooled as it is, for comparison: no memory tokens and no training.

Shapes: B batch, T tokens, D embedding dimension.
"""

import torch
from torch import Tensor, nn

from encoder.attention import bidirectional_states
from encoder.errors import ShapeError
from encoder.pooling import pool_span

_WEIGHTING = {
    "mean": "even",
    "bidirectional_mean": "even",
    "echo": "even",
    "weighted": "rising",
    "last": "last",
    "prompteol": "last",
}


class BareModel(nn.Module):
    """A decoder whose states over a span of tokens become one vector.

    Args:
        backbone: an `AutoModel` decoder; causal, except under the pooling "bidirectional_mean".
        pooling: one of `encoder.config.POOLINGS`.

    Raises:
        ShapeError: there is no such pooling.
    """

    def __init__(self, backbone: nn.Module, pooling: str) -> None:
        super().__init__()
        if pooling not in _WEIGHTING:
            raise ShapeError(
                f"there is no pooling {pooling!r}", "BareModel", f"use one of {', '.join(_WEIGHTING)}"
            )
        self.backbone = backbone
        self.pooling = pooling

    @property
    def dimension(self) -> int:
        """Width of the states, D."""
        return self.backbone.get_input_embeddings().weight.shape[1]  # type: ignore[operator]

    def forward(self, input_ids: Tensor, length: Tensor, start: Tensor, end: Tensor) -> Tensor:
        """One vector a text.

        Args:
            input_ids: [B, T] int64, right padded, T at least 1.
            length: [B] int64, real tokens of each row.
            start: [B] int64, first pooled token.
            end: [B] int64, one past the last pooled token.

        Returns:
            [B, D] float32, not normalised.
        """
        position_T = torch.arange(input_ids.shape[1], device=input_ids.device)
        real_BT = position_T < length[:, None]
        if self.pooling == "bidirectional_mean":
            embeddings_BTD = self.backbone.get_input_embeddings()(input_ids)  # type: ignore[operator]
            hidden_BTD = bidirectional_states(self.backbone, embeddings_BTD, real_BT)
        else:
            hidden_BTD = self.backbone(
                input_ids=input_ids,
                attention_mask=real_BT.long(),
                position_ids=position_T.expand(input_ids.shape),
                use_cache=False,
            ).last_hidden_state
        return pool_span(hidden_BTD, start, end, weighting=_WEIGHTING[self.pooling])
