"""What a recipe makes the models do: which passes over how many tokens, on all devices and at a time on one."""

from dataclasses import dataclass

from train.planning.activations import Trains
from train.settings import CompressRecipe, ContrastiveRecipe, PretrainRecipe, SimcseRecipe

TrainingRecipe = PretrainRecipe | CompressRecipe | SimcseRecipe | ContrastiveRecipe

_PRETRAIN_ROWS = 2048  # positions whose logits exist at a time in pretraining
_WITH_MEMORY = ("ctkd", "nll", "reconstruction", "ebae", "ebar")
_WITH_DECODER = ("ctkd", "nll", "reconstruction")


@dataclass(frozen=True)
class Pass:
    """One model's part of an update."""

    model: str  # "model", "encoder", "decoder" or "teacher"
    trains: Trains | None  # None: no gradient passes
    kept_tokens: float  # most tokens whose activations a device holds at a time
    tokens: float  # expected in an update, memory tokens and BOS included
    length: float  # expected tokens of a sequence
    is_masked: bool  # an explicit mask, as both directions need
    head_rows: float = 0  # positions with logits in an update
    extra_forwards: int = 0  # without gradient, before the one with it
    can_checkpoint: bool = True  # the frozen decoder stays in evaluation mode, which never does


@dataclass(frozen=True)
class Workload:
    """What an update is made of."""

    stage: str
    texts: int  # encoded in an update: both views; queries, documents and hard negatives
    most_tokens: float  # of text in an update as the trainer counts them, at most; two views count once
    expected_tokens: float  # with texts of the mean length
    passes: tuple[Pass, ...]
    chunk_rows: int = 0  # positions whose logits exist at a time
    similarities: int = 0  # of queries and candidates of an update, on all devices


def workload(
    recipe: TrainingRecipe, in_flight: int, *, n_memory: int, mean_tokens: float | None, pass_tokens: int
) -> Workload:
    """What an update of a recipe is made of.

    Args:
        recipe: of a stage.
        in_flight: texts (pairs, windows) that a device holds at a time: its batch, or with cached gradients
            the mini-batch.
        n_memory: of the encoder, for stages whose recipe does not say.
        mean_tokens: of a text, where it is known; else all are taken to be as long as they may be.
        pass_tokens: most tokens of one pass through the decoder of compression, whose activations exist for one
            pass at a time.
    """
    if isinstance(recipe, PretrainRecipe):
        return _pretrain(recipe, in_flight)
    if isinstance(recipe, CompressRecipe):
        return _compress(recipe, in_flight, mean_tokens, pass_tokens)
    return _contrast(recipe, in_flight, n_memory, mean_tokens)


def longest_sequence_of(recipe: TrainingRecipe, n_memory: int) -> int:
    """Most tokens of one sequence, BOS and memory tokens included."""
    if isinstance(recipe, PretrainRecipe):
        return recipe.shape.window
    if isinstance(recipe, CompressRecipe):
        return recipe.memory.max_tokens + 1 + _memory_of(recipe)
    if isinstance(recipe, SimcseRecipe):
        return recipe.views.max_tokens + 1 + n_memory
    return max(recipe.contrast.max_query_tokens, recipe.contrast.max_document_tokens) + 1 + n_memory


def trained_part(recipe: TrainingRecipe) -> Trains:
    """Which weights of the encoder a recipe trains."""
    return "all" if isinstance(recipe, PretrainRecipe) or not recipe.adapter.lora else "adapter"


def memory_tokens(recipe: TrainingRecipe, n_memory: int) -> tuple[int, int]:
    """Memory tokens that a recipe trains, and those it leaves alone, as the authors do under an adapter."""
    if isinstance(recipe, PretrainRecipe):
        return 0, 0
    if isinstance(recipe, CompressRecipe):
        return _memory_of(recipe), 0
    return (0, n_memory) if recipe.adapter.lora else (n_memory, 0)


def has_head(recipe: TrainingRecipe) -> bool:
    """Whether a stage needs logits, and so the language head."""
    return isinstance(recipe, PretrainRecipe | CompressRecipe)


def has_second_copy(recipe: TrainingRecipe) -> bool:
    """Whether the decoder is a copy of its own: with an adapter it shares the encoder's frozen weights."""
    return (
        isinstance(recipe, CompressRecipe)
        and not recipe.adapter.lora
        and recipe.compression.objective in _WITH_DECODER
    )


