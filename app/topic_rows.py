"""A topics run as the rows of the tables of the page, and in sentences; pure, no widgets.

Labels and titles are hostile text: put on one line and cleaned here, for tables and `st.text` only.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.display import one_line
from app.formats import count, percent, plural
from app.rows import TITLE_CHARS, shorten, snippet
from indexer.storage.row_schema import WORD_COLUMN

if TYPE_CHECKING:
    from indexer.query.snapshot import Snapshot
    from indexer.topics.current import CurrentTopics
    from indexer.topics.stored import StoredTopics, Topic
    from indexer.topics.versions import Edit, Version

NOISE = -1
NOISE_LABEL = "(in no topic)"
METHOD_NAMES = {"kmeans": "k-means", "hdbscan": "dense regions"}
LABEL_CHARS = 90


def topic_name(topic: "Topic | None") -> str:
    """The label on one line; that of noise for None."""
    return NOISE_LABEL if topic is None else one_line(topic.label) or f"topic {topic.number}"


def sizes(current: "CurrentTopics", within: NDArray[np.uint64] | None = None) -> dict[int, int]:
    """Passages of each topic, noise among them.

    Args:
        current: topics of all live rows.
        within: row ids uint64 [n] to count; all when None.
    """
    numbers = current.numbers if within is None else current.numbers[np.isin(current.row_ids, within)]
    found, counts = np.unique(numbers, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def listed(current: "CurrentTopics") -> list[int]:
    """Numbers of the topics in the order of the table, noise last where there is any."""
    numbers = [topic.number for topic in current.stored.topics]
    return [*numbers, NOISE] if (current.numbers == NOISE).any() else numbers


def overview(
    current: "CurrentTopics", snapshot: "Snapshot", within: NDArray[np.uint64] | None = None
) -> list[dict[str, Any]]:
    """One line a topic in the order of `listed`.

    Args:
        current: topics of all live rows.
        snapshot: that it was read with.
        within: row ids uint64 [n] that the pages look at; None for all.
    """
    everywhere, total = sizes(current), max(1, current.row_ids.size)
    here = {} if within is None else sizes(current, within)
    titles = _exemplar_titles(current, snapshot)
    rows: list[dict[str, Any]] = []
    for number in listed(current):
        topic = current.stored.topic(number)
        row: dict[str, Any] = {
            "number": None if topic is None else number,
            "label": shorten(topic_name(topic), LABEL_CHARS),
        }
        row["passages"] = everywhere.get(number, 0)
        if within is not None:
            row["here"] = here.get(number, 0)
        row["share"] = everywhere.get(number, 0) / total
        row["cohesion"] = None if topic is None else topic.cohesion
        row["stability"] = None if topic is None else topic.stability
        row["exemplar"] = titles.get(number, "")
        rows.append(row)
    return rows


def _exemplar_titles(current: "CurrentTopics", snapshot: "Snapshot") -> dict[int, str]:
    """The title of the most central live passage of each topic."""
    first: dict[int, int] = {}
    live = set(current.row_ids.tolist())
    for topic in current.stored.topics:
        found = next((row for row in topic.exemplars if row in live), None)
        if found is not None:
            first[topic.number] = found
    rows = passages(snapshot, np.array(list(first.values()), np.uint64))
    return {number: row["title"] for number, row in zip(first, rows, strict=True)}


def passages(snapshot: "Snapshot", row_ids: NDArray[np.uint64]) -> list[dict[str, Any]]:
    """Title and beginning of passages, and their whole text.

    Args:
        snapshot: of the version.
        row_ids: uint64 [n] of live rows, in the order wanted.
    """
    if not row_ids.size:
        return []
    table = snapshot.store.take(row_ids, ["id", "title", WORD_COLUMN, "text_at"]).to_pylist()
    found = []
    for row in table:
        text = row[WORD_COLUMN][row["text_at"] :]
        title = shorten(one_line(row["title"]), TITLE_CHARS)
        found.append({"id": row["id"], "title": title or snippet(text, []), "text": text})
    return found


def closeness_of(current: "CurrentTopics", row_ids: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Cosine of rows to the centroid of their topic, float32 [n], of rows uint64 [n] of `current`."""
    return current.closeness[np.searchsorted(current.row_ids, row_ids)]


