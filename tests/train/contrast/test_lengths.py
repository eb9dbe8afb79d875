"""Texts are read as long as the recipe says, within what the encoder holds, and what is cut is told."""

from hypothesis import given
from hypothesis import strategies as st

from train.contrast.lengths import fit_lengths, longest_read
from train.settings import Contrast, ContrastiveRecipe, Schedule, SimcseRecipe, Texts, Views

SCHEDULE = Schedule(steps=1)


def _pairs(query, document):
    contrast = Contrast(max_query_tokens=query, max_document_tokens=document)
    return ContrastiveRecipe("out", "encoder", (), SCHEDULE, contrast=contrast)


def test_what_is_too_long_is_cut_and_told():
    fitted, told = fit_lengths(_pairs(20, 1000), 60)
    assert (fitted.contrast.max_query_tokens, fitted.contrast.max_document_tokens) == (20, 60)
    assert told == ["contrast.max_document_tokens is 1,000: cut to 60 tokens, this encoder holds no more"]


def test_views_are_cut_as_well():
    recipe = SimcseRecipe("out", "encoder", Texts(()), SCHEDULE, views=Views(max_tokens=80, temperature=0.1))
    fitted, told = fit_lengths(recipe, 60)
    assert fitted.views == Views(max_tokens=60, temperature=0.1)
    assert told == ["views.max_tokens is 80: cut to 60 tokens, this encoder holds no more"]


@given(
    query=st.integers(2, 99), document=st.integers(2, 99), before=st.integers(1, 99), room=st.integers(1, 99)
)
def test_an_encoder_reads_what_it_was_trained_on(query, document, before, room):
    recipe = _pairs(query, document)
    longest = longest_read(before, recipe, room)
    assert longest == min(max(before, query, document), room)
    contrast = fit_lengths(recipe, longest)[0].contrast
    assert max(contrast.max_query_tokens, contrast.max_document_tokens) <= longest
    assert longest_read(before, recipe, None) == max(before, query, document)
