"""The contrastive loss written out for one query after another, in one graph: what the fast one must equal."""

import math

import torch
from sentence_transformers import SentenceTransformer

from encoder.memory import new_memory
from encoder.st import MemoryEncoder
from tests.encoder.tiny import tiny_backbone, tiny_config, tiny_tokenizer

ANCHORS = ["fox", "old books", "quiet rooms", "a lazy dog", "seven wizards", "read", "over the dog"]
POSITIVES = [
    "the quick brown fox jumps over a lazy dog",
    "wizards read",
    "rooms in rooms while a dog jumps over seven books",
    "dog",
    "seven old wizards read books",
    "books in quiet rooms",
    "jumps over",
]
NEGATIVES = [
    "a fox",
    "seven",
    "in the quick",
    "lazy",
    "brown wizards read old rooms",
    "jumps",
    "dog over dog",
]


def tiny_model(dropout=0.0, layers=2, seed=0):
    """A tiny encoder in training mode."""
    backbone = tiny_backbone(seed=seed, attention_dropout=dropout, num_hidden_layers=layers)
    module = MemoryEncoder(backbone, new_memory(backbone, 4), tiny_tokenizer(), tiny_config())
    return SentenceTransformer(modules=[module], device="cpu").train()


class Judge:
    """A sentence-transformers model as a guide."""

    def __init__(self, model):
        self.model = model

    def encode_query(self, texts):
        return self.model.encode(texts)

    def encode_document(self, texts):
        return self.model.encode(texts)


def features(model, columns):
    return [model[0].preprocess(texts) for texts in columns]


def embed(model, columns, mini_batch, **more):
    """Representations with graph, the random numbers drawn in the order of the cached loss."""
    found = []
    for texts in columns:
        pieces = [texts[begin : begin + mini_batch] for begin in range(0, len(texts), mini_batch)]
        found.append(
            torch.cat([model(model[0].preprocess(piece) | more)["sentence_embedding"] for piece in pieces])
        )
    return found


def plain_loss(vectors, texts, settings, *, mixtures=None, guides=None):
    """The loss of columns of vectors [B, D] that belong to columns of texts."""
    loss = one_way(vectors, texts, settings, mixtures, guides)
    if settings.symmetric:
        back = None if guides is None else [guides[1], guides[0]]
        turned = one_way([vectors[1], vectors[0]], [texts[1], texts[0]], settings, None, back)
        loss = (loss + turned) / 2
    return loss


def one_way(vectors, texts, settings, mixtures, guides):
    rows = len(texts[0])
    terms = []
    for i in range(rows):
        query, positive = _unit(vectors[0][i]), _unit(vectors[1][i])
        negatives = []
        for column in range(1, len(vectors)):
            for j in range(rows):
                if not (column == 1 and j == i) and _is_negative(i, column, j, texts, guides, settings):
                    negatives.append(_unit(vectors[column][j]))
        if mixtures is not None:
            negatives += _mixed(query, negatives, mixtures[i])
        chances = [math.e ** (query @ each / settings.temperature) for each in [positive, *negatives]]
        chance = chances[0] / sum(chances)
        terms.append(-((1 - float(chance.detach())) ** settings.focal) * torch.log(chance))
    return sum(terms) / rows


def _is_negative(i, column, j, texts, guides, settings):
    candidate = texts[column][j]
    if candidate in (texts[1][i], texts[0][i]) or (column == 1 and texts[0][j] == texts[0][i]):
        return False
    if guides is None:
        return True
    own = float(guides[0][i] @ guides[1][i])
    return float(guides[0][i] @ guides[column][j]) <= own - settings.guide_margin


def _mixed(query, negatives, shares):
    hardest = sorted(negatives, key=lambda each: -float((query @ each).detach()))[: len(shares[0])]
    found = []
    for share in shares:
        if hardest:
            found.append(_unit(sum(float(s) * each for s, each in zip(share, hardest, strict=False))))
    return found


def _unit(vector):
    return vector / vector.norm()


def gradients(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def relative_difference(found, expected):
    return float((found - expected).norm() / expected.norm())
