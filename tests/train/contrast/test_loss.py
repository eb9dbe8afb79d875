"""Cached gradients are those of the loss written out in one graph, dropout included."""

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedGISTEmbedLoss,
    CachedMultipleNegativesRankingLoss,
    MatryoshkaLoss,
)

from encoder.errors import ConfigError, ShapeError
from tests.train.contrast.oracle import (
    ANCHORS,
    NEGATIVES,
    POSITIVES,
    Judge,
    embed,
    features,
    gradients,
    one_way,
    plain_loss,
    relative_difference,
    tiny_model,
)
from train.contrast.guide import Guide
from train.contrast.layers import draw_sizes, trained_parts
from train.contrast.loss import ContrastiveLoss, ViewLoss
from train.contrast.mixing import draw_coefficients
from train.settings import Contrast, Views

PAIRS = [ANCHORS, POSITIVES]
TRIPLES = [ANCHORS, POSITIVES, NEGATIVES]
MANY = [ANCHORS, POSITIVES, NEGATIVES, NEGATIVES[1:] + NEGATIVES[:1]]
DOUBLED = [
    [*ANCHORS, "fox", "new"],
    [*POSITIVES, "seven wizards", POSITIVES[1]],
    [*NEGATIVES, POSITIVES[0], "lazy"],
]
CASES = {
    "pairs": (PAIRS, {}),
    "a hard negative": (TRIPLES, {}),
    "two hard negatives": (MANY, {}),
    "doubled texts": (DOUBLED, {}),
    "symmetric": (TRIPLES, {"symmetric": True}),
    "symmetric, doubled texts": (DOUBLED, {"symmetric": True}),
    "prefixes": (TRIPLES, {"matryoshka": (8, 16, 32)}),
    "focal": (TRIPLES, {"focal": 0.5}),
    "focal, symmetric": (TRIPLES, {"focal": 2.0, "symmetric": True}),
    "a mixed negative": (PAIRS, {"mixed_negatives": 1}),
    "mixed negatives": (DOUBLED, {"mixed_negatives": 4}),
    "a random layer": (TRIPLES, {"layers": "random", "matryoshka": (8,)}),
    "a list of layers": (TRIPLES, {"layers": "starbucks", "layer_sizes": ((1, 8), (2, 16), (3, 32))}),
    "everything": (
        DOUBLED,
        {
            "symmetric": True,
            "matryoshka": (16,),
            "focal": 0.5,
            "mixed_negatives": 3,
            "layers": "starbucks",
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_cached_gradients_are_those_of_one_graph(case):
    columns, options = CASES[case]
    settings = Contrast(temperature=0.3, mini_batch=3, **options)
    model = tiny_model(dropout=0.2, layers=3)
    loss = ContrastiveLoss(model, settings, seed=5)
    loss.step = 11
    torch.manual_seed(1)
    value = loss(features(model, columns))
    value.backward()
    found = gradients(model)

    model.zero_grad()
    sizes = draw_sizes(settings, 3, 32, seed=5, step=11)
    torch.manual_seed(1)
    representations = embed(model, columns, 3, layer_sizes=sizes)
    mixtures = None
    if settings.mixed_negatives:
        mixtures = draw_coefficients(len(columns[0]), settings.mixed_negatives, seed=5, step=11)
    expected = sum(
        plain_loss([each[:, part] for each in representations], columns, settings, mixtures=mixtures)
        for part in trained_parts(32, settings.matryoshka, sizes)
    )
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert relative_difference(found, gradients(model)) < 1e-5


def test_views_of_a_text_look_for_each_other():
    texts = [*POSITIVES, POSITIVES[0]]
    model = tiny_model(dropout=0.2)
    torch.manual_seed(1)
    value = ViewLoss(model, Views(temperature=0.05, mini_batch=3))(features(model, [texts]))
    value.backward()
    found = gradients(model)

    model.zero_grad()
    torch.manual_seed(1)
    first, second = embed(model, [texts, texts], 3)
    assert not torch.equal(first, second)
    expected = one_way([first, second], [texts, texts], Contrast(temperature=0.05), None, None)
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert relative_difference(found, gradients(model)) < 1e-5


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("columns", [PAIRS, MANY])
def test_without_options_it_is_the_loss_of_the_library(columns, symmetric):
    model = tiny_model(dropout=0.2)
    directions = ("query_to_doc", "doc_to_query") if symmetric else ("query_to_doc",)
    theirs = CachedMultipleNegativesRankingLoss(
        model, scale=20.0, mini_batch_size=3, directions=directions, partition_mode="per_direction"
    )
    ours = ContrastiveLoss(model, Contrast(temperature=0.05, mini_batch=3, symmetric=symmetric))
    _assert_equal(ours, theirs, model, columns)


def test_prefixes_are_those_of_the_library():
    model = tiny_model(dropout=0.2)
    inner = CachedMultipleNegativesRankingLoss(model, scale=20.0, mini_batch_size=3)
    theirs = MatryoshkaLoss(model, inner, [32, 16, 8])
    ours = ContrastiveLoss(model, Contrast(temperature=0.05, mini_batch=3, matryoshka=(8, 16)))
    _assert_equal(ours, theirs, model, TRIPLES)


@pytest.mark.parametrize("margin", [-0.1, 0.0, 0.3])
def test_a_guide_leaves_out_what_the_library_leaves_out(margin):
    model, judge = tiny_model(dropout=0.2), tiny_model(seed=3).eval()
    theirs = CachedGISTEmbedLoss(
        model, judge, temperature=0.3, mini_batch_size=3, margin=margin,
        contrast_anchors=False, contrast_positives=False,
    )  # fmt: skip
    settings = Contrast(temperature=0.3, mini_batch=3, guide_margin=margin)
    ours = ContrastiveLoss(model, settings, guide=Guide(Judge(judge), model.tokenizer))
    _assert_equal(ours, theirs, model, TRIPLES)


def test_the_guide_counts_in_both_directions():
    model, judge = tiny_model(dropout=0.2), Judge(tiny_model(seed=3).eval())
    settings = Contrast(temperature=0.3, mini_batch=3, guide_margin=0.1, symmetric=True)
    loss = ContrastiveLoss(model, settings, guide=Guide(judge, model.tokenizer))
    torch.manual_seed(1)
    value = loss(features(model, DOUBLED))
    torch.manual_seed(1)
    vectors = embed(model, DOUBLED, 3)
    guides = [torch.tensor(judge.encode_query(texts)) for texts in DOUBLED]
    expected = plain_loss(vectors, DOUBLED, settings, guides=guides)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    unguided = plain_loss(vectors, DOUBLED, settings)
    assert unguided.item() != pytest.approx(expected.item(), rel=1e-2)


def test_a_larger_mini_batch_changes_no_result():
    model = tiny_model()
    small, large = (ContrastiveLoss(model, Contrast(mini_batch=size)) for size in (2, 64))
    _assert_equal(small, large, model, TRIPLES)


def test_rows_beyond_a_chunk_count_the_same(monkeypatch):
    model = tiny_model()
    settings = Contrast(mini_batch=4, mixed_negatives=2, symmetric=True)
    whole, cut = ContrastiveLoss(model, settings), ContrastiveLoss(model, settings)
    value = whole(features(model, DOUBLED))
    value.backward()
    expected = gradients(model)
    model.zero_grad()
    monkeypatch.setattr("train.contrast.loss._CHUNK_ROWS", 2)
    again = cut(features(model, DOUBLED))
    again.backward()
    assert again.item() == pytest.approx(value.item(), rel=1e-6)
    assert relative_difference(gradients(model), expected) < 1e-5


def test_the_second_pass_computes_in_the_precision_of_the_first():
    model = tiny_model()
    seen = []
    model[0].register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    loss = ContrastiveLoss(model, Contrast(mini_batch=4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(features(model, PAIRS))
    value.backward()
    assert seen == [True] * 8
    assert value.dtype == torch.float32


def test_two_batches_before_a_backward_pass_keep_their_own_layers():
    model = tiny_model(layers=4)
    settings = Contrast(mini_batch=3, layers="random")
    loss = ContrastiveLoss(model, settings)
    drawn = [draw_sizes(settings, 4, 32, seed=0, step=step) for step in (0, 1)]
    assert drawn[0] != drawn[1]
    first, _second = loss(features(model, PAIRS)), loss(features(model, TRIPLES))
    first.backward()
    found = gradients(model)
    model.zero_grad()
    loss.step = 0
    loss(features(model, PAIRS)).backward()
    assert torch.equal(gradients(model), found)


def test_without_gradients_the_loss_is_the_same_at_every_look():
    model = tiny_model(layers=3)
    loss = ContrastiveLoss(model, Contrast(layers="random", mixed_negatives=2))
    with torch.no_grad():
        first = loss(features(model, TRIPLES))
        loss.step = 7
        assert torch.equal(loss(features(model, TRIPLES)), first)
    assert loss.step == 7


def test_a_row_whose_candidates_are_all_positives_costs_nothing():
    model = tiny_model()
    settings = Contrast(mini_batch=2, mixed_negatives=2)
    value = ContrastiveLoss(model, settings)(features(model, [["fox", "fox"], ["dog", "over"]]))
    value.backward()
    assert value.item() == 0.0
    assert torch.equal(gradients(model), torch.zeros_like(gradients(model)))


def test_a_single_column_is_refused():
    model = tiny_model()
    with pytest.raises(ShapeError, match="the batch has 1 column, expected queries and positives"):
        ContrastiveLoss(model, Contrast())(features(model, [ANCHORS]))
    with pytest.raises(ShapeError, match="the batch has 2 columns, expected one"):
        ViewLoss(model, Views())(features(model, PAIRS))


def test_inner_layers_need_an_encoder_of_ours():
    foreign = SentenceTransformer(modules=[torch.nn.Identity()], device="cpu")
    foreign.get_embedding_dimension = lambda: 8
    with pytest.raises(ConfigError, match="Identity does not give the states of inner layers"):
        ContrastiveLoss(foreign, Contrast(layers="random"))


def _assert_equal(ours, theirs, model, columns):
    found = []
    for loss in (ours, theirs):
        model.zero_grad()
        torch.manual_seed(1)
        value = loss(features(model, columns), None)
        value.backward()
        found.append((value.item(), gradients(model)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert relative_difference(found[0][1], found[1][1]) < 1e-5
