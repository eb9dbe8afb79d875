"""The memory that is said for compression against what its model keeps for the backward pass."""

import weakref
from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from encoder.memory import MemoryModel, new_memory
from train.adapter import attach_adapter
from train.compression.compressor import Compressor
from train.compression.twin import share_decoder
from train.planning.activations import Precision, layer_shape
from train.planning.device_memory import device_memory
from train.planning.parameters import count_parameters
from train.planning.workload import workload
from train.settings import Adapter, Compression, CompressRecipe, Memory, Schedule, Texts

_TEXTS, _LENGTH, _MEMORY = 4, 90, 4
_CONFIG = {
    "model_type": "llama",
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 172,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
}


def _kept_bytes(model, run):
    """Bytes of all storages that the graph still holds when `run` is done, the model's own left out."""
    own = {weight.untyped_storage().data_ptr() for weight in (*model.parameters(), *model.buffers())}
    packed = []

    def pack(tensor):
        packed.append(weakref.ref(tensor))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = run()
    alive = [tensor for reference in packed if (tensor := reference()) is not None]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in alive}
    assert loss.requires_grad
    return sum(size for pointer, size in storages.items() if pointer not in own)


@pytest.mark.parametrize("objective", ["ctkd", "nll", "reconstruction"])
def test_compression_keeps_about_the_activations_that_are_said(objective):
    config = AutoConfig.for_model(**_CONFIG)
    recipe = CompressRecipe(
        out="o",
        backbone="b",
        texts=Texts(files=("t.txt",)),
        schedule=Schedule(steps=1, batch=_TEXTS, dtype="float32"),
        memory=Memory(n_memory=_MEMORY, max_tokens=_LENGTH),
        adapter=Adapter(dropout=0.0),
        compression=Compression(objective=objective, splits=2),
    )
    load = workload(recipe, _TEXTS, n_memory=_MEMORY, mean_tokens=None, pass_tokens=1000)
    # The decoder's activations are gone when the encoder's backward pass begins.
    said = device_memory(
        replace(load, passes=load.passes[:1]),
        count_parameters(recipe, config, n_memory=_MEMORY),
        layer_shape(config),
        precision=Precision(products=4, frozen=4),
        devices=1,
        is_checkpointed=False,
    ).activations

    language_model = AutoModelForCausalLM.from_config(config)
    decoder = share_decoder(language_model)
    backbone = attach_adapter(language_model.base_model, recipe.adapter)
    encoder = MemoryModel(backbone, new_memory(backbone, _MEMORY))
    model = Compressor(encoder, decoder, bos_id=1, settings=recipe.compression).train()
    ids = torch.ones(_TEXTS, _LENGTH, dtype=torch.int64)
    splits = torch.tensor([[_LENGTH // 2, _LENGTH - 10]] * _TEXTS)  # as late as they may be
    kept = _kept_bytes(model, lambda: model(ids, torch.full((_TEXTS,), _LENGTH), splits)["loss"])
    assert 0.95 <= said / kept <= 1.35  # late splits leave ten tokens of the text to the decoder
