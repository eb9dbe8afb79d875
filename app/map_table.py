"""A stored map written to a file: drawn (`app.map_files`), or as a table of its points."""

import csv
import io
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.formats import count
from encoder.errors import InputError

if TYPE_CHECKING:
    from indexer.maps.points import MapPoints
    from indexer.maps.stored import StoredMap
    from indexer.search import Searcher

PICTURES, TABLES = (".svg", ".png", ".html"), (".parquet", ".csv")


def check_ending(file: Path) -> None:
    """Makes sure that the name says what to write.

    Raises:
        InputError: its ending is none of ours.
    """
    if file.suffix.lower() not in PICTURES + TABLES:
        raise InputError(
            f"a map cannot be written as {file.suffix or 'a file without an ending'}",
            str(file),
            f"choose {', '.join(PICTURES + TABLES)}",
        )


def write_map(searcher: "Searcher", stored: "StoredMap", file: Path, *, colour: str = "") -> None:
    """Writes the map as of the newest version, whole or not at all.

    Args:
        searcher: of its collection.
        stored: the map.
        file: its ending says what is written.
        colour: column for the colours of a picture, or one more column of a table; empty for none.

    Raises:
        InputError: the ending or the column is none of ours.
        CollectionError: the file cannot be written.
    """
    from encoder import atomic
    from indexer.maps.points import current_points
    from indexer.storage.store_errors import full_disk_or

    check_ending(file)
    points = current_points(stored, searcher.snapshot)
    ending = file.suffix.lower()
    make = _table if ending in TABLES else _picture
    content = make(searcher, stored, points, colour, ending)
    try:
        atomic.write_bytes(file, content)
    except OSError as error:
        raise full_disk_or(error, "the map cannot be written", file) from error


def _picture(
    searcher: "Searcher", stored: "StoredMap", points: "MapPoints", colour: str, ending: str
) -> bytes:
    from app.column_colours import colour_points, stored_values
    from app.map_files import MOST_TITLES, Picture, to_html, to_png, to_svg

    titles: list[str] = []
    if ending == ".html" and points.row_ids.size <= MOST_TITLES:
        titles = [value or "" for value in stored_values(searcher, points.row_ids, "title")]
    picture = Picture(
        points.x,
        points.y,
        colour_points(searcher, points, colour),
        f"Map of {searcher.collection.settings.name}",
        notes_of(searcher, stored, points),
        titles,
    )
    return {".svg": to_svg, ".png": to_png, ".html": to_html}[ending](picture)


def notes_of(searcher: "Searcher", stored: "StoredMap", points: "MapPoints") -> tuple[str, ...]:
    """Where the picture comes from, so that it can be made again."""
    recipe, facts, settings = stored.build.recipe, stored.build.facts, searcher.collection.settings
    trust = facts.get("mean_trust")
    share = facts.get("share")
    parts = [
        f"{count(points.row_ids.size)} points",
        f"method {recipe.get('method')}, seed {recipe.get('seed')}",
        *([f"where {recipe['where']}"] if recipe.get("where") else []),
        *([f"a sample of {share:.1%}"] if isinstance(share, float) and share < 1 else []),
        *([f"mean trust {trust}"] if trust is not None else []),
        *([f"{count(int(points.is_placed.sum()))} placed by neighbours"] if points.is_placed.any() else []),
    ]
    made = datetime.fromisoformat(stored.build.created_at).strftime("%Y-%m-%d")
    origin = (
        f"map {stored.id or '(kept nowhere)'} of {made}, version {searcher.snapshot.publication.number}, "
        f"encoder {settings.encoder_fingerprint[:8]}"
    )
    return ", ".join(parts), origin


def _table(searcher: "Searcher", stored: "StoredMap", points: "MapPoints", colour: str, ending: str) -> bytes:
    """Id, document, title, place, trust and whether it was placed of every point, and one column more if named."""
    import numpy as np
    import pyarrow as pa

    rows = searcher.snapshot.store.take(points.row_ids, ["id", "doc_id", "title"])
    trust = pa.array(points.trust, mask=np.isnan(points.trust))
    columns: dict[str, Any] = {"id": rows["id"], "document_id": rows["doc_id"], "title": rows["title"]}
    columns |= {"x": points.x, "y": points.y, "trust": trust, "is_placed": points.is_placed}
    if colour and colour not in columns:
        columns[colour] = pa.array(_column(searcher, points, colour))
    origin = {
        "format": 1,
        "map": stored.id,
        "version": searcher.snapshot.publication.number,
        "encoder": searcher.collection.settings.encoder_fingerprint,
        "recipe": stored.build.recipe,
    }
    table = pa.table(columns).replace_schema_metadata({"llm2comp": json.dumps(origin, ensure_ascii=False)})
    return _parquet(table) if ending == ".parquet" else _csv(table)


def _column(searcher: "Searcher", points: "MapPoints", name: str) -> Any:
    from app.column_colours import TOPIC, check_column, computed_column, stored_values, topic_numbers

    check_column(searcher, name)
    computed = computed_column(searcher, name)
    if not computed:
        return stored_values(searcher, points.row_ids, name)
    return topic_numbers(searcher, points.row_ids)[0] if computed == TOPIC else points.trust


def _parquet(table: Any) -> bytes:
    import pyarrow.parquet as pq

    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    return content.getvalue()


def _csv(table: Any) -> bytes:
    from indexer.export import safe_cell

    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow([safe_cell(name) for name in table.column_names])
    for batch in table.to_batches(8192):
        for row in batch.to_pylist():
            writer.writerow([safe_cell(value) for value in row.values()])
    return sheet.getvalue().encode("utf-8-sig")
