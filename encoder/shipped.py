"""The encoder that comes with the program: whether its files are whole, and the command that restores them."""

import json
import shlex
from pathlib import Path

from encoder.atomic import sha256_file, write_json
from encoder.errors import CheckpointError

SUMS_FILE = "sha256.json"
_FORMAT = 1
_REINSTALL = "pip install --force-reinstall --no-deps WHEEL, the llm2comp-*.whl that it was installed from"


def write_sums(directory: Path) -> None:
    """Writes the hashes of an encoder directory's files beside them, in `sha256.json`.

    Raises:
        OSError: a file cannot be read, or the folder cannot be written.
    """
    files = sorted([*directory.glob("*.json"), *directory.glob("*.safetensors")])
    sums = {path.name: sha256_file(path) for path in files if path.name != SUMS_FILE}
    write_json(directory / SUMS_FILE, {"format": _FORMAT, "files": sums})


def check_shipped(directory: Path) -> None:
    """Compares the bundled encoder's files with their hashes; a folder without `sha256.json` is not compared.

    Raises:
        CheckpointError: the folder or a file is missing, or a file is not what was released.
    """
    if not directory.is_dir():
        raise _damaged(directory, "this installation has no bundled encoder")
    if not (directory / SUMS_FILE).exists():
        return
    try:
        wrong = [
            said for name, expected in _sums(directory).items() if (said := _look(directory / name, expected))
        ]
    except OSError as error:
        raise _damaged(directory, f"the bundled encoder cannot be read: {error.strerror or error}") from error
    if wrong:
        more = f", and {len(wrong) - 1} more of its files are wrong" if len(wrong) > 1 else ""
        raise _damaged(directory, f"the bundled encoder is damaged: {wrong[0]}{more}")


def with_restoring(error: CheckpointError, directory: Path) -> CheckpointError:
    """The same error of the bundled encoder, with the command that restores it."""
    return CheckpointError(
        f"the bundled encoder is damaged: {error.what}", error.where, restore_command(directory)
    )


def restore_command(directory: Path) -> str:
    """What brings the bundled encoder back: git where the package lies in a checkout, else pip."""
    root = directory.parents[1]
    if (root / ".git").exists():
        place = directory.relative_to(root).as_posix()
        return f"git -C {shlex.quote(str(root))} checkout -- {place}"
    return _REINSTALL


def _damaged(directory: Path, what: str) -> CheckpointError:
    return CheckpointError(what, str(directory), restore_command(directory))


def _sums(directory: Path) -> dict[str, str]:
    """File name to sha256.

    Raises:
        CheckpointError: the list is no such list.
    """
    try:
        content = json.loads((directory / SUMS_FILE).read_text(encoding="utf-8"))
    except ValueError:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        content = None
    files = content.get("files") if isinstance(content, dict) and content.get("format") == _FORMAT else None
    if not isinstance(files, dict) or not files:
        raise _damaged(directory, f"the bundled encoder is damaged: {SUMS_FILE} is no list of hashes")
    return files


def _look(path: Path, expected: str) -> str | None:
    """What is wrong with a file, None when nothing is."""
    if not path.is_file():
        return f"{path.name} is missing"
    if not path.stat().st_size:
        return f"{path.name} is empty"
    if sha256_file(path) != expected:
        return f"{path.name} is not the file that was released (its sha256 is another)"
    return None
