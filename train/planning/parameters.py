"""The numbers of a recipe's models, from the models themselves built without storage (torch's device "meta")."""

from dataclasses import dataclass
from typing import Any

from train.planning.activations import AdapterShape
from train.planning.workload import (
    TrainingRecipe,
    has_head,
    has_second_copy,
    memory_tokens,
    trained_part,
)
from train.settings import PretrainRecipe


@dataclass(frozen=True)
class ParameterCounts:
    """The numbers of a recipe's models."""

    trained: int
    trained_tensors: int
    frozen: int
    layers: int  # of all layers together: what multiplies every token
    head: int  # of the language head: what multiplies every position with logits
    adapter: AdapterShape
    has_head_norms: bool


def count_parameters(recipe: TrainingRecipe, config: Any, *, n_memory: int) -> ParameterCounts:
    """The numbers that a recipe trains and those it leaves alone, from the model itself but without storage.

    Args:
        recipe: of a stage that trains.
        config: the backbone's configuration.
        n_memory: of the encoder, for the stages after compression.

    Raises:
        ConfigError: the adapter names layers that the backbone does not have.
    """
    import copy

    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(copy.deepcopy(config))
        backbone = model.base_model
        whole, bare = _size(model), _size(backbone)
        table = model.get_input_embeddings().weight.numel()
        head = model.get_output_embeddings().weight.numel()
        has_head_norms = any(name.endswith(".q_norm") for name, _ in backbone.named_modules())
        adapter = AdapterShape()
        if trained_part(recipe) == "adapter":
            adapter = _attach(backbone, recipe)
            frozen = whole if has_head(recipe) else bare
        elif isinstance(recipe, PretrainRecipe):
            backbone, frozen = model, 0
        else:
            frozen = whole if has_second_copy(recipe) else (whole - bare if has_head(recipe) else 0)
    trained = [weight.numel() for weight in backbone.parameters() if weight.requires_grad]
    trained_slots, frozen_slots = memory_tokens(recipe, n_memory)
    return ParameterCounts(
        trained=sum(trained) + trained_slots * config.hidden_size,
        trained_tensors=len(trained) + (trained_slots > 0),
        frozen=frozen + frozen_slots * config.hidden_size,
        layers=bare - table,
        head=head,
        adapter=adapter,
        has_head_norms=has_head_norms,
    )


def _size(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters())


def _attach(backbone: Any, recipe: Any) -> AdapterShape:
    """Puts the recipe's adapter on a backbone; what it adds to a layer, on average."""
    from train.adapter import attach_adapter

    attach_adapter(backbone, recipe.adapter)
    added = [weight.shape for name, weight in backbone.named_parameters() if ".lora_A." in name]
    layers = backbone.config.num_hidden_layers
    return AdapterShape(
        inputs=sum(width for _, width in added) // layers,
        ranks=sum(rank for rank, _ in added) // layers,
        has_dropout=recipe.adapter.dropout > 0,
    )
