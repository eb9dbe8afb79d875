"""Which of the processes that train together this one is, as torchrun says; one alone without it."""

import os


def world_size() -> int:
    """Processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """False on all but one of them."""
    return int(os.environ.get("RANK", "0")) == 0