def summary(current: "CurrentTopics") -> list[str]:
    """What the table is of, in sentences."""
    stored, recipe = current.stored, current.stored.build.recipe
    method = METHOD_NAMES.get(str(recipe.get("method")), "an unknown method")
    noise = int((current.numbers == NOISE).sum())
    share = f" ({percent(noise / max(1, current.row_ids.size))})" if noise else ""
    lines = [
        f"{plural(len(stored.topics), 'topic')} of {plural(current.row_ids.size, 'passage')}, "
        f"{count(noise)}{share} in none. Found by {method}, seed {recipe.get('seed', '?')}, "
        f"in version {count(stored.build.version)} of the corpus."
    ]
    added = int(current.is_added.sum())
    if added or current.gone:
        lines.append(
            f"Since then {plural(added, 'passage')} came, each given to the nearest topic, and "
            f"{count(current.gone)} went."
        )
    return lines


def run_name(run: dict[str, Any]) -> str:
    """A run or version in a list of them.

    Args:
        run: of `app.topic_tables.runs`.
    """
    method = METHOD_NAMES.get(str(run["recipe"].get("method")), "unknown method")
    topics = run["facts"].get("topics")
    parts = [f"{plural(topics, 'topic')}, {method}" if isinstance(topics, int) else method]
    parts.append(f"version “{one_line(run['version'])}”" if run["version"] else "automatic")
    parts.append(one_line(str(run["created_at"]))[:16].replace("T", " "))
    parts.append(run["id"])
    return " · ".join([*parts, *(["current"] if run["is_current"] else [])])


def renamed_by(version: "Version", number: int) -> str:
    """Who gave a topic its name and when; empty where nobody did."""
    edits = [edit for edit in version.edits if edit.action in ("rename", "split") and number in edit.topics]
    if not edits or edits[-1].action != "rename":
        return ""
    return f"named by {one_line(edits[-1].author) or 'somebody'}, {one_line(edits[-1].at)[:16].replace('T', ' ')} UTC"


def history(version: "Version") -> list[str]:
    """The edits of a version, newest first, and those that came too late."""
    lines = [_told(edit) for edit in reversed(version.edits)]
    late = [
        f"not applied, “{_told(edit)}” came after “{_told(earlier)}”" for edit, earlier in version.refused
    ]
    return [*lines, *reversed(late)]


def _told(edit: "Edit") -> str:
    numbers = ", ".join(map(str, edit.topics[:8]))
    did = {
        "rename": f"named {numbers} “{edit.label}”",
        "merge": f"merged {numbers}",
        "split": f"split {numbers}",
        "assign": "gave noise away",
    }[edit.action]
    detail = f" ({edit.detail})" if edit.detail and edit.action != "rename" else ""
    return one_line(f"{edit.at[:16].replace('T', ' ')} {edit.author or 'somebody'} {did}{detail}")


def free_name(taken: Sequence[str]) -> str:
    """A name for a new version that none has yet: "edited", "edited 2"."""
    return next(
        name for n in range(1, len(taken) + 2) if (name := "edited" if n == 1 else f"edited {n}") not in taken
    )


def noise_gains(stored: "StoredTopics", numbers: NDArray[np.int32], most: int = 5) -> str:
    """Which topics would get most of the passages with these numbers, int32 [n]."""
    found, counts = np.unique(numbers, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most].tolist()
    told = [
        f"{shorten(topic_name(stored.topic(int(found[at]))), 40)} +{count(int(counts[at]))}" for at in order
    ]
    return "; ".join(told)
