"""The rule for files that a verb writes: nothing is replaced unless asked."""

from pathlib import Path

from encoder.errors import InputError


def check_new(file: Path, force: bool) -> None:
    """Makes sure that `file` may be written.

    Raises:
        InputError: it exists and `force` is off, it is a folder, or its folder does not exist.
    """
    if file.is_dir():
        raise InputError("this is a folder", str(file), "name a file in it")
    if file.exists() and not force:
        raise InputError("the file exists already", str(file), "choose another name, or add --force")
    if not file.absolute().parent.is_dir():
        raise InputError("its folder does not exist", str(file), f"mkdir -p {file.parent}")
