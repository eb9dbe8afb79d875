"""Title and text of one document file: plain text, Markdown, HTML, PDF; libraries do the extraction."""

import io
import logging
import re
from pathlib import Path
from typing import Any

from indexer.sources.encoding import detect_encoding, without_surrogates

KINDS = {
    ".txt": "txt", ".text": "txt", ".rst": "txt", ".md": "md", ".markdown": "md",
    ".html": "html", ".htm": "html", ".xhtml": "html", ".pdf": "pdf",
}  # fmt: skip
_FRONT_MATTER = re.compile(r"\A---[^\S\n]*\n(.*?)\n---[^\S\n]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[^\S\n]*[\"']?(.+?)[\"']?[^\S\n]*$", re.MULTILINE)
_HEADING = re.compile(r"^#{1,3}[^\S\n]+(.+?)[^\S\n]*#*$|^(\S[^\n]*)\n(?:={3,}|-{3,})[^\S\n]*$", re.MULTILINE)


class UnreadableDocument(Exception):
    """A document that its library cannot read; the message says why."""


def title_and_text(data: bytes, kind: str, path: Path) -> tuple[str, str]:
    """Title (the file's name where it has none) and text (perhaps blank) of a document.

    Raises:
        UnreadableDocument: it is damaged or locked.
    """
    if kind == "pdf":
        title, text = _pdf(data)
    else:
        content = data.decode(detect_encoding(data), "replace").lstrip("\ufeff")
        content = content.replace("\r\n", "\n").replace("\r", "\n")
        title, text = {"md": _markdown, "html": _html}.get(kind, _plain)(content)
    return " ".join(without_surrogates(title).split()) or path.stem, without_surrogates(text)


def _plain(content: str) -> tuple[str, str]:
    return "", content


def _markdown(content: str) -> tuple[str, str]:
    title = ""
    if front := _FRONT_MATTER.match(content):
        content = content[front.end() :]
        if named := _FRONT_TITLE.search(front[1]):
            title = named[1]
    if not title and (heading := _HEADING.search(content)):
        title = heading[1] or heading[2]
    return title, content


def _html(content: str) -> tuple[str, str]:
    """The main text of a page; all of its text where it has no main part, as short pages have none."""
    import lxml.etree
    import lxml.html
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it reports each page that has no main part
    try:
        # As bytes: a page may declare an encoding, and lxml refuses such text.
        tree = lxml.html.document_fromstring(
            content.encode("utf-8", "replace"), lxml.html.HTMLParser(encoding="utf-8")
        )
    except (lxml.etree.LxmlError, ValueError):
        return "", ""  # nothing but blanks and comments
    title = _words(tree, "//title") or _words(tree, "(//h1)[1]")
    text = trafilatura.extract(content, include_comments=False, include_tables=True)
    if not text:
        lxml.etree.strip_elements(tree, "script", "style", "noscript", "head", with_tail=False)
        text = "\n".join(line for piece in tree.itertext() if (line := " ".join(piece.split())))
    return title, text


def _words(tree: Any, path: str) -> str:
    return " ".join(tree.xpath(f"string({path})").split())


def _pdf(data: bytes) -> tuple[str, str]:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it reports each oddity of each page
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableDocument("the PDF is locked by a password")
        title = (reader.metadata.title if reader.metadata else None) or ""
        pages = [page.extract_text() for page in reader.pages]
    except (
        PyPdfError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        OSError,
    ) as error:
        # The library raises all of these on damaged files.
        raise UnreadableDocument(f"the PDF cannot be read: {str(error) or type(error).__name__}") from error
    return str(title), "\n\n".join(page.strip() for page in pages if page.strip())
