"""How many tokens of a text are read: as many as the recipe says, within what the encoder holds."""

from dataclasses import replace
from typing import TypeVar

from train.settings import ContrastiveRecipe, SimcseRecipe

_Recipe = TypeVar("_Recipe", SimcseRecipe, ContrastiveRecipe)


def fit_lengths(recipe: _Recipe, most: int) -> tuple[_Recipe, list[str]]:
    """The recipe with lengths of at most `most` tokens, and what people are told of those that were longer."""
    section = "views" if isinstance(recipe, SimcseRecipe) else "contrast"
    settings = getattr(recipe, section)
    names = [name for name in vars(settings) if name.startswith("max_")]
    long = {name: getattr(settings, name) for name in names if getattr(settings, name) > most}
    told = [
        f"{section}.{name} is {asked:,}: cut to {most:,} tokens, this encoder holds no more"
        for name, asked in long.items()
    ]
    return replace(recipe, **{section: replace(settings, **dict.fromkeys(long, most))}), told


def longest_read(before: int, recipe: ContrastiveRecipe, room: int | None) -> int:
    """Most tokens that an encoder reads after stage 3, which may raise what it read before.

    Args:
        before: what it read before.
        recipe: of the stage.
        room: of the backbone beside BOS and memory tokens; None where it has no bound.
    """
    wanted = max(before, recipe.contrast.max_query_tokens, recipe.contrast.max_document_tokens)
    return wanted if room is None else min(wanted, room)
