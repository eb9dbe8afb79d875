"""Stage 0: a causal language model from scratch, tokenizer included, for those who have no backbone.

Shapes: B batch, T tokens of a window, D width, V vocabulary, N positions.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments

from encoder.atomic import write_json
from encoder.errors import ConfigError
from encoder.prompt import TextTokenizer
from encoder.weights import check_finite, quiet_transformers, read_tokenizer
from train.recipe import recipe_to_json
from train.running.arguments import compute_dtype, training_arguments
from train.running.card import versions, write_card
from train.running.keeping import read_weights
from train.running.live import LiveEncoder
from train.running.progress import Note
from train.running.run_folder import RunFolder, fingerprint_files, finish, publish
from train.running.stage_run import checkpoint_activations, run_once, train_stage
from train.running.trainer import Stage, StageTrainer
from train.running.watcher import Measures, Watcher
from train.settings import PretrainRecipe, Shape
from train.stages.mean_of_text import MeanOfText, causal_states
from train.texts.stream import TextStream, local_paths, need_training_extra
from train.texts.vocabulary import learn_tokenizer
from train.texts.windows import Windows, collate_windows

_ROWS = 2048  # positions whose logits exist at a time
_TOKENIZER = "tokenizer"  # folder of the run's tokenizer
_RESULT = "backbone"


def pretrain(recipe: PretrainRecipe, note: Note, *, device: str = "auto") -> Measures:
    """Trains a language model by a recipe, or goes on where an earlier call stopped; the result is OUT/backbone.

    Args:
        recipe: what to do.
        note: told lines for people.
        device: "auto" or "cpu".

    Returns:
        The measures of the model that was kept.

    Raises:
        ConfigError: the recipe is impossible, or the folder holds a run of another one.
        InputError: the texts cannot be read, or there are none.
        TrainingError: the run had to stop; its last good checkpoint is kept.
    """
    need_training_extra()
    _check_shape(recipe.shape)
    return run_once(
        recipe,
        stage="pretrain",
        data=fingerprint_files(local_paths(recipe.texts)),
        model={},
        result=_RESULT,
        note=note,
        train=lambda folder: _train(recipe, folder, note, device),
    )


def _train(recipe: PretrainRecipe, folder: RunFolder, note: Note, device: str) -> Measures:
    arguments = training_arguments(
        TrainingArguments,
        recipe.schedule,
        recipe.watch,
        folder,
        device=device,
        best_by="held_out_loss",
        ddp_find_unused_parameters=False,
    )
    stream = TextStream(recipe.texts)
    with arguments.main_process_first():
        tokenizer = _tokenizer(recipe, stream, folder.path / _TOKENIZER, note)
    plain = TextTokenizer(tokenizer.backend_tokenizer, tokenizer.bos_token_id)
    torch.manual_seed(recipe.schedule.seed)
    model = LanguageModel(new_language_model(recipe.shape, len(tokenizer), tokenizer.bos_token_id))
    note(f"{sum(weight.numel() for weight in model.parameters()):,} parameters, {len(tokenizer):,} tokens")
    if recipe.schedule.gradient_checkpointing:
        checkpoint_activations(model.language_model)
    trainer = StageTrainer(
        model=model,
        args=arguments,
        train_dataset=Windows(stream, plain, end=tokenizer.bos_token_id, window=recipe.shape.window),
        data_collator=collate_windows,
    )
    watcher = LanguageWatcher(model, plain, stream.held_out, recipe, compute_dtype(recipe.schedule, device))
    save = partial(_save, model.language_model, tokenizer)
    load = partial(_load, model.language_model)
    stage = Stage(folder, recipe.schedule, recipe.watch, watcher, save, load)
    measures = train_stage(trainer, stage, note, stream.notes)
    if trainer.is_world_process_zero():
        step, target = trainer.best_step(), folder.path / _RESULT
        load(folder.checkpoint(step))
        publish(partial(_write, recipe, save, step, measures, target), target)
        finish(folder, measures, recipe.card)
        note(f"the language model is {target}")
    return measures


def _save(language_model: LlamaForCausalLM, tokenizer: Any, target: Path, step: int) -> None:
    check_finite(language_model.state_dict(), str(target))
    with quiet_transformers():
        language_model.save_pretrained(target)
    tokenizer.save_pretrained(str(target))


def _load(language_model: LlamaForCausalLM, source: Path) -> None:
    tensors = read_weights(source)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]  # tied, and stored once
    language_model.load_state_dict(tensors)


def _write(
    recipe: PretrainRecipe,
    save: Callable[[Path, int], None],
    step: int,
    measures: Measures,
    target: Path,
    temporary: Path,
) -> None:
    save(temporary, step)
    write_json(temporary / "recipe.json", recipe_to_json(recipe))
    write_card(
        temporary,
        title=f"{Path(recipe.out).name}: a language model from scratch",
        facts={
            "stage": "pretrain",
            "steps": step,
            "texts": ", ".join(recipe.texts.files),
            **versions(),
            **recipe.card,
        },
        measures=measures,
        recipe=recipe_to_json(recipe),
        use=f"llm2comp train compress --config RECIPE --set backbone={target}",
    )


def _check_shape(shape: Shape) -> None:
    if shape.width % shape.heads or (shape.width // shape.heads) % 2:
        raise ConfigError(
            f"shape.width {shape.width} cannot be divided into {shape.heads} heads of even width",
            "shape.heads",
            "choose heads so that width / heads is an even whole number",
        )
    if shape.window > shape.max_positions:
        raise ConfigError(
            f"shape.window is {shape.window}, more than shape.max_positions {shape.max_positions}",
            "shape.window",
            f"set shape.window to at most {shape.max_positions}",
        )


def _tokenizer(recipe: PretrainRecipe, stream: TextStream, place: Path, note: Note) -> Any:
    """The tokenizer of the run, learnt at its beginning."""
    if not (place / "tokenizer.json").exists():
        note(f"learning a vocabulary of {recipe.tokenizer.vocabulary:,} tokens")
        learnt = learn_tokenizer(stream.first(recipe.tokenizer.texts), recipe.tokenizer.vocabulary)
        publish(lambda target: learnt.save_pretrained(str(target)) and None, place)
    return read_tokenizer(place, as_stored=True)


def new_language_model(shape: Shape, vocabulary: int, begin_id: int) -> LlamaForCausalLM:
    """A Llama-shaped decoder with random weights and a tied head."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=shape.width,
            intermediate_size=shape.mlp,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=shape.max_positions,
            attention_dropout=shape.attention_dropout,
            tie_word_embeddings=True,
            bos_token_id=begin_id,
            eos_token_id=begin_id,
            pad_token_id=begin_id,
        )
    )


