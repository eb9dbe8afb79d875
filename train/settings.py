"""What the recipe of a stage may say: one dataclass a section; the field comments are the reference.

Paths are relative to the folder the command runs in.
"""

from dataclasses import dataclass, field
from typing import Any

from train.recipe import least, one_of, within

OBJECTIVES = ("ctkd", "nll", "reconstruction", "mntp", "ebae", "ebar")


@dataclass(frozen=True)
class Texts:
    """Which texts are learnt from, streamed: their number does not matter for memory."""

    files: tuple[
        str, ...
    ]  # text, JSON lines, csv, parquet; folders of them or of a saved dataset; or hf:NAME
    column: str = "text"  # of files that have columns; a text file gives a text a line
    shortest_characters: int = least(0, 1)  # shorter texts are passed over and counted
    most: int = least(0, 0)  # texts taken, held-out ones included; 0: all
    shuffle: int = least(1, 10000)  # texts among which the next one is drawn
    held_out: int = least(0, 200)  # first texts, never trained on: held-out loss, spectrum, known items
    seed: int = least(0, 0)


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and how exactly is trained."""

    steps: int = least(1)  # updates of the weights; the texts begin again when they run out
    batch: int = least(1, 32)  # texts (or pairs, or windows) an update, all devices together
    device_batch: int = least(
        0, 0
    )  # at a time on a device; 0: batch over the devices. Less means accumulation
    learning_rate: float = within(0, 10, 1e-4)  # at its highest
    warmup_steps: int = least(0, 0)  # until the rate is at its highest
    warmup_from: float = within(0, 10, 0.0)  # rate at step 0
    decay: str = one_of("linear", "cosine", "constant")  # of the rate, to 0 at the last step
    weight_decay: float = within(0, 10, 0.0)  # of matrices, not of norms, biases and memory tokens
    betas: tuple[float, ...] = (0.9, 0.999)  # of AdamW
    clip: float = within(0, 1e9, 1.0)  # most length of the gradient; 0: as it is
    dtype: str = one_of("auto", "float32", "bfloat16")  # auto: bfloat16 by autocast where it is fast
    gradient_checkpointing: bool = False  # computes activations twice and keeps few of them
    seed: int = least(0, 0)


@dataclass(frozen=True)
class Watch:
    """What is looked at on the way, and what is kept."""

    log_steps: int = least(1, 10)  # loss, tokens/s, time left, memory
    evaluate_steps: int = least(1, 100)  # held-out loss, known items, spectrum; and a checkpoint
    known_items: int = least(0, 200)  # held-out texts whose halves look for each other; or pairs
    keep: int = least(1, 2)  # latest checkpoints kept; the best one stays besides
    best_by: str = one_of("auto", "known_items", "held_out_loss", "last")  # which checkpoint is the result
    stop_below_rank_share: float = within(0, 1, 0.0)  # of the rank at the start: collapsed, stop; 0: go on


@dataclass(frozen=True)
class Adapter:
    """Which weights of the backbone are trained. An adapter that is there already goes on with its own values."""

    lora: bool = True  # false: all weights; compression then needs a second copy of the backbone
    rank: int = least(1, 16)  # of the adapter's matrices
    alpha: int = least(1, 32)  # the adapter counts alpha / rank
    dropout: float = within(0, 0.9, 0.05)  # before the adapter's first matrix
    targets: tuple[str, ...] = ()  # names of linear layers; empty: q, v, o, gate, up and down as in the paper


@dataclass(frozen=True)
class Memory:
    """The memory tokens."""

    n_memory: int = least(1, 8)  # appended to a text, their mean is the embedding; none under mntp
    max_tokens: int = least(2, 512)  # of a text in training and in use; memory tokens not counted


@dataclass(frozen=True)
class Compression:
    """What compression asks of the memory tokens."""

    objective: str = one_of(*OBJECTIVES)  # ctkd, nll, reconstruction; mntp, ebae, ebar are other people's
    splits: int = within(1, 8, 2)  # of each text, which the teacher reads once; for ctkd, nll and ebar
    shortest_context: int = least(1, 10)  # tokens
    shortest_continuation: int = least(1, 10)  # tokens
    chunk_rows: int = least(1, 256)  # positions whose logits exist at a time
    mask_share: float = within(0.01, 0.9, 0.2)  # of the tokens, mntp alone


@dataclass(frozen=True)
class Tokenizer:
    """The vocabulary of a language model from scratch."""

    vocabulary: int = least(300, 8192)  # tokens of byte-level BPE
    texts: int = least(1, 20000)  # it is learnt from


@dataclass(frozen=True)
class Shape:
    """A Llama-shaped decoder."""

    width: int = least(8, 256)
    layers: int = least(1, 4)
    heads: int = least(1, 4)
    mlp: int = least(1, 680)
    window: int = least(16, 256)  # tokens of a training sequence
    max_positions: int = least(16, 1024)
    attention_dropout: float = within(0, 0.9, 0.0)


@dataclass(frozen=True)
class PretrainRecipe:
    """Stage 0: a causal language model from scratch, tokenizer included."""

    out: str  # the run's folder; the model is OUT/backbone
    texts: Texts
    schedule: Schedule
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    shape: Shape = field(default_factory=Shape)
    watch: Watch = field(default_factory=Watch)
    card: dict[str, Any] = field(default_factory=dict)  # goes into the card as it stands


@dataclass(frozen=True)
class CompressRecipe:
    """Stage 1: memory tokens that stand for the text."""

    out: str  # the run's folder; the encoder is OUT/encoder
    backbone: str  # a folder with a causal language model, or hf:NAME
    texts: Texts
    schedule: Schedule
    memory: Memory = field(default_factory=Memory)
    adapter: Adapter = field(default_factory=Adapter)
    compression: Compression = field(default_factory=Compression)
    watch: Watch = field(default_factory=Watch)
    card: dict[str, Any] = field(default_factory=dict)  # goes into the card as it stands


@dataclass(frozen=True)
class Views:
    """Two views of a text by dropout."""

    temperature: float = within(0.001, 10, 0.05)  # divides similarities
    attention_dropout: float = within(0, 0.9, 0.2)  # beside the adapter's own
    max_tokens: int = least(2, 512)
    mini_batch: int = least(1, 32)  # texts encoded at a time; gradients are cached, so their batch is whole


@dataclass(frozen=True)
class SimcseRecipe:
    """Stage 2: unsupervised contrastive learning; two dropout views of a text are each other's positive."""

    out: str  # the run's folder; the encoder is OUT/encoder
    encoder: str  # an encoder directory, as stage 1 writes it
    texts: Texts
    schedule: Schedule
    views: Views = field(default_factory=Views)
    adapter: Adapter = field(default_factory=Adapter)
    watch: Watch = field(default_factory=Watch)
    card: dict[str, Any] = field(default_factory=dict)  # goes into the card as it stands


