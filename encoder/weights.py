"""Reads the weights and the tokenizer of an encoder, and refuses what is damaged; never a pickle, never code.

Shapes: M memory tokens, D embedding dimension.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from encoder.atomic import sha256_file
from encoder.config import BaseReference, EncoderConfig
from encoder.errors import CheckpointError

MEMORY_FILE = "memory.safetensors"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_RESTORE = "restore the directory from a copy, or save the encoder again"


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keeps the library's progress bars and its tables of weights off stderr, which has ours.

    What it warns of, absent weights above all, is an error here or (a head that a backbone has no use for) fine.
    """
    from transformers.utils import logging

    was_shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if was_shown:
            logging.enable_progress_bar()


def need_file(path: Path) -> Path:
    """The path, if a file lies there.

    Raises:
        CheckpointError: there is none.
    """
    if not path.is_file():
        raise CheckpointError(f"{path.name} is missing", str(path.parent), _RESTORE)
    return path


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, of any shape, on the CPU.

    Raises:
        CheckpointError: the file is missing, cut short or not safetensors.
    """
    need_file(path)
    try:
        with safe_open(path, "pt") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is damaged: {error}", str(path), _RESTORE) from error


def read_memory(directory: Path, config: EncoderConfig) -> Tensor:
    """The memory tokens, [M, D] float32; M is 0 and there is no file where the configuration says n_memory 0.

    Raises:
        CheckpointError: the file is missing or damaged, its shape is not what the configuration says, or it is
            there without being expected.
    """
    path = directory / MEMORY_FILE
    if config.n_memory == 0:
        if path.exists():
            raise CheckpointError(
                f"there is a {MEMORY_FILE}, llm2comp.json says n_memory 0", str(path), _RESTORE
            )
        return torch.empty(0, config.dimension)
    memory_MD = read_tensors(path).get("memory")
    if memory_MD is None:
        raise CheckpointError(f"{MEMORY_FILE} holds no tensor named memory", str(path), _RESTORE)
    expected = (config.n_memory, config.dimension)
    if tuple(memory_MD.shape) != expected:
        raise CheckpointError(
            f"memory tokens have the shape {tuple(memory_MD.shape)}, llm2comp.json says {expected} (n_memory, dimension)",
            str(path),
            _RESTORE,
        )
    check_finite({"memory": memory_MD}, str(path))
    return memory_MD.float()


def check_finite(tensors: dict[str, Tensor], where: str) -> None:
    """Refuses tensors that hold NaN or infinity.

    Args:
        tensors: by name, any shape.
        where: the file, for the error.

    Raises:
        CheckpointError: one of them does.
    """
    for name, values in tensors.items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise CheckpointError(f"tensor {name} holds NaN or infinity", where, _RESTORE)


def locate_base(directory: Path, base: BaseReference) -> Path:
    """The folder with the backbone's own files.

    A base that is a name must have been downloaded before: whoever opens a directory did not write that name.

    Raises:
        CheckpointError: there is no such folder, or the name is not in the local cache.
    """
    if base.kind == "name":
        return fetch(base.ref, base.revision, only_cached=True)
    place = (directory / base.ref).resolve()
    if not place.is_dir():
        raise CheckpointError(
            f"the backbone {base.ref} is not there",
            str(directory),
            f"put it at {place}, or mend base.ref in llm2comp.json",
        )
    return place


def not_downloaded(spec: str) -> CheckpointError:
    """The error for an encoder that a collection names and that nobody has downloaded here."""
    return CheckpointError(
        f"the encoder {spec} is not on this machine, and what a collection names is not downloaded unasked",
        spec,
        f"if you trust it, download it once: llm2comp encode FILE --out vectors.npy --encoder '{spec}'",
    )


def fetch(
    name: str, revision: str | None = None, *, only_cached: bool = False, only_config: bool = False
) -> Path:
    """The local copy of a Hub repository: JSON, safetensors and tokenizer files, nothing that holds code.

    Args:
        name: `org/name`.
        revision: branch, tag or commit.
        only_cached: download nothing.
        only_config: the description alone, no weights.

    Raises:
        CheckpointError: no such repository, no connection, no access, or not downloaded yet.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["config.json"] if only_config else ["*.json", "*.safetensors", "*.txt", "*.model"]
    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=only_cached)
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        if only_cached:
            raise CheckpointError(
                f"the backbone {name} is not on this machine",
                f"hf:{name}",
                f"download it once: hf download {name}" + (f" --revision {revision}" if revision else ""),
            ) from error
        reason = first_line(error)
        raise CheckpointError(
            f"{name} could not be fetched: {reason}", f"hf:{name}", "check the name and the connection"
        ) from error


