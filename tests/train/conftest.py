"""A made teacher, made texts and a tiny recipe: a whole distillation in seconds, without any download."""

import random
import string

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel, BertTokenizerFast

WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "nrst"]


@pytest.fixture(autouse=True)
def one_thread():
    """Two threads on shared cores wait for each other: these small steps take 30 times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def teacher_directory(tmp_path_factory):
    """A random BERT that a student can learn: one layer, so that words count more than their order."""
    folder = tmp_path_factory.mktemp("teacher")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = special + [".", ","] + list(string.ascii_lowercase) + WORDS
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertWordPieceTokenizer(str(folder / "vocab.txt"))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data_directory(tmp_path_factory):
    """A file of passages and a file of pairs."""
    folder = tmp_path_factory.mktemp("data")
    generator = random.Random(0)

    def sentence(words: int) -> str:
        return " ".join(generator.choices(WORDS, k=words)).capitalize() + "."

    passages = [" ".join(sentence(12) for _ in range(8)) for _ in range(60)]
    pq.write_table(pa.table({"text": passages}), folder / "text.parquet")
    positives = [sentence(14) for _ in range(80)]
    anchors = [" ".join(positive.rstrip(".").split()[2:6]) for positive in positives]
    pq.write_table(pa.table({"anchor": anchors, "positive": positives}), folder / "pairs.parquet")
    return folder
