"""The model of stage 1: an encoder compresses contexts, a frozen decoder says how well it can go on from them.

Shapes: B texts, S splits of a text, P sequences (a text and a split each), G sequences of one pass, T tokens,
M memory tokens, D embedding dimension.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from encoder.errors import ConfigError
from encoder.memory import MemoryModel
from train.compression.decoding import Taught, continue_memory, teach
from train.compression.passes import cut_passes, pass_budget
from train.compression.sequences import Sequences, predicted_tokens, split_texts, take_tokens, whole_texts
from train.objectives.cross_entropy import token_loss
from train.objectives.ctkd import ctkd_loss
from train.objectives.head import language_head
from train.objectives.known import with_known_gradient
from train.objectives.product import use_fast_products
from train.settings import Compression

OBJECTIVES = ("ctkd", "nll", "reconstruction")


class Compressor(nn.Module):
    """Texts and splits to the loss of one of the objectives.

    The decoder's part of the gradient is computed within `forward`, pass by pass, so its activations exist for
    one pass at a time; the encoder's part comes with `backward` as usual.

    On a processor its layers multiply by oneDNN where that is faster.

    Args:
        encoder: what is trained.
        decoder: a causal language model, frozen here; the teacher too. It stays in evaluation mode.
        bos_id: token put before contexts, memory and texts, or None.
        settings: objective and chunk size.
        pass_tokens: most padded tokens of one pass; None: by device and decoder.

    Raises:
        ConfigError: the objective is not one of this model.
        UnsupportedBackboneError: the decoder's logits cannot be computed from its states.
    """

    def __init__(
        self,
        encoder: MemoryModel,
        decoder: nn.Module,
        *,
        bos_id: int | None,
        settings: Compression,
        pass_tokens: int | None = None,
    ) -> None:
        super().__init__()
        if settings.objective not in OBJECTIVES:
            raise ConfigError(
                f"{settings.objective!r} does not go through a decoder",
                "compression.objective",
                f"choose one of {', '.join(OBJECTIVES)}",
            )
        self.encoder = encoder
        self.decoder = decoder.requires_grad_(False).eval()
        self.settings = settings
        self._start_ids = () if bos_id is None else (bos_id,)
        self._head = language_head(self.decoder)
        self._pass_tokens = pass_tokens
        use_fast_products(self)

    def train(self, mode: bool = True) -> "Compressor":
        """Sets the mode of the encoder; the decoder stays in evaluation mode."""
        super().train(mode)
        self.decoder.eval()
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles the layers of encoder and decoder, as `torch.nn.Module.compile` does, and not what is around."""
        self.encoder.backbone.compile(*args, **kwargs)
        decoder: Any = self.decoder
        decoder.base_model.compile(*args, **kwargs)

    @torch.compiler.disable  # lengths decide what is computed, so each batch would be compiled anew
    def forward(self, input_ids: Tensor, length: Tensor, splits: Tensor) -> dict[str, Tensor]:
        """The loss of a batch.

        Args:
            input_ids: [B, T] int64, right padded with any token, without start token.
            length: [B] int64, tokens of each text.
            splits: [B, S] int64, tokens of the context, at least 1 and less than the text has; reconstruction
                does not look at them.

        Returns:
            "loss": scalar, mean over texts and splits of the mean over positions. "tokens": int64 scalar, text
            tokens that the encoder read.

        Raises:
            ShapeError: a split lies outside of its text.
        """
        sequences = self._sequences(length, splits)
        teacher = self._teach(input_ids, sequences)
        loss = self._judge(input_ids, self._encode(input_ids, sequences), sequences, teacher)
        return {"loss": loss, "tokens": torch.tensor(int(sequences.context_P.sum()), device=loss.device)}

    @torch.no_grad()
    def controls(self, input_ids: Tensor, length: Tensor, splits: Tensor) -> dict[str, Tensor]:
        """The losses that tell whether the memory says anything, on a batch of at least two texts.

        Args:
            input_ids: [B, T] int64, as for `forward`.
            length: [B] int64.
            splits: [B, S] int64.

        Returns:
            Scalars: "own" with each text's memory, "other" with that of the text before it, and "none" without
            any where there is a start token to go on from. A useful memory has own < none < other.
        """
        sequences = self._sequences(length, splits)
        memory_PMD = self._encode(input_ids, sequences)
        others_PMD = memory_PMD.roll(len(sequences) // len(input_ids), dims=0)
        found = {"own": memory_PMD, "other": others_PMD}
        if self._start_ids:
            found["none"] = memory_PMD[:, :0]
        teacher = self._teach(input_ids, sequences)
        return {name: self._judge(input_ids, memory, sequences, teacher) for name, memory in found.items()}

    def _sequences(self, length: Tensor, splits: Tensor) -> Sequences:
        """What is encoded and decoded of texts of these lengths [B] at these splits [B, S]."""
        length_B = length.cpu().numpy()
        if self.settings.objective == "reconstruction":
            return whole_texts(length_B)
        return split_texts(length_B, splits.cpu().numpy(), is_end_judged=self.settings.objective == "ctkd")

    def _encode(self, ids_BT: Tensor, sequences: Sequences) -> Tensor:
        """Memory outputs [P, M, D], with their graph."""
        outputs, groups = [], []
        for group, some in self._passes(sequences, sequences.context_P, ids_BT.device):
            token_GT, real_GT = take_tokens(ids_BT, some.text_P, np.zeros_like(group), some.context_P)
            start_GT = token_GT.new_tensor(self._start_ids).expand(len(group), -1)
            mask_GT = torch.cat([torch.ones_like(start_GT, dtype=torch.bool), real_GT], dim=1)
            outputs.append(self.encoder(torch.cat([start_GT, token_GT], dim=1), mask_GT))
            groups.append(group)
        place_P = torch.from_numpy(np.argsort(np.concatenate(groups)))
        return torch.cat(outputs)[place_P.to(ids_BT.device)]

    def _teach(self, ids_BT: Tensor, sequences: Sequences) -> Taught | None:
        """What the teacher says of the same positions; None where the objective has no teacher."""
        if self.settings.objective != "ctkd":
            return None
        budget = self._budget(ids_BT.device)
        return teach(self.decoder, ids_BT, sequences, start_ids=self._start_ids, budget=budget)

    def _judge(
        self, ids_BT: Tensor, memory_PMD: Tensor, sequences: Sequences, teacher: Taught | None
    ) -> Tensor:
        """The loss as a function of the memory outputs."""
        is_trained = torch.is_grad_enabled() and memory_PMD.requires_grad
        gradient_PMD = torch.zeros_like(memory_PMD) if is_trained else None
        total = torch.zeros((), device=ids_BT.device)
        for group, some in self._passes(sequences, sequences.end_P - sequences.start_P, ids_BT.device):
            group_G = torch.from_numpy(group).to(ids_BT.device)
            memory_GMD = memory_PMD.detach()[group_G].requires_grad_(is_trained)
            loss = self._loss(ids_BT, memory_GMD, some, teacher) / len(sequences)
            if gradient_PMD is not None:
                # Autocast did its part on the way there; it is not meant for the way back.
                with torch.autocast(ids_BT.device.type, enabled=False):
                    gradient_PMD[group_G] = torch.autograd.grad(loss, memory_GMD)[0]
            total += loss.detach()
        return total if gradient_PMD is None else with_known_gradient(total, memory_PMD, gradient_PMD)

    def _loss(
        self, ids_BT: Tensor, memory_GMD: Tensor, sequences: Sequences, teacher: Taught | None
    ) -> Tensor:
        """Sum over sequences of the mean over positions."""
        student_RD = continue_memory(self.decoder, ids_BT, memory_GMD, sequences, self._start_ids)
        weight_R = np.repeat(1.0 / sequences.rows_P, sequences.rows_P).astype(np.float32)
        to_judge = (torch.from_numpy(weight_R).to(student_RD.device), self._head)
        chunk_rows = self.settings.chunk_rows
        if teacher is None:
            target_R = predicted_tokens(ids_BT, sequences)
            return token_loss(student_RD, target_R, *to_judge, chunk_rows=chunk_rows)
        return ctkd_loss(student_RD, teacher.rows(sequences), *to_judge, chunk_rows=chunk_rows)

    def _passes(
        self, sequences: Sequences, token_P: Any, device: torch.device
    ) -> list[tuple[Any, Sequences]]:
        """Numbers [G] and sequences of each pass over these numbers of tokens [P], start and memory added."""
        extra = len(self._start_ids) + self.encoder.n_memory
        groups = cut_passes(token_P + extra, budget=self._budget(device), device=device)
        return [(group, sequences.of(group)) for group in groups]

    def _budget(self, device: torch.device) -> int:
        return self._pass_tokens or pass_budget(self.decoder.config, device)
