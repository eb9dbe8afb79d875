"""Scores that are there already, so that a stopped evaluation goes on where it was."""

import hashlib
import json
from pathlib import Path
from typing import Any

from encoder.atomic import write_json
from encoder.errors import InputError

FORMAT = 1


class KeptScores:
    """A folder with one small JSON file for each thing that was measured; or nothing, which keeps nothing.

    Args:
        folder: made when something is first kept; None to keep nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, *key: Any) -> dict[str, Any] | None:
        """What was kept under a key; None where there is nothing, or nothing whole.

        Args:
            key: all that decides the result, JSON types only.
        """
        if self._folder is None:
            return None
        try:
            content = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content["kept"] if content.get("key") == [FORMAT, *key] else None

    def keep(self, kept: dict[str, Any], *key: Any) -> None:
        """Keeps something under a key.

        Raises:
            InputError: the folder cannot be written.
        """
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_json(self._path(key), {"key": [FORMAT, *key], "kept": kept})
        except OSError as error:
            raise InputError(
                f"scores cannot be kept: {error.strerror or error}",
                str(self._folder),
                "free some space, or name another folder with --work",
            ) from error

    def _path(self, key: tuple[Any, ...]) -> Path:
        assert self._folder is not None
        digest = hashlib.sha256(json.dumps([FORMAT, *key]).encode()).hexdigest()
        return self._folder / f"{digest[:24]}.json"
