"""Documents and passages on their way into a collection; no reading, no cutting."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """One record of a source.

    Attributes:
        id: the value of the source's id column as text; None where the source has none.
        title: may be empty.
        text: never empty; what is searched.
        metadata: column name to value, of the types that `Source.columns` announces; None for null.
        row: where it stood in its source, for messages: "news.csv line 12".
        origin: label of the source it first came from; "" for the source being read.
    """

    id: str | None
    title: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    row: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """The piece of a document that becomes one vector.

    Attributes:
        number: position among the passages of its document, from 0.
        start: first character of the passage in the document's text.
        end: one past its last character; `document.text[start:end]` is the passage.
        content: what is encoded and word-searched: title, newline and the passage (no newline without title).
    """

    number: int
    start: int
    end: int
    content: str
