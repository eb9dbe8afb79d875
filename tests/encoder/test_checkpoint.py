import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from encoder.checkpoint import load_encoder, read_checkpoint, save_encoder
from encoder.config import BaseReference
from encoder.errors import CheckpointError, ConfigError, UnsupportedBackboneError, UsageError
from encoder.memory import MemoryModel, new_memory
from tests.encoder.tiny import TEXTS, tiny_backbone, tiny_config, tiny_tokenizer


@pytest.fixture
def directory(encoder_directory, tmp_path):
    return Path(shutil.copytree(encoder_directory, tmp_path / "copy"))


@pytest.fixture
def bare(tmp_path):
    """A backbone and its tokenizer, no encoder."""
    place = tmp_path / "bare"
    tiny_backbone().save_pretrained(place)
    tiny_tokenizer().save_pretrained(place)
    return place


@pytest.fixture
def adapted(tmp_path, bare):
    """The directory of an encoder that is an adapter on `bare`, the model saved, and the memory."""
    torch.manual_seed(3)
    model = get_peft_model(
        tiny_backbone(), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    )
    memory = new_memory(model, 4)
    base = BaseReference("path", os.path.relpath(bare, tmp_path / "adapted"))
    save_encoder(
        tmp_path / "adapted",
        backbone=model,
        memory=memory,
        tokenizer=tiny_tokenizer(),
        config=tiny_config(base=base),
    )
    return tmp_path / "adapted", model.eval(), memory


def _load(spec, **options):
    return load_encoder(str(spec), device="cpu", **{"dtype": "float32", **options})


def test_a_saved_encoder_gives_the_vectors_of_the_model_in_memory(encoder, saved_parts):
    model = MemoryModel(saved_parts["backbone"], saved_parts["memory"])
    for text, found in zip(TEXTS, encoder.encode_memory(TEXTS), strict=True):
        ids = torch.from_numpy(encoder.token_ids([text])[0])[None]
        with torch.inference_mode():
            states = model(ids, torch.ones_like(ids))[0]
        assert np.allclose(states.numpy(), found, atol=1e-5)


def test_the_public_name_loads_it_too(encoder_directory):
    import encoder

    assert encoder.load_encoder(str(encoder_directory)).n_memory == 4


def test_a_directory_moves_and_keeps_its_fingerprint(encoder, directory):
    moved = _load(directory)
    assert moved.fingerprint == encoder.fingerprint
    assert moved.name == str(directory)
    assert np.array_equal(moved.encode_document(TEXTS), encoder.encode_document(TEXTS))


def test_the_card_is_json(encoder):
    card = json.loads(json.dumps(encoder.card))
    assert card["architecture"] == "llama"
    assert card["dimension"] == 32


def test_float16_weights_are_close_and_half_as_large(encoder, tmp_path, saved_parts, encoder_directory):
    save_encoder(tmp_path / "half", **saved_parts, dtype="float16")
    vectors = _load(tmp_path / "half").encode_document(TEXTS)
    assert (vectors * encoder.encode_document(TEXTS)).sum(axis=1).min() > 0.999
    whole = (encoder_directory / "model.safetensors").stat().st_size
    assert (tmp_path / "half" / "model.safetensors").stat().st_size < 0.6 * whole


def test_nothing_stored_is_a_pickle_or_names_a_path(encoder_directory):
    names = sorted(path.name for path in encoder_directory.iterdir())
    assert [name for name in names if not name.endswith((".json", ".safetensors"))] == []
    for path in encoder_directory.glob("*.json"):
        assert str(encoder_directory.parent) not in path.read_text(encoding="utf-8")


def test_an_adapter_directory_gives_the_vectors_of_the_adapted_model(adapted):
    place, model, memory = adapted
    encoder = _load(place)
    ids = torch.from_numpy(encoder.token_ids(["quick fox"])[0])[None]
    with torch.inference_mode():
        states = MemoryModel(model, memory)(ids, torch.ones_like(ids))
    assert np.allclose(states.numpy(), encoder.encode_memory(["quick fox"]), atol=1e-5)


def test_an_adapter_directory_loads_in_peft(adapted, bare):
    place, _, _ = adapted
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(bare), str(place)).eval()
    memory = load_file(place / "memory.safetensors")["memory"]
    encoder = _load(place)
    ids = torch.from_numpy(encoder.token_ids(["quick fox"])[0])[None]
    with torch.inference_mode():
        states = MemoryModel(model, memory)(ids, torch.ones_like(ids))
    assert np.allclose(states.numpy(), encoder.encode_memory(["quick fox"]), atol=1e-5)


