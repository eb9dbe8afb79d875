"""Topics as people name them on the command line: by number, or by the label that the table shows."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from encoder.errors import InputError

if TYPE_CHECKING:
    from indexer.collection import Collection
    from indexer.topics.stored import StoredTopics

_SHOWN = 60


def number_of(text: str, topics: "StoredTopics", collection: "Collection") -> int:
    """The number of the topic that is meant; a number need not be there, a label must.

    Args:
        text: a number, or the label of a topic, given or automatic, in capitals or not.
        topics: to look among.
        collection: of them; where only another version knows the label the error names that.

    Raises:
        InputError: no topic is called so, or several are.
    """
    from indexer.topics.versions import clean_label

    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    wanted = clean_label(text).casefold()
    found = [
        topic.number
        for topic in topics.topics
        if wanted and wanted in (topic.label.casefold(), topic.automatic_label.casefold())
    ]
    if len(found) == 1:
        return found[0]
    where = f"topics {topics.id} {topics.version}".strip()
    if found:
        numbers = ", ".join(map(str, found))
        raise InputError(
            f"{len(found)} topics are called {text[:_SHOWN]!r}", where, f"give a number: {numbers}"
        )
    others = [
        name
        for name, labels in other_names(topics, collection)
        if wanted in (label.casefold() for label in labels.values())
    ]
    fix = (
        f"add --version {others[0]!r}, which has one"
        if others
        else "give the number or label that the table shows"
    )
    raise InputError(f"no topic is called {text[:_SHOWN]!r}", where, fix)


def named_elsewhere(numbers: Iterable[int], topics: "StoredTopics", collection: "Collection") -> list[str]:
    """A sentence for each of some topics that has a name in another version only, where an edit might be meant to go."""
    notes = []
    for number in numbers:
        for version, labels in other_names(topics, collection):
            here = topics.topic(number)
            if here is not None and number in labels and here.label == here.automatic_label:
                notes.append(
                    f"topic {number} is called {labels[number]!r} only in the version {version!r}; "
                    f"to edit that one, add --version {version!r}"
                )
                break
    return notes


def other_names(topics: "StoredTopics", collection: "Collection") -> list[tuple[str, dict[int, str]]]:
    """The other versions of the same run that gave names, with the names they gave, by number."""
    from indexer.topics.versions import given_labels, list_versions

    versions = [version for version in list_versions(collection, topics.id) if version.name != topics.version]
    named = [(version.name, given_labels(version)) for version in versions]
    return [(name, labels) for name, labels in named if labels]
