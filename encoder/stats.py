"""What a call to encode did: texts, tokens, what was cut, how fast. Filled in place for the caller who asks."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from encoder.prompt import Tokens


@dataclass
class EncodingStats:
    """Counts that grow over every call they are given to."""

    texts: int = 0
    tokens: int = 0  # text tokens encoded, prompt included; no BOS and no memory tokens
    truncated: int = 0  # texts that lost tokens beyond the encoder's longest length
    unknown: int = 0  # tokens of the texts themselves that tell the encoder nothing, see `encoder.unknown`
    mostly_unknown: list[int] = field(
        default_factory=list
    )  # numbers of the texts with more such tokens than others
    started_s: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Time since these counts began."""
        return time.monotonic() - self.started_s

    def count_cuts(self, tokens: "Tokens", first: int) -> None:
        """Adds what was lost of some texts.

        Args:
            tokens: of these texts.
            first: number of the first of them among all texts of these counts.
        """
        self.truncated += tokens.truncated
        self.unknown += int(tokens.unknown.sum())
        self.mostly_unknown += (first + np.flatnonzero(2 * tokens.unknown > tokens.own)).tolist()

    def describe(self) -> str:
        """One line for people: counts, speed, and how many texts were cut."""
        seconds = max(self.seconds, 1e-9)
        line = f"{self.texts:,} texts, {self.texts / seconds:,.0f} texts/s, {self.tokens / seconds:,.0f} tokens/s"
        if self.truncated:
            line += f", {self.truncated:,} texts cut at the longest length"
        if self.mostly_unknown:
            line += f", {len(self.mostly_unknown):,} texts in writing that the encoder hardly knows"
        return line