def test_an_adapter_directory_names_no_path_of_this_machine(adapted):
    content = json.loads((adapted[0] / "adapter_config.json").read_text(encoding="utf-8"))
    assert content["base_model_name_or_path"] == os.path.join("..", "bare")  # noqa: PTH118


def test_training_gets_the_adapter_unmerged(adapted):
    parts = read_checkpoint(adapted[0])
    assert isinstance(parts.backbone, PeftModel)


def test_a_changed_base_is_refused(adapted, bare):
    path = bare / "config.json"
    path.write_text(path.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))
    with pytest.raises(CheckpointError, match="config.json is not the one this encoder was saved with"):
        _load(adapted[0])


def test_a_missing_base_is_refused_with_the_place_it_should_have(adapted, bare):
    shutil.rmtree(bare)
    with pytest.raises(CheckpointError, match="the backbone ../bare is not there") as caught:
        _load(adapted[0])
    assert str(bare) in caught.value.fix


def _truncate(name):
    def damage(place):
        path = place / name
        os.truncate(path, path.stat().st_size // 2)

    return damage


def _remove(name):
    return lambda place: (place / name).unlink()


def _write(name, text):
    return lambda place: (place / name).write_text(text, encoding="utf-8")


def _edit(**changes):
    def damage(place):
        path = place / "llm2comp.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return damage


def _memory(values):
    return lambda place: save_file({"memory": values}, place / "memory.safetensors")


def _poison(place):
    tensors = load_file(place / "model.safetensors")
    tensors["norm.weight"][0] = float("nan")
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})


def _drop_a_weight(place):
    tensors = load_file(place / "model.safetensors")
    del tensors["layers.1.mlp.up_proj.weight"]
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})


def _shrink_a_weight(place):
    tensors = load_file(place / "model.safetensors")
    tensors["layers.1.mlp.up_proj.weight"] = tensors["layers.1.mlp.up_proj.weight"][:5].clone()
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})


def _pickle_instead(place):
    torch.save(load_file(place / "model.safetensors"), place / "pytorch_model.bin")
    (place / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove("llm2comp.json"), "there is no llm2comp.json"),
        (_remove("memory.safetensors"), "memory.safetensors is missing"),
        (_remove("model.safetensors"), "model.safetensors is missing"),
        (_remove("config.json"), "config.json is missing"),
        (_remove("tokenizer.json"), "tokenizer.json is missing"),
        (_truncate("model.safetensors"), "model.safetensors is damaged"),
        (_truncate("memory.safetensors"), "memory.safetensors is damaged"),
        (_truncate("tokenizer.json"), "the tokenizer cannot be loaded"),
        (_truncate("llm2comp.json"), "llm2comp.json cannot be read as JSON"),
        (_write("llm2comp.json", "weights"), "llm2comp.json cannot be read as JSON"),
        (_write("config.json", "{}"), "config.json is not the one this encoder was saved with"),
        (_write("adapter_config.json", "{}"), "there is an adapter beside an embedded backbone"),
        (_edit(format=99), "format version is 99"),
        (_edit(surprise=1), "unknown key surprise"),
        (_edit(n_memory=5), r"memory tokens have the shape \(4, 32\), llm2comp.json says \(5, 32\)"),
        (_edit(dimension=16), r"llm2comp.json says \(4, 16\)"),
        (_edit(base={"kind": "embedded", "ref": "../other"}), "base.ref is '../other'"),
        (_edit(base={"kind": "path", "ref": "../nowhere"}), "adapter_config.json is missing"),
        (_edit(n_memory=0, pooling="mean"), "there is a memory.safetensors, llm2comp.json says n_memory 0"),
        (_memory(torch.full((4, 32), float("nan"))), "tensor memory holds NaN"),
        (_memory(torch.zeros(3, 32)), r"memory tokens have the shape \(3, 32\)"),
        (_poison, "tensor norm.weight holds NaN"),
        (_drop_a_weight, "1 weights are missing or misshapen, layers.1.mlp.up_proj.weight"),
        (_shrink_a_weight, "cannot be loaded|missing or misshapen"),
        (_pickle_instead, "model.safetensors is missing"),
    ],
)
def test_a_damaged_directory_is_refused_with_what_is_wrong(directory, damage, message):
    damage(directory)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(directory)
    assert str(directory) in caught.value.where
    assert caught.value.fix


def test_a_backbone_of_another_width_is_refused(directory):
    path = directory / "llm2comp.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "dimension": 16}))
    save_file({"memory": torch.zeros(4, 16)}, directory / "memory.safetensors")
    with pytest.raises(CheckpointError, match="the backbone is 32 wide, llm2comp.json says dimension 16"):
        _load(directory)


