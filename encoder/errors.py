"""The errors a user can cause, each with what happened, where, and what to do."""


class Llm2CompError(Exception):
    """A known failure, shown as three lines and never as a traceback.

    Args:
        what: what went wrong, with the value, in one sentence.
        where: the file, row, column, option or object it concerns.
        fix: what the user can do next, with the command where there is one.
    """

    exit_code = 1

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    @property
    def kind(self) -> str:
        """The class name, as programs read it under `--json`."""
        return type(self).__name__

    def __str__(self) -> str:
        return f"{self.what}\nwhere: {self.where}\ndo:    {self.fix}"


class UsageError(Llm2CompError):
    """The command was called wrongly; nothing was done."""

    exit_code = 2


class InputError(Llm2CompError):
    """A source file, a document, a query or a filter cannot be used as it is."""


class ConfigError(Llm2CompError):
    """A configuration file or a stored description is not what its format says."""


class ShapeError(Llm2CompError):
    """Two arrays that belong together do not fit."""


class CheckpointError(Llm2CompError):
    """An encoder directory is damaged, foreign or incomplete."""


class UnsupportedBackboneError(Llm2CompError):
    """A decoder cannot be made to attend in both directions."""


class TrainingError(Llm2CompError):
    """A training run cannot begin, or had to stop; its last good checkpoint is kept."""


class CollectionError(Llm2CompError):
    """A folder is not a collection, is damaged, or cannot be written."""


class LockedError(CollectionError):
    """Another process writes this collection."""


class IndexMismatchError(Llm2CompError):
    """A collection was made with another encoder than the one at hand."""


class MissingExtraError(Llm2CompError):
    """An optional package is not installed, or two installed ones exclude each other."""