def first_line(error: Exception) -> str:
    """The first line that a library says about its failure, or the error's kind when it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def read_backbone(place: Path, expected_sha256: str | None = None) -> nn.Module:
    """The decoder without head stored in a folder, float32, on the processor.

    Args:
        place: a folder with config.json and safetensors, of a decoder or of a whole language model.
        expected_sha256: of its config.json, None to accept any.

    Raises:
        CheckpointError: a file is missing, damaged or changed, or weights are absent or not finite.
    """
    config_path = need_file(place / "config.json")
    if expected_sha256 is not None and sha256_file(config_path) != expected_sha256:
        raise CheckpointError(
            "the backbone's config.json is not the one this encoder was saved with",
            str(config_path),
            "put the original backbone back, or save the encoder again on this one",
        )
    return _read_model(place, "AutoModel")


def read_causal_lm(place: Path) -> nn.Module:
    """The language model stored in a folder, head included, float32, on the processor.

    Args:
        place: a folder with config.json and safetensors; a decoder alone will do where the head is the token
            table (tied). What lies on the Hub is fetched first, by `fetch`.

    Raises:
        CheckpointError: a file is missing or damaged, or weights, the head's included, are absent or not finite.
    """
    need_file(place / "config.json")
    return _read_model(place, "AutoModelForCausalLM")


def _read_model(place: Path, auto_class: str) -> nn.Module:
    files = sorted(place.glob("*.safetensors"))
    for path in files:
        if path.name not in (MEMORY_FILE, ADAPTER_FILES[1]):
            _check_readable(path)
    if not [path for path in files if path.name.startswith("model")]:
        raise CheckpointError("model.safetensors is missing", str(place), _RESTORE)
    model, report = _from_pretrained(place, auto_class)
    absent = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if absent:
        raise CheckpointError(
            f"{len(absent)} weights are missing or misshapen, {absent[0]} first", str(place), _RESTORE
        )
    check_finite(model.state_dict(), str(place))
    return model.eval()


def _check_readable(path: Path) -> None:
    try:
        with safe_open(path, "pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is damaged: {error}", str(path), _RESTORE) from error


def _from_pretrained(place: Path, auto_class: str) -> tuple[Any, dict[str, Any]]:
    import transformers

    try:
        with quiet_transformers():
            return getattr(transformers, auto_class).from_pretrained(
                place,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        raise CheckpointError(
            f"the backbone cannot be loaded: {first_line(error)}", str(place), _RESTORE
        ) from error


def attach_adapter(backbone: nn.Module, directory: Path) -> nn.Module:
    """The backbone with the directory's LoRA adapter, not merged.

    Raises:
        CheckpointError: a file is missing or damaged, or the adapter does not fit the backbone.
    """
    from peft import PeftModel

    for name in ADAPTER_FILES:
        need_file(directory / name)
    _check_is_lora(directory / ADAPTER_FILES[0])
    check_finite(read_tensors(directory / ADAPTER_FILES[1]), str(directory / ADAPTER_FILES[1]))
    try:
        return PeftModel.from_pretrained(backbone, str(directory)).eval()
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"the adapter does not fit the backbone: {first_line(error)}", str(directory), _RESTORE
        ) from error


def _check_is_lora(path: Path) -> None:
    """Refuses other kinds of adapter: some name further models, and code, for PEFT to load.

    Raises:
        CheckpointError: the description is no JSON object, or of another kind.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path.name} cannot be read as JSON: {error}", str(path), _RESTORE) from error
    kind = content.get("peft_type") if isinstance(content, dict) else None
    if kind != "LORA":
        raise CheckpointError(f"the adapter is of the kind {kind!r}, expected 'LORA'", str(path), _RESTORE)


def read_tokenizer(place: Path, *, as_stored: bool) -> Any:
    """The fast tokenizer stored in a folder.

    Args:
        place: the folder.
        as_stored: take tokenizer.json as it is; else as the backbone's own class reads it. AutoTokenizer goes
            by the backbone's family, whatever the files say (qwen2: a token more than the table has rows).

    Raises:
        CheckpointError: there is none, or it is damaged, or it has no fast form.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    kind = PreTrainedTokenizerFast if as_stored else AutoTokenizer
    try:
        tokenizer = kind.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenizers raises bare Exception for bad files
        raise CheckpointError(
            f"the tokenizer cannot be loaded: {first_line(error)}", str(place), _RESTORE
        ) from error
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise CheckpointError("the tokenizer has no fast form", str(place), "convert it to a tokenizer.json")
    return tokenizer
