"""How this server was started: whether it only shows, and whether people sign in. One setting a process."""

from dataclasses import dataclass

from app.sign_in import SignIn
from encoder.errors import InputError


@dataclass(frozen=True, slots=True)
class Mode:
    """What holds for every session of this process.

    Attributes:
        is_read_only: nothing is started, tagged or saved.
        sign_in: nothing is shown to those whom this does not let in; None without sign-in.
    """

    is_read_only: bool = False
    sign_in: SignIn | None = None


_chosen = Mode()


def choose(mode: Mode) -> None:
    """Sets the mode, before the first session begins."""
    global _chosen
    _chosen = mode


def current() -> Mode:
    """The mode of this process."""
    return _chosen


def check_writable(deed: str) -> None:
    """Lets pass only where things may be changed.

    Args:
        deed: what would be done, "start jobs".

    Raises:
        InputError: the server was started to show only.
    """
    if _chosen.is_read_only:
        raise InputError(
            f"this server only shows: it does not {deed}",
            "llm2comp app --read-only",
            "ask whoever started it, or start one without --read-only",
        )
