"""The objectives of stage 1 as their formulas say, over two copies of the model and with all logits at once.

A peer for the benchmark and an oracle for the tests: it shares no code with us. Every text and split is a row of a
padded batch for the encoder, for the decoder and for the teacher.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from torch.nn.utils.rnn import pad_sequence

PAPER_TARGETS = ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class PlainCompressor(nn.Module):
    """An encoder with an adapter, and a frozen decoder with weights of its own.

    Args:
        causal_lm: becomes the decoder; its layers are copied for the encoder.
        memory: [M, D] memory tokens, copied.
        bos_id: token before contexts, memory and texts, or None.
        targets: linear layers of the adapter; None to train all weights of the encoder.
        rank: of the adapter.
        alpha: of the adapter.
        dropout: of the adapter.
    """

    def __init__(
        self,
        causal_lm: Any,
        memory: Tensor,
        bos_id: int | None,
        *,
        targets: Sequence[str] | None = PAPER_TARGETS,
        rank: int = 16,
        alpha: int = 32,
        dropout: float = 0.05,
    ) -> None:
        super().__init__()
        self.decoder = causal_lm.eval().requires_grad_(False)
        self.backbone = copy.deepcopy(causal_lm.base_model).requires_grad_(True)
        if targets is not None:
            adapter = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(targets))
            self.backbone = get_peft_model(self.backbone, adapter)
        self.memory = nn.Parameter(memory.detach().clone())
        self.start = [] if bos_id is None else [bos_id]

    def train(self, mode: bool = True) -> "PlainCompressor":
        super().train(mode)
        self.decoder.eval()
        return self

    def loss(self, objective: str, texts: Sequence[Tensor], splits: Sequence[Sequence[int]]) -> Tensor:
        """The mean over texts and splits of each one's mean over positions.

        Args:
            objective: ctkd, nll or reconstruction.
            texts: token ids [N] of each.
            splits: of each text, tokens of the context.
        """
        if objective == "reconstruction":
            contexts, continuations = list(texts), list(texts)
        else:
            pairs = [(text, split) for text, some in zip(texts, splits, strict=True) for split in some]
            contexts = [text[:split] for text, split in pairs]
            continuations = [text[split:] for text, split in pairs]
        student = self._student_logits(self._compress(contexts), continuations)
        if objective == "ctkd":
            with torch.no_grad():
                teacher = list(self._teacher_logits(contexts, continuations))
            losses = [
                kl_div(log_softmax(q, -1), log_softmax(p, -1), reduction="sum", log_target=True) / len(q)
                for q, p in zip(student, teacher, strict=True)
            ]
        else:
            losses = [cross_entropy(q[:-1], text) for q, text in zip(student, continuations, strict=True)]
        return torch.stack(losses).mean()

    def _compress(self, contexts: Sequence[Tensor]) -> list[Tensor]:
        """Memory outputs [M, D] of each context."""
        embed = self.backbone.get_input_embeddings()
        rows = [
            torch.cat([embed(self._started(ids)), self.memory.to(embed.weight.dtype)]) for ids in contexts
        ]
        inputs = pad_sequence(rows, batch_first=True)
        mask = torch.zeros(len(rows), 1, 1, inputs.shape[1], dtype=inputs.dtype)
        for number, row in enumerate(rows):
            mask[number, ..., len(row) :] = torch.finfo(inputs.dtype).min
        position = torch.arange(inputs.shape[1])[None].expand(len(rows), -1)
        states = self.backbone(
            inputs_embeds=inputs, attention_mask=mask, position_ids=position, use_cache=False
        ).last_hidden_state
        # Taken apart by iteration, whose way back is one stack; an index for each row would fill a whole tensor.
        return [
            state[len(row) - len(self.memory) : len(row)] for state, row in zip(states, rows, strict=True)
        ]

    def _student_logits(
        self, memories: Sequence[Tensor], continuations: Sequence[Tensor]
    ) -> Iterator[Tensor]:
        """Logits [L + 1, V] of each continuation of L tokens: at the last memory output and at each token."""
        embed = self.decoder.get_input_embeddings()
        start = embed(torch.tensor(self.start, dtype=torch.long))
        rows = [torch.cat([start, m, embed(ids)]) for m, ids in zip(memories, continuations, strict=True)]
        logits = self.decoder(inputs_embeds=pad_sequence(rows, batch_first=True), use_cache=False).logits
        for logits_TV, row in zip(logits, rows, strict=True):
            yield logits_TV[len(self.start) + len(self.memory) - 1 : len(row)]

    def _teacher_logits(
        self, contexts: Sequence[Tensor], continuations: Sequence[Tensor]
    ) -> Iterator[Tensor]:
        """Logits [L + 1, V] at the last token of each context and at each token of its continuation."""
        rows = [self._started(torch.cat(pair)) for pair in zip(contexts, continuations, strict=True)]
        logits = self.decoder(input_ids=pad_sequence(rows, batch_first=True), use_cache=False).logits
        for logits_TV, row, ids in zip(logits, rows, continuations, strict=True):
            yield logits_TV[len(row) - len(ids) - 1 : len(row)]

    def _started(self, ids: Tensor) -> Tensor:
        return torch.cat([ids.new_tensor(self.start), ids])
