"""The baseline MNTP (LLM2Vec): a bidirectional decoder that learns by guessing masked tokens.

There are no memory tokens: the embedding is the mean of the states, saved with the pooling
"bidirectional_mean". Shapes: B texts, S splits, T tokens, D width.
"""

from typing import Any

import torch
from torch import Tensor, nn

from encoder.attention import bidirectional_states
from encoder.errors import ConfigError
from train.objectives.head import Head
from train.objectives.masked_next_token import draw_mask, masked_next_token_loss
from train.settings import Compression


def mask_token(tokenizer: Any) -> int:
    """The id that masked tokens are replaced by.

    The tokenizer's own mask token; else `_`, as LLM2Vec chose for Llama and Mistral, a token that says little
    and that the backbone has met; else the end of text, which LLM2Vec offers too.

    Args:
        tokenizer: of transformers.

    Raises:
        ConfigError: it has none of them.
    """
    for found in (tokenizer.mask_token_id, tokenizer.get_vocab().get("_"), tokenizer.eos_token_id):
        if found is not None:
            return int(found)
    raise ConfigError(
        "the tokenizer has no mask token, no token '_' and no end of text",
        "compression.objective = 'mntp'",
        "give the tokenizer a mask_token, or choose another objective",
    )


class MaskedNextToken(nn.Module):
    """A decoder under full attention that predicts each masked token from the state one place before it.

    As in LLM2Vec every masked token becomes the same one; a decoder's states already speak of the next token, so
    that the head needs no training. While training, masks come from torch's global random numbers; in
    evaluation the same batch is always masked alike, so that losses at different steps compare.

    Args:
        backbone: an `AutoModel` decoder, or a PEFT wrapping of one; it is trained.
        head: from hidden states to the logits of the language model, as `language_head` makes it; it is not trained.
        bos_id: put before every text, None for a tokenizer without; then no first token is masked.
        mask_id: what masked tokens become, as `mask_token` finds it.
        settings: `mask_share` and `chunk_rows` of it count.
        seed: of the masks in evaluation.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        *,
        bos_id: int | None,
        mask_id: int,
        settings: Compression,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.bos_id = bos_id
        self.mask_id = mask_id
        self.settings = settings
        self.seed = seed

    def forward(self, input_ids: Tensor, length: Tensor, splits: Tensor | None = None) -> dict[str, Tensor]:
        """The loss of a batch.

        Args:
            input_ids: [B, T] int64, right padded, without BOS.
            length: [B] int64, real tokens of each text.
            splits: [B, S] int64, passed over: the text is not split.

        Returns:
            `loss`, a float32 scalar: the mean over texts. `tokens`, an int64 scalar: text tokens that were read.
        """
        ids, end = input_ids, length
        if self.bos_id is not None:
            ids, end = torch.cat([ids.new_full((len(ids), 1), self.bos_id), ids], dim=1), length + 1
        position = torch.arange(ids.shape[1], device=ids.device)
        is_real = position < end[:, None]
        # The first column is BOS, or a token that no state stands before.
        mask = draw_mask(is_real & (position > 0), self.settings.mask_share, self._random())
        embeddings = self.backbone.get_input_embeddings()(ids.masked_fill(mask, self.mask_id))  # type: ignore[operator]
        states = bidirectional_states(self.backbone, embeddings, is_real)
        loss = masked_next_token_loss(states, ids, mask, self.head, chunk_rows=self.settings.chunk_rows)
        return {"loss": loss, "tokens": length.sum()}

    def _random(self) -> torch.Generator | None:
        return None if self.training else torch.Generator().manual_seed(self.seed)