def test_a_tokenizer_larger_than_the_table_is_refused(directory):
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([f"new{number}" for number in range(20)])
    tokenizer.save_pretrained(directory)
    with pytest.raises(CheckpointError, match="the tokenizer has ids up to .*, the token table 300 rows"):
        _load(directory)


def test_a_failed_save_leaves_the_old_encoder_and_no_litter(directory, saved_parts, monkeypatch):
    before = _load(directory).fingerprint

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("encoder.save.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_encoder(directory, **{**saved_parts, "config": tiny_config(max_tokens=7)})
    assert [path.name for path in directory.parent.iterdir()] == [directory.name]
    assert _load(directory).fingerprint == before


def test_saving_over_an_encoder_replaces_it(directory, saved_parts):
    save_encoder(directory, **{**saved_parts, "config": tiny_config(max_tokens=7)})
    assert _load(directory).max_tokens == 7
    assert [path.name for path in directory.parent.iterdir()] == [directory.name]


def test_saving_over_something_else_is_refused(tmp_path, saved_parts):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("dear")
    with pytest.raises(CheckpointError, match="taken by something that is no encoder"):
        save_encoder(tmp_path / "letters", **saved_parts)
    assert (tmp_path / "letters" / "one.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"memory": torch.zeros(3, 32)}, ConfigError, r"memory tokens have the shape \(3, 32\)"),
        ({"memory": torch.full((4, 32), float("inf"))}, CheckpointError, "tensor memory holds NaN or infinity"),
        ({"dtype": "int8"}, ConfigError, "there is no dtype 'int8'"),
        ({"config": tiny_config(base=BaseReference("name", "a/b"))}, ConfigError, "base.kind is name and the backbone is whole"),
        ({"tokenizer": object()}, ConfigError, "the tokenizer has no fast form"),
        ({"backbone": tiny_backbone(hidden_size=16, head_dim=4)}, ConfigError, "the backbone is 16 wide"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_not_saved(tmp_path, saved_parts, change, error, message):
    with pytest.raises(error, match=message):
        save_encoder(tmp_path / "new", **{**saved_parts, **change})
    assert list(tmp_path.iterdir()) == []


def test_weights_too_large_for_float16_are_not_saved(tmp_path, saved_parts):
    backbone = tiny_backbone()
    with torch.no_grad():
        backbone.norm.weight[0] = 1e6
    with pytest.raises(CheckpointError, match="norm.weight holds NaN or infinity"):
        save_encoder(tmp_path / "new", **{**saved_parts, "backbone": backbone}, dtype="float16")


def test_an_adapter_without_a_base_is_not_saved(tmp_path, saved_parts):
    model = get_peft_model(tiny_backbone(), LoraConfig(target_modules="all-linear"))
    with pytest.raises(ConfigError, match="base.kind is embedded and the backbone is an adapter"):
        save_encoder(tmp_path / "new", **{**saved_parts, "backbone": model})


def test_a_missing_default_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("encoder.spec.__file__", str(tmp_path / "spec.py"))
    with pytest.raises(CheckpointError, match="this installation has no bundled encoder"):
        load_encoder("default")


@pytest.mark.parametrize(
    ("name", "message"), [("nowhere", "does not exist"), ("file", "is a file, not a directory")]
)
def test_a_place_that_is_no_directory_is_refused(tmp_path, name, message):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match=message):
        _load(tmp_path / name)


def test_a_bare_backbone_without_pooling_is_refused_with_the_choices(bare):
    with pytest.raises(CheckpointError, match="bare backbone and its pooling is open") as caught:
        _load(bare)
    for name in ("mean", "last", "weighted", "echo", "prompteol"):
        assert name in caught.value.fix


def test_a_bare_backbone_takes_its_pooling_and_length_from_the_spec(bare):
    encoder = _load(f"{bare}?pooling=mean&max_tokens=9")
    assert (encoder.n_memory, encoder.max_tokens) == (0, 9)
    assert encoder.encode_document(TEXTS).shape == (len(TEXTS), 32)


def test_pooling_of_an_encoder_cannot_be_chosen(encoder_directory):
    with pytest.raises(CheckpointError, match="pooling is fixed by llm2comp.json"):
        _load(f"{encoder_directory}?pooling=mean")


def test_a_name_on_the_hub_is_fetched_and_read(monkeypatch, encoder_directory, encoder):
    asked = {}

    def fake(name, revision, allow_patterns, local_files_only):
        asked.update(name=name, revision=revision, patterns=allow_patterns, cached=local_files_only)
        return str(encoder_directory)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fake)
    assert _load("hf:org/name@v2").fingerprint == encoder.fingerprint
    assert (asked["name"], asked["revision"], asked["cached"]) == ("org/name", "v2", False)
    assert not [pattern for pattern in asked["patterns"] if pattern.endswith((".bin", ".py", ".pt", ".pkl"))]


def test_opening_a_directory_downloads_nothing(monkeypatch, adapted):
    place = adapted[0]
    path = place / "llm2comp.json"
    path.write_text(
        json.dumps(
            {**json.loads(path.read_text()), "base": {"kind": "name", "ref": "org/base", "revision": "v1"}}
        )
    )

    def fake(*args, local_files_only, **kwargs):
        assert local_files_only
        raise OSError("not in the cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fake)
    with pytest.raises(CheckpointError, match="the backbone org/base is not on this machine") as caught:
        _load(place)
    assert "hf download org/base --revision v1" in caught.value.fix


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"peft_type": "PROMPT_TUNING"}', "the adapter is of the kind 'PROMPT_TUNING'"),
        ("[]", "the adapter is of the kind None"),
        ("{", "adapter_config.json cannot be read as JSON"),
    ],
)
def test_an_adapter_that_is_no_lora_is_refused(adapted, content, message):
    (adapted[0] / "adapter_config.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        _load(adapted[0])


def test_a_damaged_adapter_is_refused(adapted):
    _truncate("adapter_model.safetensors")(adapted[0])
    with pytest.raises(CheckpointError, match="adapter_model.safetensors is damaged"):
        _load(adapted[0])


def test_an_adapter_without_our_file_is_refused(adapted):
    (adapted[0] / "llm2comp.json").unlink()
    with pytest.raises(CheckpointError, match="there is an adapter but no llm2comp.json"):
        _load(f"{adapted[0]}?pooling=mean")


def test_a_name_that_cannot_be_fetched_is_refused(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(CheckpointError, match="org/name could not be fetched: no route to host"):
        _load("hf:org/name")


def test_a_backbone_that_cannot_is_refused_at_load(tmp_path):
    tiny_backbone("bloom").save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UnsupportedBackboneError, match="bloom cannot be made to attend"):
        _load(f"{tmp_path}?pooling=bidirectional_mean")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
        ({"dtype": "int4"}, "there is no dtype 'int4'"),
    ],
)
def test_an_unknown_device_or_dtype_is_refused(encoder_directory, options, message):
    with pytest.raises(UsageError, match=message):
        load_encoder(str(encoder_directory), **options)


