"""Encoder directory -> a folder that plain sentence-transformers loads, without this package or remote code.

The memory tokens become special tokens that the tokenizer itself puts after every text, and a weighted mean
takes only their states. Full attention comes from `config.is_causal`, which some architectures honour only in
part; so every export is loaded again and compared, and deleted when it disagrees.
Shapes: V vocabulary, M memory tokens, D embedding dimension, N texts.
"""

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn

from encoder.checkpoint import Checkpoint, assemble_encoder, read_checkpoint
from encoder.config import EncoderConfig
from encoder.errors import CheckpointError, UnsupportedBackboneError, UsageError
from encoder.layers import keep_layers
from encoder.model import Encoder
from encoder.spec import Spec, parse_spec
from encoder.weights import quiet_transformers

TOLERANCE = 1e-5
_PROBES = (
    "",
    "a",
    "  leading spaces, then\na line\n\nand another\t.",
    "characters that look special: <mem_0> <s> </s> <|endoftext|> [CLS] [PAD] <bos>",
    "naïve café, 東京, 😀",
    "A text of ordinary length that says a little about nothing in particular, and then stops.",
)


def export_encoder(directory: str | Path, out: str | Path, *, replace: bool = False) -> float:
    """Writes the export and tests it.

    Args:
        directory: an encoder directory with memory tokens, `?layers=4` after it for its first 4 layers alone;
            or `default` for the bundled one.
        out: where the export goes; must not exist unless `replace`.
        replace: take the place of what is there.

    Returns:
        The largest difference of any number of any vector to this package's own, at most `TOLERANCE`.

    Raises:
        CheckpointError: the directory is damaged, foreign or incomplete.
        UnsupportedBackboneError: the exported model gives other vectors; nothing is left behind.
        UsageError: the place is taken, the encoder has no memory tokens, fewer layers than asked for, or a setting
            that an export cannot carry.
    """
    target = Path(out)
    if target.exists() and not replace:
        raise UsageError("the place is taken", str(target), "choose another folder, or add --force")
    spec = parse_spec(str(directory))
    directory = spec.place
    parts = _read(spec)
    if parts.config.attention_temperature != 1.0:
        raise UsageError(
            f"attention_temperature {parts.config.attention_temperature} cannot be exported",
            str(directory),
            "leave out temperature=, or set attention_temperature to 1.0 in llm2comp.json",
        )
    reference = assemble_encoder(_read(spec), name=str(directory), device="cpu", dtype="float32")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        with quiet_transformers():
            _write(temporary, parts, reference.config)
            difference = _self_test(temporary, reference)
        temporary.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return difference


def _read(spec: Spec) -> Checkpoint:
    """The parts of the encoder directory that a spec names.

    Raises:
        CheckpointError: the directory is damaged, foreign or incomplete.
        UsageError: it has no memory tokens, or fewer layers than the spec asks for.
    """
    parts = read_checkpoint(spec.place)
    if parts.config.n_memory == 0:
        raise UsageError(
            f"the encoder has no memory tokens (pooling {parts.config.pooling}), an export is made of them",
            spec.place,
            "export an encoder with memory tokens",
        )
    if spec.layers is not None:
        keep_layers(parts.backbone, spec.layers, where=spec.place)
    if spec.temperature is not None:
        config = dataclasses.replace(parts.config, attention_temperature=spec.temperature)
        parts = dataclasses.replace(parts, config=config)
    return parts


