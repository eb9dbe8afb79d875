import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from sentence_transformers import SentenceTransformer

from encoder.checkpoint import load_encoder, save_encoder
from encoder.config import BaseReference, Prompts
from encoder.errors import UnsupportedBackboneError, UsageError
from encoder.export import TOLERANCE, export_encoder
from encoder.memory import new_memory
from tests.encoder.tiny import ARCHITECTURES, TEXTS, tiny_backbone, tiny_config, tiny_tokenizer

_HOSTILE = [*TEXTS, "<mem_0> <mem_1>", "<s> a </s>", "  leading\n\nlines ", "word " * 300]


def _saved(place, kind="llama", **changes):
    backbone = tiny_backbone(kind)
    tokenizer = changes.pop("tokenizer", tiny_tokenizer())
    save_encoder(
        place,
        backbone=backbone,
        memory=new_memory(backbone, 4),
        tokenizer=tokenizer,
        config=tiny_config(**changes),
    )
    return load_encoder(str(place), device="cpu", dtype="float32")


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_export_of_every_architecture_agrees(kind, tmp_path):
    encoder = _saved(tmp_path / "encoder", kind)
    assert export_encoder(tmp_path / "encoder", tmp_path / "out") <= TOLERANCE
    plain = SentenceTransformer(str(tmp_path / "out"), device="cpu", local_files_only=True)
    assert np.allclose(plain.encode(_HOSTILE), encoder.encode_document(_HOSTILE), atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "out"]


@pytest.mark.slow
def test_the_export_needs_neither_this_package_nor_remote_code(tmp_path):
    encoder = _saved(tmp_path / "encoder", prompts=Prompts(query="query: "))
    export_encoder(tmp_path / "encoder", tmp_path / "out")
    script = (
        "import sys, json\n"
        "from sentence_transformers import SentenceTransformer\n"
        "model = SentenceTransformer(sys.argv[1], device='cpu', local_files_only=True)\n"
        "found = model.encode_query(json.loads(sys.argv[2]))\n"
        "assert 'encoder' not in sys.modules\n"
        "print(json.dumps(found.tolist()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, str(tmp_path / "out"), json.dumps(TEXTS)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    found = np.array(json.loads(done.stdout.splitlines()[-1]), dtype=np.float32)
    assert np.allclose(found, encoder.encode_query(TEXTS), atol=1e-5)


def test_a_tokenizer_without_bos_and_pad_can_be_exported(tmp_path):
    tokenizer = tiny_tokenizer(bos=None)
    tokenizer.pad_token = None
    _saved(tmp_path / "encoder", tokenizer=tokenizer)
    assert export_encoder(tmp_path / "encoder", tmp_path / "out") <= TOLERANCE


def test_an_export_that_disagrees_is_deleted(tmp_path, monkeypatch):
    _saved(tmp_path / "encoder")
    monkeypatch.setattr("encoder.export._write_memory_rows", lambda *parts: _scaled_rows(*parts))
    with pytest.raises(
        UnsupportedBackboneError, match="exported llama gives other vectors under eager attention"
    ):
        export_encoder(tmp_path / "encoder", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def _scaled_rows(backbone, memory, memory_ids):
    backbone.resize_token_embeddings(max(memory_ids) + 1, mean_resizing=False)
    with torch.no_grad():
        backbone.get_input_embeddings().weight[memory_ids] = memory * 1.01 + 0.01


def test_an_adapter_is_merged_into_the_export(tmp_path):
    tiny_backbone().save_pretrained(tmp_path / "base")
    model = get_peft_model(
        tiny_backbone(), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    )
    save_encoder(
        tmp_path / "encoder",
        backbone=model,
        memory=new_memory(model, 4),
        tokenizer=tiny_tokenizer(),
        config=tiny_config(base=BaseReference("path", "../base")),
    )
    encoder = load_encoder(str(tmp_path / "encoder"), device="cpu", dtype="float32")
    export_encoder(tmp_path / "encoder", tmp_path / "out")
    plain = SentenceTransformer(str(tmp_path / "out"), device="cpu", local_files_only=True)
    assert np.allclose(plain.encode(_HOSTILE), encoder.encode_document(_HOSTILE), atol=1e-5)


def test_the_bundled_encoder_can_be_named(tmp_path, monkeypatch):
    _saved(tmp_path / "bundled")
    monkeypatch.setattr("encoder.spec.__file__", str(tmp_path / "spec.py"))
    assert export_encoder("default", tmp_path / "out") <= TOLERANCE


def test_an_existing_place_is_kept_unless_replaced(tmp_path):
    _saved(tmp_path / "encoder")
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="the place is taken"):
        export_encoder(tmp_path / "encoder", tmp_path / "out")
    export_encoder(tmp_path / "encoder", tmp_path / "out", replace=True)
    assert (tmp_path / "out" / "modules.json").exists()


def test_an_attention_temperature_cannot_be_exported(tmp_path):
    _saved(tmp_path / "encoder", attention_temperature=0.9)
    with pytest.raises(UsageError, match="attention_temperature 0.9 cannot be exported"):
        export_encoder(tmp_path / "encoder", tmp_path / "out")
