"""A tiny encoder directory, made once."""

from pathlib import Path

import pytest

from encoder.memory import new_memory
from encoder.save import save_encoder
from tests.encoder.tiny import tiny_backbone, tiny_config, tiny_tokenizer


@pytest.fixture(scope="session")
def saved_parts():
    """Backbone, memory, tokenizer and configuration of a tiny llama encoder."""
    backbone = tiny_backbone()
    return {
        "backbone": backbone,
        "memory": new_memory(backbone, 4),
        "tokenizer": tiny_tokenizer(),
        "config": tiny_config(),
    }


@pytest.fixture(scope="session")
def encoder_directory(tmp_path_factory, saved_parts) -> Path:
    directory = tmp_path_factory.mktemp("encoders") / "tiny"
    save_encoder(directory, **saved_parts)
    return directory


@pytest.fixture(scope="session")
def encoder(encoder_directory):
    from encoder.checkpoint import load_encoder

    return load_encoder(str(encoder_directory), device="cpu", dtype="float32")
