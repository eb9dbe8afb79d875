"""How large the study is: every number that a result depends on, in one place. Two scales: the real one, and one for tests."""

from dataclasses import dataclass, field

OBJECTIVES = ("reconstruction", "nll", "ctkd", "mntp", "ebae", "ebar")


@dataclass(frozen=True)
class Run:
    """Length of a kind of training run."""

    steps: int
    batch: int
    learning_rate: float
    warmup: int


@dataclass(frozen=True)
class Scale:
    """The sizes of a study."""

    name: str
    width: int
    mlp: int
    vocabulary: int
    pretrain: Run
    compress: Run
    simcse: Run
    contrastive: Run  # its steps follow from the number of pairs, each of which is seen once
    window: int  # tokens of a training sequence of the backbone
    max_tokens: int  # of a text in stage 1 and in use
    view_tokens: int  # of a text in stage 2
    query_tokens: int  # in stage 3
    document_tokens: int
    shortest_characters: int
    n_memory: int  # wherever it is not what is asked about
    memory_counts: tuple[int, ...]
    pair_counts: tuple[int, ...]  # of labelled pairs, beside none
    pairs: int  # wherever it is not what is asked about
    sts_pairs: int  # most of each development set, drawn with seed 0
    queries: int
    documents: int
    train_texts: int
    test_texts: int
    cluster_texts: int
    probe_texts: int  # for spectra and the likeness of memory tokens
    layers: int = 4
    heads: int = 4
    pretrain_look: int = 200  # steps between two checkpoints of the backbone
    dtype: str = "auto"
    # A first guess of the seconds that each kind of step takes; what was measured takes its place.
    seconds: dict[str, float] = field(default_factory=dict)


REAL = Scale(
    name="real",
    width=192,
    mlp=512,
    vocabulary=8192,
    pretrain=Run(steps=1700, batch=32, learning_rate=2e-3, warmup=100),
    compress=Run(steps=160, batch=16, learning_rate=5e-4, warmup=16),
    simcse=Run(steps=40, batch=64, learning_rate=2e-4, warmup=5),
    contrastive=Run(steps=0, batch=64, learning_rate=5e-4, warmup=4),
    window=128,
    max_tokens=128,
    view_tokens=48,
    query_tokens=24,
    document_tokens=80,
    shortest_characters=250,
    n_memory=8,
    memory_counts=(1, 2, 4, 8, 16, 32),
    pair_counts=(1024, 4096, 16384),
    pairs=4096,
    sts_pairs=400,
    queries=150,
    documents=800,
    train_texts=1500,
    test_texts=750,
    cluster_texts=1000,
    probe_texts=1000,
    seconds={
        "pretrain": 1700,
        "compress": 100,
        "simcse": 50,
        "contrastive": 70,
        "fresh": 3,
        "pooling": 25,
        "score": 18,
    },
)

SMALL = Scale(
    name="small",
    width=32,
    mlp=64,
    vocabulary=400,
    pretrain=Run(steps=4, batch=4, learning_rate=3e-3, warmup=1),
    compress=Run(steps=2, batch=4, learning_rate=1e-3, warmup=1),
    simcse=Run(steps=2, batch=4, learning_rate=1e-3, warmup=1),
    contrastive=Run(steps=0, batch=4, learning_rate=1e-3, warmup=1),
    window=32,
    max_tokens=48,
    view_tokens=16,
    query_tokens=16,
    document_tokens=32,
    shortest_characters=100,
    n_memory=2,
    memory_counts=(1, 2),
    pair_counts=(8, 16),
    pairs=8,
    sts_pairs=20,
    queries=10,
    documents=20,
    train_texts=20,
    test_texts=10,
    cluster_texts=30,
    probe_texts=40,
    layers=2,
    heads=2,
    pretrain_look=2,
    dtype="float32",
)

SCALES = {"real": REAL, "small": SMALL}
