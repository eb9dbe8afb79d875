"""What the guide reads."""

import numpy as np
import torch

from tests.train.contrast.oracle import features, tiny_model
from train.contrast.guide import Guide


class _Reader:
    """Remembers what it was given."""

    def __init__(self):
        self.queries, self.documents = [], []

    def encode_query(self, texts):
        self.queries.append(list(texts))
        return np.eye(len(texts), 3, dtype=np.float32)

    def encode_document(self, texts):
        self.documents.append(list(texts))
        return np.eye(len(texts), 3, dtype=np.float32)


def test_the_guide_reads_the_texts_and_no_padding():
    model, reader = tiny_model(), _Reader()
    columns = features(model, [["fox", "a lazy dog"], ["naïve café", ""], ["<s> books", "old"]])
    for each in columns:  # what stands in the padding means nothing
        each["input_ids"] = torch.where(each["attention_mask"].bool(), each["input_ids"], 70)
    found = Guide(reader, model.tokenizer).vectors(columns)
    assert reader.queries == [["fox", "a lazy dog"]]
    assert reader.documents == [["naïve café", ""], ["<s> books", "old"]]
    assert [each.shape for each in found] == [(2, 3)] * 3
    assert found[0].dtype == torch.float32


def test_the_guide_reads_no_instruction():
    model, reader = tiny_model(), _Reader()
    prefixes = ["find: ", "find: old: "]
    columns = [
        model[0].preprocess(["fox", "find: dog"], prompt="find: old: "),
        model[0].preprocess(["find: fox", "dog"]),
    ]
    Guide(reader, model.tokenizer, prefixes=prefixes).vectors(columns)
    assert reader.queries == [["fox", "find: dog"]]
    assert reader.documents == [["find: fox", "dog"]]