def test_the_stored_tokenizer_keeps_look_alikes_as_characters_for_everyone(encoder_directory):
    tokenizer = AutoTokenizer.from_pretrained(encoder_directory)
    assert tokenizer("<s> fox </s>", add_special_tokens=False)["input_ids"].count(1) == 0
    assert tokenizer("<s> fox")["input_ids"][0] == 1  # its own BOS stays


def test_everybody_may_read_the_files(encoder_directory):
    assert {path.stat().st_mode & 0o777 for path in encoder_directory.iterdir()} == {0o644}
    assert encoder_directory.stat().st_mode & 0o777 == 0o755


def test_what_a_file_names_is_not_downloaded(monkeypatch):
    asked = []

    def refuse(name, *, local_files_only, **_):
        asked.append((name, local_files_only))
        raise OSError("no such snapshot")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(CheckpointError, match="hf:org/name@v1 is not on this machine") as caught:
        _load("hf:org/name@v1", only_cached=True)
    assert asked == [("org/name", True)] and "--encoder 'hf:org/name@v1'" in caught.value.fix
    with pytest.raises(CheckpointError, match="could not be fetched"):
        _load("hf:org/name")
    assert asked[1] == ("org/name", False)


def test_a_model_of_sentence_transformers_that_a_file_names_is_not_downloaded(monkeypatch):
    asked = []

    def refuse(place, *, local_files_only, **_):
        asked.append((place, local_files_only))
        raise OSError("no such snapshot")

    monkeypatch.setattr("sentence_transformers.SentenceTransformer", refuse)
    with pytest.raises(CheckpointError, match="st:org/name is not on this machine"):
        _load("st:org/name", only_cached=True)
    with pytest.raises(CheckpointError, match="cannot load it"):
        _load("st:org/name")
    assert asked == [("org/name", True), ("org/name", False)]


def test_the_folder_of_a_run_is_told_from_its_encoder(tmp_path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "llm2comp.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match="there is no llm2comp.json") as caught:
        load_encoder(str(tmp_path))
    assert caught.value.fix == f"this is the folder of a training run: give {tmp_path / 'encoder'}"
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path)
    assert caught.value.fix == f"this is the folder of a training run: give {tmp_path / 'encoder'}"
