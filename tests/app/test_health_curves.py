"""Spectra by length and by memory token become curves, and what cannot be drawn is said."""

import numpy as np
import pytest

from app.health_curves import length_layers, length_sentence, slot_layers, slot_sentence
from encoder.spectrum.length_bias import length_bias
from encoder.spectrum.slots import examine_slots


def _rows(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_lengths_are_drawn_from_short_to_long_beside_random_directions():
    report = length_bias(_rows(90, 4), np.repeat([3, 50, 70], 30), bins=3)
    layers = length_layers(report)
    assert [layer.name for layer in layers] == [
        "3 to 3 tokens",
        "50 to 50 tokens",
        "70 to 70 tokens",
        "random directions",
    ]
    assert [layer.shade for layer in layers] == [0, 0.5, 1, None]
    assert layers[1].eigenvalues.tolist() == list(report.bins[1].eigenvalues)
    assert length_sentence(report) == "Each curve is of 30 passages, drawn at random."


def test_a_length_with_too_few_passages_says_how_many_it_takes():
    report = length_bias(_rows(100, 64), np.repeat([3, 50], [20, 80]), bins=2)
    assert [layer.name for layer in length_layers(report)] == ["50 to 50 tokens", "random directions"]
    assert length_sentence(report) == (
        "Each curve is of 80 passages, drawn at random. No curve for 3 to 3 tokens (20): it takes 64 passages of a "
        "length, as many as a vector has numbers."
    )
    none = length_bias(_rows(20, 64), np.full(20, 3))
    assert length_layers(none) == [] and length_sentence(none).startswith("No curve for 3 to 3 tokens (20)")


@pytest.mark.parametrize(("texts", "is_few"), [(30, False), (5, True)])
def test_memory_tokens_are_drawn_in_their_order(texts, is_few):
    report = examine_slots(_rows(texts, 3, 8))
    layers = slot_layers(report)
    names = ["memory token 1", "memory token 2", "memory token 3", "random directions"]
    assert [layer.name for layer in layers] == names
    assert f"the same {texts} texts" in slot_sentence(report)
    assert ("fewer than the 8 numbers" in slot_sentence(report)) == is_few


def test_no_texts_are_no_curves():
    assert slot_layers(examine_slots(np.zeros((0, 3, 8)))) == []
