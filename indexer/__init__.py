"""A corpus to a searchable collection: sources, passages, rows, segments, search."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.collection import Collection
    from indexer.search import Searcher

__all__ = ["Collection", "Searcher"]

_HOME = {"Collection": "indexer.collection", "Searcher": "indexer.search"}


def __getattr__(name: str) -> Any:
    """The public name, imported when first touched, so that `import indexer` stays light.

    Raises:
        AttributeError: there is no such name.
    """
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'indexer' has no attribute {name!r}")
