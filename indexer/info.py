"""What there is to know of a collection at a glance."""

from pathlib import Path
from typing import Any

from indexer.collection import Collection
from indexer.storage.manifest import Publication


def describe(collection: Collection) -> dict[str, Any]:
    """Size, encoder, index and freshness; JSON types only, the keys of `info --json`.

    Raises:
        CollectionError: the publications or the rows cannot be read.
    """
    settings = collection.settings
    publication = collection.publication()
    rows = collection.open_rows().count()
    return {
        "format": 1,
        "name": settings.name,
        "path": str(collection.path),
        "documents": publication.documents if publication else 0,
        "passages": publication.passages if publication else 0,
        "dimension": settings.dimension,
        "encoder": settings.encoder_name,
        "fingerprint": settings.encoder_fingerprint,
        "transform": settings.transform,
        "window": settings.window,
        "overlap": settings.overlap,
        "words": settings.words,
        "columns": settings.columns,
        "version": publication.number if publication else 0,
        "index": _index(publication),
        "recall": min((s.recall for s in publication.segments), default=1.0) if publication else None,
        "segments": len(publication.segments) if publication else 0,
        "notes": publication.notes if publication else [],
        "bytes": folder_bytes(collection.path),
        "created_at": settings.created_at,
        "published_at": publication.created_at if publication else None,
        # A job that was stopped has committed rows that no reader sees yet.
        "unpublished_rows": rows - publication.passages if publication else rows,
    }


def _index(publication: Publication | None) -> str | None:
    if publication is None:
        return None
    return "+".join(dict.fromkeys(segment.kind for segment in publication.segments)) or "flat"


def folder_bytes(path: Path) -> int:
    """Bytes of all files below `path`; files that vanish meanwhile count as 0."""
    total = 0
    for file in path.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue
    return total