class LanguageModel(nn.Module):
    """A causal language model whose logits exist for some positions at a time."""

    def __init__(self, language_model: LlamaForCausalLM) -> None:
        super().__init__()
        self.language_model = language_model

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        """Mean loss in nats a token.

        Args:
            input_ids: [B, T] int64, no padding.

        Returns:
            `loss`, a scalar, and `tokens`, how many were read.
        """
        hidden_BTD = self.language_model.model(input_ids=input_ids, use_cache=False).last_hidden_state
        rows_ND = hidden_BTD[:, :-1].reshape(-1, hidden_BTD.shape[-1])
        target_N = input_ids[:, 1:].reshape(-1)
        total = rows_ND.new_zeros((), dtype=torch.float32)
        for start in range(0, len(rows_ND), _ROWS):
            chunk = rows_ND[start : start + _ROWS], target_N[start : start + _ROWS]
            total = total + checkpoint(self._chunk_loss, *chunk, use_reentrant=False)
        return {"loss": total / len(target_N), "tokens": torch.tensor(input_ids.numel())}

    def _chunk_loss(self, rows_ND: Tensor, target_N: Tensor) -> Tensor:
        logits_NV = self.language_model.lm_head(rows_ND).float()
        return nn.functional.cross_entropy(logits_NV, target_N, reduction="sum")


class LanguageWatcher(Watcher):
    """Held-out loss and bits per byte, and the space of the mean of a text's states."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: TextTokenizer,
        held_out: Sequence[str],
        recipe: PretrainRecipe,
        dtype: torch.dtype,
    ) -> None:
        encoder = LiveEncoder(
            MeanOfText(model.language_model.model, causal_states),
            tokenizer,
            max_tokens=recipe.shape.window - 1,
            has_memory=False,
            dtype=dtype,
        )
        super().__init__(encoder, held_out, known_items=recipe.watch.known_items)
        self._model = model
        self._rows = _held_out_windows(tokenizer, held_out, recipe.shape.window)
        self._bytes = sum(len(text.encode("utf-8", "replace")) for text in held_out)

    def look(self) -> Measures:
        """Beside the measures of every stage: `held_out_loss` in nats a token, `bits_per_byte`."""
        nats = tokens = 0.0
        was_training = self._model.training
        self._model.eval()
        device = next(self._model.parameters()).device
        with torch.no_grad():
            for row in self._rows:
                loss = float(self._model(row.to(device))["loss"])
                nats += loss * (row.shape[1] - 1)
                tokens += row.shape[1] - 1
        self._model.train(was_training)
        found = super().look()
        found.pop("rank_me", None)  # random weights fill the space; that learning narrows it is no collapse
        if tokens:
            found |= {"held_out_loss": nats / tokens, "bits_per_byte": nats / math.log(2) / self._bytes}
        return found


def _held_out_windows(tokenizer: TextTokenizer, texts: Sequence[str], window: int) -> list[Tensor]:
    """Each text in pieces [1, T] that begin with the begin token, so that all of its tokens are predicted."""
    found = []
    for ids in tokenizer.ids(texts).ids:
        for start in range(0, len(ids), window - 1):
            piece = [*tokenizer.bos, *ids[start : start + window - 1].tolist()]
            found.append(torch.tensor([piece]))
    return found
