"""What a call to encode did: texts, tokens, what was cut, how fast. Filled in place for the caller who asks."""

import time
from dataclasses import dataclass, field


@dataclass
class EncodingStats:
    """Counts that grow over every call they are given to."""

    texts: int = 0
    tokens: int = 0  # text tokens encoded, prompt included; no BOS and no memory tokens
    truncated: int = 0  # texts that lost tokens beyond the encoder's longest length
    started_s: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Time since these counts began."""
        return time.monotonic() - self.started_s

    def describe(self) -> str:
        """One line for people: counts, speed, and how many texts were cut."""
        seconds = max(self.seconds, 1e-9)
        line = f"{self.texts:,} texts, {self.texts / seconds:,.0f} texts/s, {self.tokens / seconds:,.0f} tokens/s"
        return f"{line}, {self.truncated:,} texts cut at the longest length" if self.truncated else line
