"""Placing a model: weights take the dtype of the device, and nothing else does. Memory does not grow with the texts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from encoder.attention import bidirectional_states
from encoder.device import Placement
from encoder.memory import MemoryModel, new_memory
from tests.encoder.tiny import tiny_backbone

_HALF = Placement(torch.device("cpu"), torch.bfloat16, torch.bfloat16)


def test_weights_are_cast_and_rotary_frequencies_are_not():
    backbone = tiny_backbone("llama", max_position_embeddings=4096)
    before = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    model = MemoryModel(backbone, new_memory(backbone, 3))
    _HALF.place(model)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert before and all(torch.equal(before[name], buffer) for name, buffer in backbone.named_buffers())


def test_a_late_token_is_where_float32_has_it():
    """With frequencies in bfloat16 the angles of late positions are off by more than the weights' rounding is."""
    tokens = 400
    exact, placed = (tiny_backbone("llama", max_position_embeddings=4096) for _ in range(2))
    _HALF.place(placed)
    embeddings = torch.randn(
        (1, tokens, exact.config.hidden_size), generator=torch.Generator().manual_seed(0)
    )
    real = torch.ones((1, tokens), dtype=torch.bool)
    with torch.no_grad():
        expected = bidirectional_states(exact, embeddings, real)[0]
        found = bidirectional_states(placed, embeddings.bfloat16(), real)[0].float()
        placed.to(torch.bfloat16)
        cast_too = bidirectional_states(placed, embeddings.bfloat16(), real)[0].float()
    near, far = (torch.cosine_similarity(states, expected).min() for states in (found, cast_too))
    assert near > 0.99 and near > far


def test_weights_that_are_shared_stay_shared():
    layer = torch.nn.Linear(4, 4)
    model = torch.nn.ModuleList([layer, torch.nn.Linear(4, 4)])
    model[1].weight = layer.weight
    _HALF.place(model)
    assert model[0].weight is model[1].weight and model[0].weight.dtype == torch.bfloat16


_ENCODE = """
from pathlib import Path
from encoder import load_encoder

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

encoder = load_encoder("default", device="cpu")
encoder.encode_document(["a text"])
before = anonymous()
for first in range(4):  # nearly every batch has shapes of its own
    encoder.encode_document(["many words " * (n % 120) + f"{first} {n}" for n in range(first, 250)])
print(anonymous() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_batches_of_many_shapes_do_not_fill_the_memory():
    environment = {name: value for name, value in os.environ.items() if "CACHE_CAPACITY" not in name}
    done = subprocess.run(
        [sys.executable, "-c", _ENCODE], capture_output=True, text=True, check=True, env=environment
    )
    assert float(done.stdout) < 300, "megabytes; 490 with the default of oneDNN and torch"