def _write(folder: Path, parts: Checkpoint, config: EncoderConfig) -> None:
    """Saves the pipeline Transformer, WordWeights, Pooling, Normalize."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling, WordWeights

    backbone: Any = parts.backbone
    if hasattr(backbone, "merge_and_unload"):
        backbone = backbone.merge_and_unload()
    tokenizer, memory_ids = _tokenizer_with_memory(parts.tokenizer, config)
    _write_memory_rows(backbone, parts.memory, memory_ids)
    backbone.config.is_causal = False
    with tempfile.TemporaryDirectory(dir=folder.parent) as plain:
        backbone.save_pretrained(plain)
        tokenizer.save_pretrained(plain)
        transformer = Transformer(plain, max_seq_length=tokenizer.model_max_length)
        rows = backbone.get_input_embeddings().weight.shape[0]
        # Only the position in the list counts, so any distinct strings will do.
        words = [str(number) for number in range(rows)]
        weights = WordWeights(words, {words[number]: 1.0 for number in memory_ids}, unknown_word_weight=0.0)
        pooling = Pooling(config.dimension, "mean")
        prompts = {"query": config.prompts.query, "document": config.prompts.document}
        model = SentenceTransformer(
            modules=[transformer, weights, pooling, Normalize()], device="cpu", prompts=prompts
        )
        model.save(str(folder), create_model_card=False)


def _tokenizer_with_memory(tokenizer: Any, config: EncoderConfig) -> tuple[Any, list[int]]:
    """A tokenizer that puts BOS before and the memory tokens after every text, and the ids of those."""
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    stem = "mem"
    while backend.token_to_id(f"<{stem}_0>") is not None:
        stem += "_"
    names = [f"<{stem}_{slot}>" for slot in range(config.n_memory)]
    backend.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in names])
    vocabulary = backend.get_vocab(with_added_tokens=True)
    memory_ids = [vocabulary[name] for name in names]
    start = [tokenizer.bos_token] if tokenizer.bos_token_id is not None else []
    backend.post_processor = TemplateProcessing(
        single=[*start, "$A", *names],
        special_tokens=[(name, backend.token_to_id(name)) for name in (*start, *names)],
    )
    known = {
        role: getattr(tokenizer, role)
        for role in ("bos_token", "eos_token", "unk_token", "pad_token")
        if getattr(tokenizer, role) is not None
    }
    known.setdefault("pad_token", known.get("eos_token") or known.get("bos_token") or names[0])
    length = config.max_tokens + len(start) + config.n_memory
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=length,
        padding_side="right",
        truncation_side="right",
        split_special_tokens=True,
        model_input_names=["input_ids", "attention_mask"],
        **known,
    )
    return made, memory_ids


def _write_memory_rows(backbone: nn.Module, memory_MD: Tensor, memory_ids: list[int]) -> None:
    """Puts the memory tokens into the token table, so that looking them up gives them back."""
    table: Any = backbone
    rows = max(table.get_input_embeddings().weight.shape[0], max(memory_ids) + 1)
    table.resize_token_embeddings(rows, mean_resizing=False)
    embed = table.get_input_embeddings()
    ids = torch.tensor(memory_ids)
    with torch.no_grad():
        embed.weight[ids] = memory_MD.to(embed.weight)
        # The gemma family multiplies looked-up rows; inputs given as embeddings are not multiplied.
        found_MD = embed(ids)
        scale = (found_MD * memory_MD).sum() / (memory_MD * memory_MD).sum()
        embed.weight[ids] = (memory_MD / scale).to(embed.weight)


def _self_test(folder: Path, reference: Encoder) -> float:
    """Largest difference between the export and the reference over probe texts, alone and together.

    Raises:
        UnsupportedBackboneError: it is above the tolerance, or the token ids differ.
    """
    texts = [*_PROBES, "many words " * reference.max_tokens]
    expected_ND = reference.encode_document(texts)
    own = str(reference.card["architecture"])
    worst = 0.0
    for attention in _attention_kinds(folder):
        model = _load_plain(folder, attention)
        _compare_ids(model, reference, texts, own)
        prompt = reference.config.prompts.document
        together = model.encode(texts, prompt=prompt, show_progress_bar=False)
        alone = np.stack([model.encode([text], prompt=prompt, show_progress_bar=False)[0] for text in texts])
        difference = max(_distance(together, expected_ND), _distance(alone, expected_ND))
        if not difference <= TOLERANCE:
            raise UnsupportedBackboneError(
                f"exported {own} gives other vectors under {attention} attention: difference {difference:.1e}, allowed {TOLERANCE:.0e}",
                f"self-test of the export of {reference.name}",
                "use the encoder directory itself: load_encoder, or encoder.st.as_sentence_transformer",
            )
        worst = max(worst, difference)
    return worst


def _distance(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found - expected).max())


def _attention_kinds(folder: Path) -> list[str]:
    """The attention implementations that people will get: the default one and eager."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, local_files_only=True)
    return sorted({model.config._attn_implementation, "eager"})


def _load_plain(folder: Path, attention: str) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(
        str(folder),
        device="cpu",
        local_files_only=True,
        model_kwargs={"attn_implementation": attention, "dtype": torch.float32},
    )


def _compare_ids(model: Any, reference: Encoder, texts: list[str], architecture: str) -> None:
    """Refuses an export whose tokenizer cuts or splits otherwise.

    Raises:
        CheckpointError: the ids of some text differ.
    """
    for text in texts:
        features = model.preprocess([text])
        found = features["input_ids"][0].tolist()[: -reference.n_memory]
        expected = reference.token_ids([text])[0].tolist()
        if found != expected:
            raise CheckpointError(
                f"the exported tokenizer splits {text[:40]!r} otherwise",
                f"self-test of the export of {reference.name} ({architecture})",
                "report this with the tokenizer's name",
            )
