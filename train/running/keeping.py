"""Weights of a stage into a checkpoint and back, each checkpoint an encoder directory that stands alone.

Shapes: M memory tokens, D embedding dimension.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from encoder.config import BaseReference, EncoderConfig
from encoder.errors import CheckpointError
from encoder.save import write_files
from encoder.weights import ADAPTER_FILES, MEMORY_FILE, read_backbone, read_tensors
from train.running.card import inherited


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of the model files of a folder, of any shape, by name; memory tokens and adapters are none.

    Raises:
        CheckpointError: there are none, or one is damaged.
    """
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise CheckpointError(
            "model.safetensors is missing", str(folder), "begin again from an earlier checkpoint"
        )
    tensors: dict[str, Tensor] = {}
    for path in files:
        tensors |= read_tensors(path)
    return tensors


class EncoderKeeper:
    """Writes the encoder of this moment, and takes back what it wrote.

    Args:
        backbone: a decoder without head, or a PeftModel over one.
        memory: [M, D] the trained memory tokens; None where the encoder has none.
        tokenizer: a fast tokenizer of transformers.
        config: of the encoder before this stage, or of a new one; `stages` are those before.
        base: where the backbone lies when only an adapter is trained: a folder or a name on the Hub.
        entry: of this stage in the history; the steps are added.
    """

    def __init__(
        self,
        backbone: nn.Module,
        memory: nn.Parameter | None,
        tokenizer: Any,
        config: EncoderConfig,
        *,
        base: BaseReference,
        entry: Mapping[str, Any],
    ) -> None:
        self._backbone = backbone
        self._memory = memory
        self._tokenizer = tokenizer
        self._config = config
        self._base = base
        self._entry = dict(entry)

    def config_at(self, step: int, place: Path, card: Mapping[str, Any] | None = None) -> EncoderConfig:
        """The configuration of the encoder after so many steps, as it lies in `place`."""
        stages = (*self._config.stages, {**self._entry, "steps": step})
        base = self._base
        if base.kind == "path":  # relative, so that both can be moved together
            base = replace(base, ref=os.path.relpath(Path(base.ref).resolve(), place.resolve()))
        return replace(
            self._config, stages=stages, base=base, card={**inherited(self._config.card), **(card or {})}
        )

    def save(self, folder: Path, step: int) -> None:
        """Writes an encoder directory into an existing folder."""
        self.write(folder, folder, step)

    def write(self, folder: Path, home: Path, step: int, card: Mapping[str, Any] | None = None) -> None:
        """Writes an encoder directory into a folder that will be renamed to `home`."""
        width = self._backbone.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
        write_files(
            folder,
            home,
            backbone=self._backbone,
            memory=torch.empty(0, width) if self._memory is None else self._memory,
            tokenizer=self._tokenizer,
            config=self.config_at(step, home, card),
        )

    def load(self, folder: Path) -> None:
        """Takes the weights of a folder that `save` wrote.

        Raises:
            CheckpointError: a file is missing or damaged.
        """
        if hasattr(self._backbone, "peft_config"):
            from peft import set_peft_model_state_dict

            set_peft_model_state_dict(self._backbone, read_tensors(folder / ADAPTER_FILES[1]))
        else:
            # Read as transformers does: it stores the experts of mixtral and others under other names.
            self._backbone.load_state_dict(read_backbone(folder).state_dict())
        if self._memory is not None:
            with torch.no_grad():
                self._memory.copy_(read_tensors(folder / MEMORY_FILE)["memory"])