def _pretrain(recipe: PretrainRecipe, in_flight: int) -> Workload:
    window, batch = recipe.shape.window, recipe.schedule.batch
    tokens = float(batch * window)
    whole = Pass("model", "all", in_flight * window, tokens, window, is_masked=False, head_rows=tokens)
    return Workload("pretrain", batch, tokens, tokens, (whole,), chunk_rows=_PRETRAIN_ROWS)


def _compress(
    recipe: CompressRecipe, in_flight: int, mean_tokens: float | None, pass_tokens: int
) -> Workload:
    batch, objective, splits = recipe.schedule.batch, recipe.compression.objective, recipe.compression.splits
    longest = recipe.memory.max_tokens
    length = min(mean_tokens or longest, longest)
    if objective not in ("ctkd", "nll", "ebar"):
        splits = 1  # the encoder reads the whole text once
    is_split = objective in ("ctkd", "nll", "ebar")
    # The first of S equal parts ends at 1/S of the text, so the contexts of a text have at most 1/S + 2/S + ... of
    # it; and so have the continuations, though not in the same update: the sum is an upper bound.
    read = (splits + 1) / 2 if is_split else 1.0
    mean_read = splits / 2 if is_split else 1.0
    extra = splits * (1 + _memory_of(recipe))
    trains = trained_part(recipe)
    encoder = Pass(
        "encoder",
        trains,
        kept_tokens=in_flight * (read * longest + extra),
        tokens=batch * (mean_read * length + extra),
        length=mean_read * length / splits + extra / splits,
        is_masked=True,
        head_rows=_encoder_head_rows(recipe, length, splits),
    )
    passes = [encoder]
    if objective in _WITH_DECODER:
        passes.append(
            Pass(
                "decoder",
                "nothing",
                kept_tokens=min(in_flight * (read * longest + extra), max(pass_tokens, longest + extra)),
                tokens=batch * (mean_read * length + extra),
                length=mean_read * length / splits + extra / splits,
                is_masked=False,
                head_rows=batch * (mean_read * length + splits),
                can_checkpoint=False,
            )
        )
    if objective == "ctkd":
        rows = batch * (splits / 2 * length + splits)
        passes.append(
            Pass("teacher", None, 0, batch * (length + 1), length + 1, is_masked=False, head_rows=rows)
        )
    return Workload(
        "compress",
        batch,
        most_tokens=batch * read * longest,
        expected_tokens=batch * mean_read * length,
        passes=tuple(passes),
        chunk_rows=recipe.compression.chunk_rows,
    )


def _encoder_head_rows(recipe: CompressRecipe, length: float, splits: int) -> float:
    """Positions of the encoder itself that get logits, in an update."""
    objective, batch = recipe.compression.objective, recipe.schedule.batch
    if objective == "mntp":
        return batch * recipe.compression.mask_share * length
    return batch * splits * _memory_of(recipe) if objective in ("ebae", "ebar") else 0.0


def _memory_of(recipe: CompressRecipe) -> int:
    return recipe.memory.n_memory if recipe.compression.objective in _WITH_MEMORY else 0


def _contrast(
    recipe: SimcseRecipe | ContrastiveRecipe, in_flight: int, n_memory: int, mean_tokens: float | None
) -> Workload:
    batch = recipe.schedule.batch
    if isinstance(recipe, SimcseRecipe):
        stage, candidates, views = "simcse", 1, 2
        longest = [recipe.views.max_tokens] * views
    else:
        negatives = max((len(pairs.negatives) for pairs in recipe.pairs), default=0)
        stage, candidates, views = "contrastive", 1 + negatives, 1
        longest = [recipe.contrast.max_query_tokens] + [recipe.contrast.max_document_tokens] * candidates
    expected = [min(mean_tokens or most, most) for most in longest]
    extra = 1 + n_memory
    encoder = Pass(
        "encoder",
        trained_part(recipe),
        kept_tokens=in_flight * (max(longest) + extra),
        tokens=batch * (sum(expected) + extra * len(longest)),
        length=sum(expected) / len(longest) + extra,
        is_masked=True,
        extra_forwards=1,  # gradients are cached: the vectors of the whole batch come first
    )
    return Workload(
        stage,
        texts=batch * len(longest),
        most_tokens=batch * sum(longest) / views,
        expected_tokens=batch * sum(expected) / views,
        passes=(encoder,),
        similarities=batch * batch * candidates,
    )
