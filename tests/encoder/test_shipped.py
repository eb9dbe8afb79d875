"""A bundled encoder with a missing or damaged file says which one, and the command that restores it."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import encoder
from app.cli import main
from encoder.checkpoint import load_encoder
from encoder.errors import CheckpointError
from encoder.shipped import SUMS_FILE, check_shipped, restore_command, write_sums
from tests.train.evaluation import sets

_BUNDLED = Path(encoder.__file__).parent / "bundled"
_FILES = (
    "config.json",
    "config_sentence_transformers.json",
    "llm2comp.json",
    "memory.safetensors",
    "model.safetensors",
    "modules.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
_REINSTALL = "pip install --force-reinstall --no-deps WHEEL, the llm2comp-*.whl that it was installed from"


def _flip(content):
    at = len(content) // 2  # in the weights, for a file of weights
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


_FAULTS = {
    "missing": None,
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "flipped": _flip,
    "garbage": lambda content: bytes(range(256)) * 3,
    "a page": lambda content: b"<!DOCTYPE html><html><body>Not found</body></html>",
}


@pytest.fixture
def shipped(tmp_path, encoder_directory, monkeypatch):
    """The folder of the bundled encoder of an installed package, with a tiny encoder in it."""
    package = tmp_path / "site-packages" / "encoder"
    monkeypatch.setattr("encoder.spec.__file__", str(package / "spec.py"))
    return Path(shutil.copytree(encoder_directory, package / "bundled"))


def _refusal(spec="default"):
    with pytest.raises(CheckpointError) as caught:
        load_encoder(spec, device="cpu")
    return caught.value


def _damage(path, fault):
    change = _FAULTS[fault]
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))


def test_a_whole_one_loads(shipped, encoder):
    assert load_encoder("default", device="cpu").fingerprint == encoder.fingerprint


def test_every_file_that_is_saved_has_its_hash(shipped):
    content = json.loads((shipped / SUMS_FILE).read_text(encoding="utf-8"))
    assert content["format"] == 1
    assert set(content["files"]) == {path.name for path in shipped.iterdir()} - {SUMS_FILE} == set(_FILES)


@pytest.mark.parametrize("fault", _FAULTS)
@pytest.mark.parametrize("name", _FILES)
def test_a_damaged_file_is_named_with_the_command(shipped, name, fault):
    _damage(shipped / name, fault)
    error = _refusal()
    said = {"missing": "missing", "empty": "empty"}.get(fault, "not the file that was released")
    assert error.what.startswith(f"the bundled encoder is damaged: {name} is {said}")
    assert "\n" not in error.what
    assert (error.where, error.fix) == (str(shipped), _REINSTALL)


@pytest.mark.parametrize("fault", [fault for fault in _FAULTS if fault not in ("missing", "flipped")])
def test_damaged_hashes_are_damage_too(shipped, fault):
    _damage(shipped / SUMS_FILE, fault)
    error = _refusal()
    assert error.what == f"the bundled encoder is damaged: {SUMS_FILE} is no list of hashes"
    assert error.fix == _REINSTALL


def test_several_damaged_files_are_counted(shipped):
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        _damage(shipped / name, "empty")
    assert _refusal().what == (
        "the bundled encoder is damaged: config.json is empty, and 2 more of its files are wrong"
    )


def test_no_folder_at_all_is_said_with_the_command(shipped):
    shutil.rmtree(shipped)
    error = _refusal("default?layers=1")
    assert (error.what, error.fix) == ("this installation has no bundled encoder", _REINSTALL)


def test_weights_of_another_shape_are_told_without_hashes_as_well(shipped):
    weights = load_file(shipped / "model.safetensors")
    name = next(name for name in weights if name.endswith("embed_tokens.weight"))
    save_file({**weights, name: weights[name][:, :16].clone()}, shipped / "model.safetensors")
    assert "model.safetensors is not the file" in _refusal().what
    (shipped / SUMS_FILE).unlink()
    error = _refusal()
    assert error.what.startswith("the bundled encoder is damaged: ")
    assert error.fix == _REINSTALL


@pytest.mark.parametrize("fault", ["missing", "empty", "half", "garbage", "a page"])
@pytest.mark.parametrize(
    "name", ["config.json", "llm2comp.json", "memory.safetensors", "model.safetensors", "tokenizer.json"]
)
def test_without_hashes_a_file_that_cannot_be_read_is_still_told(shipped, name, fault):
    (shipped / SUMS_FILE).unlink()
    _damage(shipped / name, fault)
    error = _refusal()
    assert error.what.startswith("the bundled encoder is damaged: ")
    assert error.fix == _REINSTALL


def test_a_wish_that_cannot_be_met_is_no_damage(shipped):
    error = _refusal("default?pooling=mean")
    assert error.what == "pooling is fixed by llm2comp.json and cannot be chosen"


def test_in_a_checkout_git_restores_it(tmp_path):
    root = tmp_path / "my checkout"
    (root / ".git").mkdir(parents=True)
    assert restore_command(root / "encoder" / "bundled") == f"git -C '{root}' checkout -- encoder/bundled"
    installed = (
        root / ".venv" / "lib" / "site-packages" / "encoder" / "bundled"
    )  # not the checkout's own files
    assert restore_command(installed) == _REINSTALL


def test_new_hashes_make_a_changed_file_right(shipped):
    content = json.loads((shipped / "llm2comp.json").read_text(encoding="utf-8"))
    (shipped / "llm2comp.json").write_text(json.dumps({**content, "hybrid_weight": 0.9}), encoding="utf-8")
    assert "llm2comp.json" in _refusal().what
    write_sums(shipped)
    assert load_encoder("default", device="cpu").hybrid_weight == 0.9


@pytest.mark.parametrize("verb", ["index", "search", "eval", "demo", "encode"])
def test_the_command_says_it_in_three_lines(shipped, verb, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LLM2COMP_HOME", str(tmp_path / "home"))
    texts = tmp_path / "texts.csv"
    texts.write_text("id,text\n1,the quick brown fox\n2,a lazy dog\n", encoding="utf-8")
    into = tmp_path / "collection"
    assert main(["index", str(texts), "--into", str(into), "--quiet"]) == 0
    capsys.readouterr()
    _damage(shipped / "model.safetensors", "flipped")
    arguments = {
        "index": [str(texts), "--into", str(tmp_path / "new"), "--quiet"],
        "search": [str(into), "fox"],
        "eval": ["default", "--data", str(sets.write_all(tmp_path / "sets")), "--quiet"],
        "demo": ["--no-app", "--quiet"],
        "encode": [str(texts), "--out", str(tmp_path / "v.npy"), "--quiet"],
    }[verb]
    assert main([verb, *arguments]) == 1
    said = capsys.readouterr().err
    assert "the bundled encoder is damaged: model.safetensors is not the file that was released" in said
    assert _REINSTALL in said
    assert "Traceback" not in said
    assert main(["search", str(into), "fox", "--mode", "keyword"]) == 0  # words need no encoder
    assert main(["info", str(into)]) == 0


def test_the_bundled_encoder_is_the_one_its_hashes_are_of(tmp_path):
    """After changing a file of it, run scripts/write_checksums.py."""
    listed = json.loads((_BUNDLED / SUMS_FILE).read_text(encoding="utf-8"))["files"]
    assert {"model.safetensors", "memory.safetensors", "tokenizer.json", "config.json"} <= set(listed)
    check_shipped(_BUNDLED)
    copy = Path(shutil.copytree(_BUNDLED, tmp_path / "encoder" / "bundled"))
    _damage(copy / "model.safetensors", "flipped")
    with pytest.raises(CheckpointError, match="model.safetensors is not the file that was released"):
        check_shipped(copy)
