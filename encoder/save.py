"""Writes an encoder directory: beside its place first, then renamed, so it is there whole or not at all."""

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from encoder.atomic import sha256_file, sync_file, sync_folder, write_json
from encoder.config import FILE_NAME, EncoderConfig, write_config
from encoder.errors import CheckpointError, ConfigError
from encoder.shipped import write_sums
from encoder.weights import ADAPTER_FILES, MEMORY_FILE, check_finite, locate_base, quiet_transformers

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_MODULES = [{"idx": 0, "name": "0", "path": "", "type": "encoder.st.MemoryEncoder"}]


def save_encoder(
    directory: str | Path,
    *,
    backbone: nn.Module,
    memory: Tensor,
    tokenizer: Any,
    config: EncoderConfig,
    dtype: str = "float32",
) -> None:
    """Writes an encoder directory that `load_encoder`, PEFT and sentence-transformers read.

    Args:
        directory: created; an encoder directory that is already there is replaced in one step.
        backbone: a decoder without head, stored whole; or a PeftModel, of which only the adapter is stored
            (then `config.base` says where the backbone lies).
        memory: [M, D] memory tokens, stored in float32; [0, D] and no file for a backbone pooled without them.
        tokenizer: a fast tokenizer of transformers.
        config: `base.sha256` is filled in.
        dtype: of the stored backbone weights: "float32", "float16" or "bfloat16".

    Raises:
        CheckpointError: weights are not finite, or the directory holds something that is no encoder.
        ConfigError: configuration, memory tokens and backbone do not fit together.
        OSError: the folder cannot be written; what was there is as before.
    """
    target = Path(directory)
    if (
        target.exists()
        and not (target / FILE_NAME).exists()
        and (not target.is_dir() or any(target.iterdir()))
    ):
        raise CheckpointError(
            "the place is taken by something that is no encoder", str(target), "choose another directory"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        write_files(
            temporary,
            target,
            backbone=backbone,
            memory=memory,
            tokenizer=tokenizer,
            config=config,
            dtype=dtype,
        )
        write_sums(temporary)
        _put_in_place(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _put_in_place(temporary: Path, target: Path) -> None:
    """Renames a finished folder to its name; an older one goes only after the new one is there."""
    for path in temporary.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # safetensors writes files that only their owner may read
            sync_file(path)
    temporary.chmod(0o755)
    if target.exists():
        old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
        os.replace(target, old)  # noqa: PTH105 - replaces the empty folder
        os.replace(temporary, target)  # noqa: PTH105
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(temporary, target)  # noqa: PTH105
    sync_folder(target.parent)


def write_files(
    directory: Path,
    home: Path,
    *,
    backbone: nn.Module,
    memory: Tensor,
    tokenizer: Any,
    config: EncoderConfig,
    dtype: str = "float32",
) -> None:
    """Writes the files of an encoder directory, `llm2comp.json` last.

    Args:
        directory: an existing folder.
        home: where the folder will lie, to which a relative `config.base.ref` refers.
        backbone: as for `save_encoder`.
        memory: [M, D] memory tokens; M may be 0.
        tokenizer: a fast tokenizer of transformers.
        config: as for `save_encoder`.
        dtype: of the stored backbone weights.

    Raises:
        ConfigError: configuration, memory tokens and backbone do not fit together.
    """
    is_adapter = hasattr(backbone, "peft_config")
    _check_fit(backbone, memory, config, dtype, is_adapter=is_adapter)
    check_finite({"memory": memory}, "memory tokens")
    if is_adapter:
        base_folder = locate_base(home, config.base)
        _write_adapter(directory, backbone, config)
    else:
        base_folder = directory
        _write_backbone(directory, backbone, _DTYPES[dtype])
    if config.n_memory:
        save_file({"memory": memory.detach().float().cpu().contiguous()}, directory / MEMORY_FILE)
    _write_tokenizer(directory, tokenizer)
    # Without memory tokens as well: that class refuses, and no class would mean a plain causal mean.
    write_json(directory / "modules.json", _MODULES)
    write_json(
        directory / "config_sentence_transformers.json",
        {
            "model_type": "SentenceTransformer",
            "prompts": {"query": config.prompts.query, "document": config.prompts.document},
            "default_prompt_name": None,
            "similarity_fn_name": config.metric,
        },
    )
    base = replace(config.base, sha256=sha256_file(base_folder / "config.json"))
    write_config(directory, replace(config, base=base))


def _check_fit(
    backbone: nn.Module, memory: Tensor, config: EncoderConfig, dtype: str, *, is_adapter: bool
) -> None:
    """Refuses parts that would make a directory nobody can load.

    Raises:
        ConfigError: they do not fit together.
    """
    width = backbone.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
    rules = [
        (
            tuple(memory.shape) == (config.n_memory, config.dimension),
            f"memory tokens have the shape {tuple(memory.shape)}, the configuration says "
            f"{(config.n_memory, config.dimension)}",
        ),
        (
            width == config.dimension,
            f"the backbone is {width} wide, the configuration says {config.dimension}",
        ),
        (
            is_adapter == (config.base.kind != "embedded"),
            f"base.kind is {config.base.kind} and the backbone is {'an adapter' if is_adapter else 'whole'}",
        ),
        (dtype in _DTYPES, f"there is no dtype {dtype!r}"),
    ]
    for holds, what in rules:
        if not holds:
            raise ConfigError(
                what,
                "save_encoder",
                "embedded goes with a whole backbone, path or name with an adapter; dtype is float32, float16 or bfloat16",
            )


def _write_backbone(directory: Path, backbone: Any, dtype: torch.dtype) -> None:
    state = backbone.state_dict()
    check_finite(state, "backbone")
    stored = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    check_finite(stored, f"backbone as {dtype}")  # float16 overflows at 65,504
    with quiet_transformers():
        backbone.save_pretrained(directory, state_dict=stored)


def _write_adapter(directory: Path, backbone: Any, config: EncoderConfig) -> None:
    with quiet_transformers():
        backbone.save_pretrained(str(directory), save_embedding_layers=False)  # "auto" looks for the base
    (directory / "README.md").unlink(missing_ok=True)  # PEFT's empty template
    path = directory / ADAPTER_FILES[0]
    content = json.loads(path.read_text(encoding="utf-8"))
    # PEFT writes the absolute path of this machine.
    content["base_model_name_or_path"] = config.base.ref
    if isinstance(content.get("target_modules"), list):
        content["target_modules"].sort()  # PEFT keeps a set, whose order changes from run to run
    write_json(path, content)


def _write_tokenizer(directory: Path, tokenizer: Any) -> None:
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ConfigError("the tokenizer has no fast form", "save_encoder", "convert it to a tokenizer.json")
    tokenizer.save_pretrained(str(directory))
    path = directory / "tokenizer_config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    # Characters that look like a special token stay characters, for whoever loads the directory.
    content["split_special_tokens"] = True
    write_json(path, content)
