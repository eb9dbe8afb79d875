"""Files, folders, tables and pipes, read as one stream of documents."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.sources.open import open_sources
    from indexer.sources.source import MetadataType, Source

__all__ = ["MetadataType", "Source", "open_sources"]

_HOME = {
    "MetadataType": "indexer.sources.source",
    "Source": "indexer.sources.source",
    "open_sources": "indexer.sources.open",
}


def __getattr__(name: str) -> Any:
    """The public name, imported when first touched, so that the command's help stays light.

    Raises:
        AttributeError: there is no such name.
    """
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'indexer.sources' has no attribute {name!r}")
