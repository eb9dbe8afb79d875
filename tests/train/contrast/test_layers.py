"""Sizes of inner encoders."""

import pytest

from encoder.errors import ConfigError
from train.contrast.layers import check_sizes, draw_sizes, starbucks_sizes, trained_parts
from train.settings import Contrast


def test_starbucks_list_is_the_papers_at_its_size():
    assert starbucks_sizes(12, 768) == ((2, 32), (4, 64), (6, 128), (8, 256), (10, 512), (12, 768))


@pytest.mark.parametrize(("n_layers", "dimension"), [(1, 4), (2, 32), (4, 256), (28, 1024), (32, 4096)])
def test_a_scaled_list_grows_to_the_whole_encoder(n_layers, dimension):
    sizes = starbucks_sizes(n_layers, dimension)
    assert sizes[-1] == (n_layers, dimension)
    assert list(sizes) == sorted(set(sizes))
    assert len({layer for layer, _ in sizes}) == len(sizes)
    assert all(1 <= layer <= n_layers and 1 <= numbers <= dimension for layer, numbers in sizes)


def test_the_whole_encoder_is_not_trained_twice():
    assert draw_sizes(Contrast(layers="starbucks"), 12, 768, seed=0, step=0)[-1] == (10, 512)


def test_no_layers_are_drawn_unasked():
    assert draw_sizes(Contrast(matryoshka=(8,)), 12, 768, seed=0, step=0) == ()


def test_a_random_pair_lies_below_the_last_layer_and_follows_from_the_step():
    settings = Contrast(layers="random", matryoshka=(8, 16))
    drawn = [draw_sizes(settings, 4, 32, seed=1, step=step) for step in range(60)]
    assert {pair for (pair,) in drawn} == {(layer, numbers) for layer in (1, 2, 3) for numbers in (8, 16)}
    assert drawn[7] == draw_sizes(settings, 4, 32, seed=1, step=7)


def test_a_random_pair_comes_from_the_list_if_there_is_one():
    settings = Contrast(layers="random", layer_sizes=((1, 8), (3, 24)))
    drawn = {draw_sizes(settings, 4, 32, seed=1, step=step) for step in range(30)}
    assert drawn == {((1, 8),), ((3, 24),)}


def test_parts_are_the_embedding_its_prefixes_and_the_inner_layers():
    assert trained_parts(32, (8, 32, 16), ((1, 8), (2, 16))) == [
        slice(0, 32),
        slice(0, 16),
        slice(0, 8),
        slice(32, 40),
        slice(40, 56),
    ]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (Contrast(matryoshka=(8, 64)), "matryoshka holds 64, the embedding has 32 numbers"),
        (Contrast(matryoshka=(0,)), "matryoshka holds 0"),
        (
            Contrast(layers="starbucks", layer_sizes=((5, 8),)),
            r"layer_sizes holds \[5, 8\], the encoder has 4",
        ),
        (Contrast(layers="random", layer_sizes=((1, 8, 2),)), r"layer_sizes holds \[1, 8, 2\]"),
        (Contrast(layer_sizes=((1, 8),)), 'layer_sizes holds 1 pairs and layers is "none"'),
    ],
)
def test_sizes_outside_of_the_encoder_are_refused(settings, what):
    with pytest.raises(ConfigError, match=what):
        check_sizes(settings, 4, 32)
