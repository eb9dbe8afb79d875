"""Topics as tables, lines and JSON for the command; pure but for the passages that it looks up."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from app.formats import count, percent, plural
from app.table import Marked, TableColumn
from encoder.errors import InputError

if TYPE_CHECKING:
    from indexer.collection import Collection
    from indexer.query.snapshot import Snapshot
    from indexer.topics.current import CurrentTopics
    from indexer.topics.stored import StoredTopics, Topic
    from indexer.topics.tables import TimeTable, ValueTable

Table = tuple[list[TableColumn], list[list[str | Marked]]]

_BARS = " ▁▂▃▄▅▆▇█"
_TOLD_VALUES = 3
_MOST_TEXT = 300
_NOISE_LABEL = "noise: in no topic"


def overview(current: "CurrentTopics") -> Table:
    """One line a topic, noise last."""
    sizes = _sizes(current)
    total = max(1, current.row_ids.size)
    columns = [
        TableColumn("topic", "right"),
        TableColumn("label", wraps=True),
        TableColumn("passages", "right"),
    ]
    columns += [TableColumn(name, "right") for name in ("share", "cohesion", "stability")]
    rows: list[list[str | Marked]] = []
    for topic in current.stored.topics:
        size = sizes.get(topic.number, 0)
        stability = "" if topic.stability is None else f"{topic.stability:.2f}"
        name = topic.label + (
            f" (was: {topic.automatic_label})" if topic.label != topic.automatic_label else ""
        )
        rows.append(
            [str(topic.number), name, count(size), percent(size / total), f"{topic.cohesion:.2f}", stability]
        )
    if noise := sizes.get(-1, 0):
        rows.append(["", _NOISE_LABEL, count(noise), percent(noise / total), "", ""])
    return columns, rows


def summary(current: "CurrentTopics") -> list[str]:
    """What the table is of."""
    stored, recipe = current.stored, current.stored.build.recipe
    name = f"topics {stored.id}" + (
        f", version {stored.version!r} (edits: {stored.edits})" if stored.version else ""
    )
    lines = [f"{name}: {recipe.get('method')}, seed {recipe.get('seed')}, of version {stored.build.version}"]
    added = int(current.is_added.sum())
    if added or current.gone:
        lines.append(
            f"since then: {plural(added, 'passage')} added, placed by their vectors; {count(current.gone)} gone"
        )
    return lines


def edit_lines(before: "StoredTopics", after: "StoredTopics", touched: Sequence[int]) -> list[str]:
    """What a split or merge made of the topics it touched: the table is long, and new topics stand at its end."""
    old = [topic for number in touched if (topic := before.topic(number)) is not None]
    known = {topic.number for topic in before.topics}
    new = [topic for topic in after.topics if topic.number in touched or topic.number not in known]
    lines = [f"{' and '.join(map(_named, old))} became:"]
    lines += [f"  {_named(topic)}, {plural(topic.size, 'passage')}" for topic in new]
    lost = [topic for topic in old if topic.label != topic.automatic_label]
    kept = {topic.label for topic in new}
    lines += [
        f"the name {topic.label!r} was that of the whole; name the parts with --rename"
        for topic in lost
        if topic.label not in kept
    ]
    return lines


def _named(topic: "Topic") -> str:
    return f"{topic.number} {topic.label!r}"


def as_json(current: "CurrentTopics") -> dict[str, Any]:
    """The overview for programs."""
    stored, sizes = current.stored, _sizes(current)
    topics = [_topic_json(topic, sizes.get(topic.number, 0), current.row_ids.size) for topic in stored.topics]
    return {
        "format": 1,
        "id": stored.id,
        "version": stored.version,
        "edits": stored.edits,
        "passages": int(current.row_ids.size),
        "noise": sizes.get(-1, 0),
        "added": int(current.is_added.sum()),
        "gone": current.gone,
        "recipe": stored.build.recipe,
        "facts": stored.build.facts,
        "topics": topics,
    }


def _topic_json(topic: "Topic", size: int, total: int) -> dict[str, Any]:
    return {
        "number": topic.number,
        "label": topic.label,
        "automatic_label": topic.automatic_label,
        "size": size,
        "share": size / max(1, total),
        "cohesion": topic.cohesion,
        "stability": topic.stability,
        "keyphrases": topic.keyphrases,
        "nearest": topic.nearest,
    }


def one_topic(current: "CurrentTopics", number: int, snapshot: "Snapshot") -> dict[str, Any]:
    """A topic with the passages that stand for it and those that hardly fit.

    Raises:
        InputError: there is none of that number.
    """
    topic = current.stored.topic(number)
    if topic is None:
        numbers = ", ".join(str(known.number) for known in current.stored.topics[:20])
        raise InputError(
            f"there is no topic {number}", f"topics {current.stored.id}", f"choose one of {numbers or 'none'}"
        )
    found = _topic_json(topic, _sizes(current).get(number, 0), current.row_ids.size)
    for name, rows in (("exemplars", topic.exemplars), ("misfits", topic.misfits)):
        live = [row for row in rows if np.isin(np.uint64(row), current.row_ids)]
        table = snapshot.store.take(np.array(live, np.uint64), ["id", "title", "content"]).to_pylist()
        found[name] = [
            {"id": row["id"], "title": row["title"], "text": row["content"][:_MOST_TEXT]} for row in table
        ]
    return found


def one_topic_lines(shown: dict[str, Any]) -> list[str]:
    """What stands above the passages of a topic."""
    phrases = ", ".join(f"{phrase} {weight:.2f}" for phrase, weight in shown["keyphrases"])
    near = ", ".join(f"{number} ({cosine:.2f})" for number, cosine in shown["nearest"])
    automatic = (
        f" (automatic: {shown['automatic_label']})" if shown["label"] != shown["automatic_label"] else ""
    )
    return [
        f"topic {shown['number']}: {shown['label']}{automatic}",
        f"passages: {count(shown['size'])} ({percent(shown['share'])}), cohesion {shown['cohesion']:.2f}"
        + ("" if shown["stability"] is None else f", stability {shown['stability']:.2f}"),
        f"key phrases: {phrases or 'none'}",
        f"nearest topics: {near or 'none'}",
    ]


def passages_table(shown: dict[str, Any]) -> Table:
    """Exemplars and misfits of a topic."""
    rows: list[list[str | Marked]] = []
    for name, kind in (("exemplars", "central"), ("misfits", "misfit")):
        rows += [[kind, row["id"], row["title"] or row["text"]] for row in shown[name]]
    return [TableColumn("kind"), TableColumn("passage"), TableColumn("text", wraps=True)], rows


def by_value(table: "ValueTable", current: "CurrentTopics") -> Table:
    """For each topic the values that are most over-represented in it."""
    labels = _labels(current)
    rows: list[list[str | Marked]] = []
    shares, lifts = table.shares, table.lifts
    for at, number in enumerate(table.numbers):
        # What is both frequent in the topic and more frequent than elsewhere.
        order = np.argsort(-shares[at] * np.log(np.maximum(lifts[at], 1e-3)), kind="stable").tolist()
        told = [
            f"{table.values[v]} {percent(shares[at, v])} (x{lifts[at, v]:.1f})"
            for v in order[:_TOLD_VALUES]
            if table.counts[at, v]
        ]
        if table.sizes[at]:
            rows.append([str(number), labels[number], count(table.sizes[at]), ", ".join(told)])
    columns = [
        TableColumn("topic", "right"),
        TableColumn("label", wraps=True),
        TableColumn("passages", "right"),
    ]
    return [*columns, TableColumn(f"{table.column}: share (times the average)", wraps=True)], rows


def over_time(table: "TimeTable", current: "CurrentTopics") -> Table:
    """For each topic its share of every bin, drawn."""
    labels = _labels(current)
    title = f"{table.bins[0]} to {table.bins[-1]} by {table.step}" if table.bins else "no dates"
    rows: list[list[str | Marked]] = []
    for at, number in enumerate(table.numbers):
        if total := int(table.counts[at].sum()):
            rows.append([str(number), labels[number], count(total), _bars(table.shares[at])])
    columns = [TableColumn("topic", "right"), TableColumn("label", wraps=True), TableColumn("dated", "right")]
    return [*columns, TableColumn(title)], rows


def _bars(shares: Any) -> str:
    most = max(float(shares.max()), 1e-12)
    # A bar of the least height where there is anything at all.
    return "".join(_BARS[0 if not share else max(1, round(share / most * 8))] for share in shares.tolist())


def values_json(table: "ValueTable") -> dict[str, Any]:
    """The table by value for programs."""
    return {
        "format": 1,
        "column": table.column,
        "topics": table.numbers,
        "values": table.values,
        "counts": table.counts.tolist(),
        "lifts": table.lifts.round(4).tolist(),
    }


def times_json(table: "TimeTable") -> dict[str, Any]:
    """The table over time for programs."""
    return {
        "format": 1,
        "column": table.column,
        "step": table.step,
        "topics": table.numbers,
        "bins": [day.isoformat() for day in table.bins],
        "counts": table.counts.tolist(),
        "undated": table.undated,
    }


def runs(collection: "Collection") -> list[dict[str, Any]]:
    """Runs and their versions, newest run first."""
    from indexer.topics.versions import current_run, list_runs, list_versions

    builds = list_runs(collection)
    current = current_run(collection) if builds else ("", "")
    found = []
    for build in builds:
        for version in ["", *(known.name for known in list_versions(collection, build.id))]:
            found.append(
                {
                    "id": build.id,
                    "version": version,
                    "is_current": (build.id, version) == current,
                    "created_at": build.created_at,
                    "recipe": build.recipe,
                    "facts": build.facts,
                }
            )
    return found


def runs_table(found: list[dict[str, Any]]) -> Table:
    """The list for people."""
    columns = [TableColumn(""), TableColumn("id"), TableColumn("version", wraps=True), TableColumn("method")]
    columns += [TableColumn(name, "right") for name in ("topics", "passages", "noise", "seed")]
    rows: list[list[str | Marked]] = []
    for run in found:
        facts, recipe = run["facts"], run["recipe"]
        counts = [str(facts.get(name, "")) for name in ("topics", "rows", "noise")]
        version = run["version"] or "(automatic)"
        mark = "*" if run["is_current"] else ""
        rows.append(
            [mark, run["id"], version, str(recipe.get("method", "")), *counts, str(recipe.get("seed", ""))]
        )
    return [*columns, TableColumn("made at")], [
        [*row, run["created_at"][:19]] for row, run in zip(rows, found, strict=True)
    ]


def _labels(current: "CurrentTopics") -> dict[int, str]:
    return {-1: _NOISE_LABEL, **{topic.number: topic.label for topic in current.stored.topics}}


def _sizes(current: "CurrentTopics") -> dict[int, int]:
    numbers, counts = np.unique(current.numbers, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
