"""The baselines EBAE and EBAR: memory tokens that name the tokens of the text, or of its continuation.

Shapes: B texts, S splits, T tokens, M memory tokens, D width.
"""

import torch
from torch import Tensor, nn

from encoder.errors import ConfigError
from encoder.memory import MemoryModel
from train.objectives.bag_of_tokens import bag_of_tokens_loss
from train.objectives.head import Head
from train.settings import Compression


class BagOfTokens(nn.Module):
    """A memory model trained to name tokens, after Llama2Vec.

    `ebae` names the distinct tokens of the text that was read, which is all of it; `ebar` those of the
    continuation, of the context alone. It differs from Llama2Vec where that has another architecture, so that
    a table of objectives compares what is asked for and nothing else: attention is bidirectional and not causal;
    our memory tokens stand where it has two prompts with eight special tokens each; there is no language-model
    loss beside it, which a bidirectional model has no use for; and the two losses are two objectives, not a sum.

    Args:
        encoder: the model that is trained.
        head: from hidden states to the logits of the language model, as `language_head` makes it; it is not trained.
        bos_id: put before every text, None for a tokenizer without.
        settings: its objective is "ebae" or "ebar".

    Raises:
        ConfigError: the objective is another.
    """

    def __init__(
        self,
        encoder: MemoryModel,
        head: Head,
        *,
        bos_id: int | None,
        settings: Compression,
    ) -> None:
        super().__init__()
        if settings.objective not in ("ebae", "ebar"):
            raise ConfigError(
                f"objective is {settings.objective!r}, BagOfTokens knows ebae and ebar",
                "compression.objective",
                "set it to 'ebae' or 'ebar'",
            )
        self.encoder = encoder
        self.head = head
        self.bos_id = bos_id
        self.settings = settings

    def forward(self, input_ids: Tensor, length: Tensor, splits: Tensor) -> dict[str, Tensor]:
        """The loss of a batch.

        Args:
            input_ids: [B, T] int64, right padded, without BOS.
            length: [B] int64, real tokens of each text.
            splits: [B, S] int64, tokens of each context; `ebae` passes them over.

        Returns:
            `loss`, a float32 scalar: the mean over texts and splits. `tokens`, an int64 scalar: text tokens the
            encoder read.
        """
        if self.settings.objective == "ebae":
            read, start = length, torch.zeros_like(length)
        else:
            repeats = splits.shape[1]
            input_ids, length = (part.repeat_interleave(repeats, dim=0) for part in (input_ids, length))
            read = start = splits.flatten()
        position = torch.arange(input_ids.shape[1], device=input_ids.device)
        wanted = (position >= start[:, None]) & (position < length[:, None])
        memory = self._memory_states(input_ids, position < read[:, None])
        loss = bag_of_tokens_loss(memory, input_ids, wanted, self.head, chunk_rows=self.settings.chunk_rows)
        return {"loss": loss, "tokens": read.sum()}

    def _memory_states(self, ids_BT: Tensor, is_read_BT: Tensor) -> Tensor:
        """States [B, M, D] of the memory tokens after BOS and the tokens that are read."""
        longest = int(is_read_BT.sum(dim=1).max())
        ids_BT, is_read_BT = ids_BT[:, :longest], is_read_BT[:, :longest]
        if self.bos_id is not None:
            ids_BT = torch.cat([ids_BT.new_full((len(ids_BT), 1), self.bos_id), ids_BT], dim=1)
            is_read_BT = torch.cat([is_read_BT.new_ones((len(ids_BT), 1)), is_read_BT], dim=1)
        return self.encoder(ids_BT, is_read_BT)
