"""What people do to topics: rename, merge, split, give noise away. Each makes or goes on with a named version.

An edit that moves passages writes a build that holds the whole result; the run it started from is never changed.
"""

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError, Llm2CompError
from indexer.annotations import journal
from indexer.collection import Collection
from indexer.derived import build_folder, list_builds, remove_build, write_build
from indexer.query.snapshot import Snapshot
from indexer.search import Searcher
from indexer.topics import clusters, describe
from indexer.topics.current import assign_nearest
from indexer.topics.describe import Assignment
from indexer.topics.keyphrases import Keyphrases, contrast_each
from indexer.topics.phrase_table import copy_phrases, read_phrases
from indexer.topics.stored import KIND, NOISE, StoredTopics, Topic, unit_rows, write_files
from indexer.topics.versions import (
    AUTOMATIC_NAME,
    JOURNAL,
    MOST_NAME,
    Edit,
    clean_label,
    list_runs,
    open_topics,
    read_version,
)

MOST_PARTS = 20
DEFAULT_NAME = "edited"
_CONTRASTED = 2000  # passages of a topic that are enough to name it


@dataclass(frozen=True, slots=True)
class Editor:
    """Edits one version, knowing what it has seen.

    Args:
        searcher: of the collection.
        seen: the topics as the editor sees them: a version, or the automatic run to begin a new one.
        name: of the version that the edits go to; that of `seen`, or "edited", when empty.
        author: who edits; the user of this computer when empty.
    """

    searcher: Searcher
    seen: StoredTopics
    name: str = ""
    author: str = ""

    @property
    def version(self) -> str:
        """Name of the version that is edited."""
        return clean_label(self.name, MOST_NAME) or self.seen.version or DEFAULT_NAME

    @property
    def collection(self) -> Collection:
        """The collection."""
        return self.searcher.collection

    def rename(self, number: int, label: str) -> StoredTopics:
        """Gives a topic a name; the automatic one stays beside it.

        Raises:
            InputError: there is no such topic, the label is empty, or somebody else changed the topic meanwhile.
        """
        topic = _known(self.seen, number)
        cleaned = clean_label(label)
        if not cleaned:
            raise InputError("the label is empty", f"topic {number}", "write a name with at least one letter")
        self._check_version()
        self._record("rename", (number,), label=cleaned, detail=f"was {topic.label}")
        return open_topics(self.collection, self.seen.id, self.version)

    def merge(self, numbers: Sequence[int]) -> StoredTopics:
        """Makes one topic of several; it keeps the first number.

        Raises:
            InputError: they are not two different topics, or somebody else edited meanwhile.
        """
        chosen = list(dict.fromkeys(numbers))
        topics = [_known(self.seen, number) for number in chosen]
        if len(topics) < 2:
            raise InputError(
                "one topic alone cannot be merged", "merge", "name at least two different topics"
            )
        found = np.where(np.isin(self.seen.numbers, chosen), np.int32(chosen[0]), self.seen.numbers)
        return self._move("merge", tuple(chosen), found, {chosen[0]})

    def split(self, number: int, parts: int, *, seed: int = 0) -> StoredTopics:
        """Splits a topic by k-means on its vectors; the largest part keeps the number.

        Raises:
            InputError: it cannot be split into so many parts, or somebody else edited meanwhile.
        """
        _known(self.seen, number)
        snapshot = self.searcher.snapshot
        at = np.flatnonzero((self.seen.numbers == number) & np.isin(self.seen.row_ids, snapshot.row_ids()))
        vectors = unit_rows(snapshot.vectors(self.seen.row_ids[at]))
        groups = clusters.group_equal(iter([vectors]))
        first = clusters.first_rows(groups)
        if not 2 <= parts <= min(MOST_PARTS, first.size):
            raise InputError(
                f"topic {number} cannot be split into {parts} parts",
                f"its {first.size:,} different passages",
                f"choose 2 to {min(MOST_PARTS, first.size)}"
                if first.size > 1
                else "choose a topic whose passages differ",
            )
        centroids = clusters.kmeans_centroids(vectors[first], parts, seed=seed)
        of = clusters.by_size(clusters.nearest_centroids(vectors[first], centroids)[groups])
        free = max(topic.number for topic in self.seen.topics) + 1
        names = np.array([number, *range(free, free + parts)], np.int32)
        found = self.seen.numbers.copy()
        found[at] = names[of]
        new = set(np.unique(found[at]).tolist())
        return self._move("split", (number,), found, new, f"{parts} parts, seed {seed}")

    def assign_noise(self, cut: float) -> StoredTopics:
        """Gives each passage without a topic to the nearest one, if the cosine to its centroid is at least `cut`.

        Raises:
            InputError: the cut is impossible, or somebody else edited meanwhile.
        """
        if not 0 <= cut <= 1:
            raise InputError(f"a cut of {cut} is impossible", "assign noise", "choose a cosine of 0 to 1")
        if not self.seen.topics:
            raise InputError(
                "there is no topic to give noise to", f"topics {self.seen.id}", "make another run"
            )
        at, numbers, cosines = self.noise()
        found = self.seen.numbers.copy()
        found[at] = np.where(cosines >= np.float32(cut), numbers, NOISE)
        return self._move("assign", (), found, set(), f"cut {cut}")

    def noise(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """What `assign_noise` decides by.

        Returns:
            Positions int64 [n] in `seen` of the live rows without a topic, the number of the nearest topic int32 [n],
            and the cosine to its centroid float32 [n]; -1 and -inf for rows without a direction.
        """
        snapshot = self.searcher.snapshot
        at = np.flatnonzero((self.seen.numbers == NOISE) & np.isin(self.seen.row_ids, snapshot.row_ids()))
        if not self.seen.topics:
            return at, np.full(at.size, NOISE, np.int32), np.full(at.size, -np.inf, np.float32)
        everything = np.full(len(self.seen.topics), -np.inf, np.float32)
        blocks = snapshot.vector_blocks(self.seen.row_ids[at])
        parts = [assign_nearest(vectors, self.seen, everything) for _, vectors in blocks]
        numbers = np.concatenate([np.zeros(0, np.int32), *(part for part, _ in parts)])
        cosines = np.concatenate([np.zeros(0, np.float32), *(part for _, part in parts)])
        return at, numbers, np.where(numbers == NOISE, np.float32(-np.inf), cosines)

    def _move(
        self,
        action: str,
        topics: tuple[int, ...],
        numbers: NDArray[np.int32],
        renamed: set[int],
        detail: str = "",
    ) -> StoredTopics:
        """Stores the new assignment, int32 [N] of the rows of `seen`, as a build and writes the edit down."""
        self._check_version()
        snapshot = self.searcher.snapshot
        is_live = np.isin(self.seen.row_ids, snapshot.row_ids(), assume_unique=True)
        row_ids, numbers = self.seen.row_ids[is_live], numbers[is_live]
        order = [topic.number for topic in self.seen.topics if (numbers == topic.number).any()]
        order += sorted(set(numbers.tolist()) - set(order) - {NOISE})
        place = {number: at for at, number in enumerate(order)}
        positions = np.array([place.get(number, NOISE) for number in numbers.tolist()], np.int32)
        groups = clusters.group_equal(block for _, block in snapshot.vector_blocks(row_ids))
        assignment = Assignment(row_ids, positions, groups, order)
        build = self._store(snapshot, assignment, renamed, f"{action} {detail}".strip())
        try:
            self._record(action, topics, build=build, detail=detail)
        except (
            BaseException
        ):  # a full disk, Ctrl+C, somebody else was first: a build without an edit is nothing
            with contextlib.suppress(Llm2CompError):
                remove_build(self.collection, KIND, build)
            raise
        return open_topics(self.collection, self.seen.id, self.version)

    def _store(self, snapshot: Snapshot, found: Assignment, renamed: set[int], what: str) -> str:
        parent = build_folder(self.collection, KIND, self.seen.build.id)
        old = {topic.number: topic for topic in self.seen.topics}
        measures = describe.measured(snapshot, found)
        known = {number: topic.keyphrases for number, topic in old.items() if number not in renamed}
        keyphrases = _keyphrases(snapshot, found, known, parent)
        stability = {
            number: topic.stability
            for number, topic in old.items()
            if topic.stability is not None and number not in renamed
        }
        topics = [
            _as_before(topic, old) if topic.number not in renamed else topic
            for topic in describe.describe(found, measures, keyphrases, stability)
        ]

        def write(folder: Path) -> None:
            write_files(
                folder,
                found.row_ids,
                found.stored_numbers,
                closeness=measures.closeness,
                means=measures.means,
                topics=topics,
            )
            copy_phrases(parent, folder)  # counts are those of the whole run

        recipe = {**self.seen.build.recipe, "base": self.seen.id, "parent": self.seen.build.id, "edit": what}
        noise = int((found.topics == NOISE).sum())
        facts = {"rows": int(found.row_ids.size), "topics": len(topics), "noise": noise}
        build = write_build(
            self.collection,
            KIND,
            version=snapshot.publication.number,
            recipe=recipe,
            facts=facts,
            write=write,
        )
        return build.id

    def _check_version(self) -> None:
        """Makes sure that edits can go to the version.

        Raises:
            InputError: it has a name that means another, is there already, or would begin with another's edits.
        """
        if self.version == AUTOMATIC_NAME:
            raise InputError(
                f"no version can be called {AUTOMATIC_NAME!r}",
                f"topics {self.seen.id}",
                "choose another name",
            )
        if self.seen.version == self.version:
            return
        if read_version(self.collection, self.seen.id, self.version).edits:
            raise InputError(
                f"there is a version {self.version!r} of these topics already",
                f"topics {self.seen.id}",
                "open that version to go on with it, or choose another name",
            )
        if self.seen.version:
            raise InputError(
                f"the version {self.version!r} cannot begin with the edits of {self.seen.version!r}",
                f"topics {self.seen.id}",
                "begin it from the automatic topics, or go on with the version that is open",
            )

    def _record(
        self, action: str, topics: tuple[int, ...], *, label: str = "", build: str = "", detail: str = ""
    ) -> None:
        """Writes the edit down, then looks whether another one was first."""
        key = uuid.uuid4().hex
        record: dict[str, Any] = {
            "key": key,
            "base": self.seen.id,
            "version": self.version,
            "action": action,
            "topics": list(topics),
            "label": label,
            "build": build,
            "seen": self.seen.edits if self.seen.version == self.version else 0,
            "detail": detail[:200],
        }
        journal.append(self.collection, JOURNAL, record, author=self.author)
        after = read_version(self.collection, self.seen.id, self.version)
        for mine, earlier in after.refused:
            if mine.key == key:
                raise _too_late(self.seen.id, earlier)


def _keyphrases(
    snapshot: Snapshot, found: Assignment, known: Mapping[int, Keyphrases], parent: Path
) -> list[Keyphrases]:
    """The key phrases of each topic: the known ones, and new ones by the phrase table in the build `parent`."""
    new = [at for at, number in enumerate(found.numbers) if number not in known]
    made: list[Keyphrases] = []
    if new:
        members = [found.row_ids[found.topics == at] for at in new]
        some = [rows[:: max(1, rows.size // _CONTRASTED)] for rows in members]
        texts = [list(describe.texts_of(snapshot, rows)) for rows in some]
        made = contrast_each(texts, read_phrases(parent))
    of_new = dict(zip(new, made, strict=True))
    return [of_new[at] if at in of_new else known[number] for at, number in enumerate(found.numbers)]


def _as_before(topic: Topic, old: dict[int, Topic]) -> Topic:
    """The topic with the label that it had: its passages did not change."""
    name = old[topic.number].automatic_label
    return replace(topic, label=name, automatic_label=name)


def _known(seen: StoredTopics, number: int) -> Topic:
    topic = seen.topic(number)
    if topic is None:
        numbers = ", ".join(str(known.number) for known in seen.topics[:20])
        raise InputError(
            f"there is no topic {number}",
            f"topics {seen.id} {seen.version}".strip(),
            f"choose one of {numbers}",
        )
    return topic


def _too_late(base: str, earlier: Edit) -> InputError:
    did = (
        f"named topic {earlier.topics[0]} {earlier.label!r}"
        if earlier.action == "rename"
        else f"did a {earlier.action}"
    )
    return InputError(
        f"{earlier.author or 'somebody'} {did} meanwhile",
        f"topics {base}, version {earlier.version!r}",
        "look at the topics as they are now, then do it again if you still want it; both are kept in the journal",
    )


def remove_topics(collection: Collection, identifier: str) -> int:
    """Deletes a run with its versions; returns how many builds that were. The journal stays.

    Raises:
        InputError: there is no such run.
        CollectionError: it cannot be deleted.
    """
    if identifier not in {build.id for build in list_runs(collection)}:
        raise InputError(
            f"there are no topics {identifier[:40]!r}", str(collection.path), "see llm2comp topics DIR --list"
        )
    edited = [build.id for build in list_builds(collection, KIND) if build.recipe.get("base") == identifier]
    for build in [*edited, identifier]:
        remove_build(collection, KIND, build)
    return 1 + len(edited)
