"""Chosen passages as a bundle to take away: two tables and a README that says where they come from."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from encoder.errors import InputError
from indexer.export import write_rows
from indexer.export_columns import ExtraColumn, extra_columns, in_order, origin_column
from indexer.progress import Report, silent
from indexer.search import Searcher
from indexer.selection import Selected, Selection, select_rows

FILES = ("passages.parquet", "passages.jsonl", "README.txt")
_MEANINGS = {
    "id": "of the passage",
    "document_id": "of its document",
    "title": "of the document",
    "text": "of the passage",
    "start": "first character of the passage in the document's text",
    "end": "one past its last character",
    "origin": "how it got into the tray",
    "topic": "number of its topic, empty without one",
    "topic_label": "name of the topic",
    "tags": "that people put on the document",
    "notes": "that people wrote about the document",
    "x": "place on the map, 0 to 65,535",
    "y": "place on the map, 0 to 65,535",
    "trust": "share of its nearest passages by vector that are its nearest on the map, 0 to 1",
}


def export_bundle(
    searcher: Searcher,
    selection: Selection,
    target: Path,
    *,
    link: str = "",
    origins: Mapping[int, str] | None = None,
    report: Report = silent,
) -> Selected:
    """Writes passages.parquet, passages.jsonl and README.txt; returns what was selected.

    Args:
        searcher: of the collection.
        selection: the passages.
        target: a new or empty folder, or a file that ends with .zip, which is replaced; it appears when it is whole.
        link: address of the view that it was made in, for the README; empty for none.
        origins: row id to how somebody came by it: a column `origin`, and the order of the rows that it names.
        report: called as it goes on.

    Raises:
        InputError: the selection is impossible, or the target cannot be written.
        CollectionError: the collection is damaged.
    """
    is_zip = target.suffix.lower() == ".zip"
    if not is_zip and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(
            f"{target.name} exists and is not an empty folder",
            str(target),
            "name a new folder, or a .zip file",
        )
    searcher = searcher.held()  # all parts tell of one version
    selected = select_rows(searcher, selection)
    extras = extra_columns(searcher, selection)
    row_ids = selected.row_ids
    if origins is not None:
        row_ids = in_order(row_ids, origins)
        extras = [origin_column(origins), *extras]
    making = None
    try:
        making = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
        for name in FILES[:2]:
            write_rows(searcher, making / name, row_ids, extras=extras, report=report)
        names = pq.read_schema(making / FILES[0]).names
        text = _readme(searcher, selection, selected, extras, names, link=link)
        (making / FILES[2]).write_text(text, encoding="utf-8", newline="\n")
        if is_zip:
            _zip(making, target)
        else:
            making.chmod(0o755)
            making.replace(target)
    except OSError as error:
        raise InputError(
            f"the bundle cannot be written: {error.strerror or error}", str(target), "choose another place"
        ) from error
    finally:
        if making is not None:
            shutil.rmtree(making, ignore_errors=True)
    return selected


def _zip(folder: Path, target: Path) -> None:
    whole = folder / "bundle.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            archive.write(folder / name, f"{target.stem}/{name}")
    whole.replace(target)


def _readme(
    searcher: Searcher,
    selection: Selection,
    selected: Selected,
    extras: list[ExtraColumn],
    names: list[str],
    *,
    link: str,
) -> str:
    settings = searcher.snapshot.collection.settings
    publication = searcher.snapshot.publication
    # Names are those of the file: where two would be called alike, one has something in front.
    own = len(names) - len(settings.columns) - len(extras)
    computed = zip(names[own + len(settings.columns) :], (extra.name for extra in extras), strict=True)
    kinds = [settings.columns[name] for name in settings.column_fields]  # in the order of the file
    stored = zip(names[own:], kinds, strict=False)
    lines = [
        selected.sentence,
        "",
        f"collection   {_line(settings.name)}",
        f"version      {publication.number}, published {publication.created_at}",
        f"holds        {publication.documents:,} documents, {publication.passages:,} passages",
        f"encoder      {_line(settings.encoder_name)} ({settings.encoder_fingerprint[:8]}), {settings.dimension} numbers",
        f"filter       {_line(selection.where) or 'none'}",
        *_chosen(searcher, selection),
        *([f"link         {_line(link)}"] if link else []),
        f"missing      {selected.missing:,} chosen passages were deleted since",
        f"written      {datetime.now(UTC).isoformat(timespec='seconds')}",
        "",
        "Columns",
        *(f"  {name:<12} {_MEANINGS[name]}" for name in names[:own]),
        *(f"  {_line(name):<12} metadata, {kind}" for name, kind in stored),
        *(f"  {_line(name):<12} {_MEANINGS[meant]}" for name, meant in computed),
        "",
        *_recipes(searcher, selection, {extra.name for extra in extras}),
    ]
    return "\n".join(lines) + "\n"


def _chosen(searcher: Searcher, selection: Selection) -> list[str]:
    """Topics and outline in full, so that the same passages can be chosen again."""
    from indexer.maps.polygon import encode_polygon
    from indexer.maps.stored import open_map
    from indexer.selection import topics_of

    lines = []
    if selection.topics:
        stored = topics_of(searcher.snapshot, selection.topics_id, selection.topics_version).stored
        labels = {topic.number: topic.label for topic in stored.topics}
        named = (f"{n} {_line(labels[n])}" if n in labels else "in no topic" for n in selection.topics)
        version = f", version {_line(stored.version)}" if stored.version else ""
        lines.append(f"topic        {'; '.join(named)} (topics {stored.id}{version})")
    if selection.polygon:
        corners = list(zip(selection.polygon[::2], selection.polygon[1::2], strict=True))
        drawn_on = open_map(searcher.collection, selection.map_id).id
        lines.append(f"outline      on map {drawn_on}: {' '.join(f'{x},{y}' for x, y in corners)}")
        lines.append(f"             in a link: map={drawn_on}&pl={encode_polygon(selection.polygon)}")
    return lines


def _line(text: str) -> str:
    """Text of others on one line, so that it cannot pass for a line of ours."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _recipes(searcher: Searcher, selection: Selection, columns: set[str]) -> list[str]:
    """How the map and the topics were made, as JSON."""
    from indexer.maps.stored import open_map
    from indexer.selection import topics_of

    builds = []
    if "topic" in columns:
        found = topics_of(searcher.snapshot, selection.topics_id, selection.topics_version)
        builds.append(found.stored.build)
    if "x" in columns:
        builds.append(open_map(searcher.collection, selection.map_id).build)
    return [
        f"{build.kind} {build.id}, made {build.created_at} from version {build.version}: "
        + json.dumps(build.recipe, ensure_ascii=True, sort_keys=True)
        for build in builds
    ]