@dataclass(frozen=True)
class Pairs:
    """One data set of pairs; a batch is of one data set."""

    name: str  # as the log and the card call it
    files: tuple[str, ...]  # JSON lines, csv, parquet; folders of them
    anchor: str = "anchor"  # column of the query
    positive: str = "positive"  # column of the document
    negatives: tuple[
        str, ...
    ] = ()  # columns of hard negatives; rows without them make a data set of their own
    source: str = ""  # column whose values make data sets of their own; empty: one
    instruction: str = ""  # what the query asks for; put before the anchor as the encoder's template says
    most: int = least(0, 0)  # pairs taken; 0: all


@dataclass(frozen=True)
class Contrast:
    """What tells positives from negatives."""

    temperature: float = within(0.001, 10, 0.05)  # divides similarities
    mini_batch: int = least(1, 32)  # texts encoded at a time; gradients are cached, so their batch is whole
    max_query_tokens: int = least(2, 512)
    max_document_tokens: int = least(2, 1024)
    matryoshka: tuple[int, ...] = ()  # first numbers of the embedding that must stand alone
    layers: str = one_of("none", "random", "starbucks")  # 2DMSE's random pairs, or Starbucks' list
    layer_sizes: tuple[
        tuple[int, ...], ...
    ] = ()  # (layers, numbers) from small to large; empty: Starbucks' own
    focal: float = within(0, 10, 0.0)  # gamma of (1 - p of the positive) ** gamma; KaLM-Embedding: 0.5
    mixed_negatives: int = least(0, 0)  # a query, of its hardest in-batch negatives
    guide: str = ""  # encoder spec that judges false negatives; empty: none
    guide_margin: float = within(
        -2, 2, 0.05
    )  # a candidate this near to the positive's similarity is left out
    symmetric: bool = False  # positives look for their queries too


@dataclass(frozen=True)
class ContrastiveRecipe:
    """Stage 3: supervised contrastive learning."""

    out: str  # the run's folder; the encoder is OUT/encoder
    encoder: str  # an encoder directory, as stage 1 or 2 writes it
    pairs: tuple[Pairs, ...]
    schedule: Schedule
    texts: Texts | None = None  # for the spectrum, and known items where held_out is 0; left out of pairs
    contrast: Contrast = field(default_factory=Contrast)
    adapter: Adapter = field(default_factory=Adapter)
    watch: Watch = field(default_factory=Watch)
    held_out: int = least(0, 200)  # pairs of all data sets together, never trained on
    soup: int = least(0, 0)  # average the last so many checkpoints; kept if better than the best of them
    card: dict[str, Any] = field(default_factory=dict)  # goes into the card as it stands


@dataclass(frozen=True)
class MineRecipe:
    """Hard negatives for pairs: near the anchor, and not its positive."""

    out: str  # the parquet file
    encoder: str  # a spec, as for load_encoder
    pairs: tuple[Pairs, ...]
    negatives: int = least(1, 1)  # a pair
    skip_first: int = least(0, 5)  # nearest passages that are too likely positives
    among: int = least(1, 100)  # nearest passages that negatives are drawn from
    margin: float = within(-2, 2, 0.05)  # a negative is at least this much less similar than the positive
    relative_margin: float = within(0, 1, 0.0)  # the same as a share of the positive's similarity
    sampling: str = one_of("top", "random")
    seed: int = least(0, 0)
