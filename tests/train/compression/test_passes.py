from itertools import combinations
from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.compression.passes import cut_passes, pass_budget

CPU, GPU = torch.device("cpu"), torch.device("cuda")
_LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=40).map(np.array)


@given(lengths=_LENGTHS, budget=st.integers(1, 3000))
def test_each_sequence_is_in_one_pass(lengths, budget):
    passes = cut_passes(lengths, budget=budget, device=CPU)
    assert sorted(np.concatenate(passes)) == list(range(len(lengths)))


@given(lengths=_LENGTHS, budget=st.integers(1, 3000))
def test_a_pass_keeps_within_the_budget_or_is_one_sequence(lengths, budget):
    for group in cut_passes(lengths, budget=budget, device=CPU):
        assert len(group) == 1 or len(group) * lengths[group].max() <= budget


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=9).map(np.array))
def test_no_other_cut_of_the_sorted_sequences_costs_less(lengths):
    ordered = np.sort(lengths)[::-1]

    def cost(bounds):
        parts = np.split(ordered, bounds)
        return sum(64 + len(part) * part[0] for part in parts)

    places = range(1, len(ordered))
    best = min(cost(bounds) for size in range(len(ordered)) for bounds in combinations(places, size))
    found = cut_passes(lengths, budget=10**6, device=CPU)
    assert sum(64 + len(group) * lengths[group].max() for group in found) == best


def test_a_gpu_pads_rather_than_begins_a_further_pass():
    lengths = np.array([200, 150, 100, 50])
    assert len(cut_passes(lengths, budget=4096, device=CPU)) > 1
    assert len(cut_passes(lengths, budget=4096, device=GPU)) == 1


def test_a_large_decoder_on_a_gpu_gets_smaller_passes():
    sizes = [
        SimpleNamespace(hidden_size=d, num_hidden_layers=n) for d, n in ((256, 4), (1024, 28), (4096, 32))
    ]
    budgets = [pass_budget(size, GPU) for size in sizes]
    assert budgets == [32768, 8811, 2048]
    assert pass_budget(sizes[2], CPU) == 2048
