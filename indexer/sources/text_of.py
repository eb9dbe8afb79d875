"""Title and text of one document file: plain text, Markdown, HTML, PDF; libraries do the extraction."""

import io
import logging
import re
from pathlib import Path

from indexer.sources.encoding import detect_encoding, without_surrogates

KINDS = {
    ".txt": "txt", ".text": "txt", ".rst": "txt", ".md": "md", ".markdown": "md",
    ".html": "html", ".htm": "html", ".xhtml": "html", ".pdf": "pdf",
}  # fmt: skip
_FRONT_MATTER = re.compile(r"\A---[^\S\n]*\n(.*?)\n---[^\S\n]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[^\S\n]*[\"']?(.+?)[\"']?[^\S\n]*$", re.MULTILINE)
_HEADING = re.compile(r"^#{1,3}[^\S\n]+(.+?)[^\S\n]*#*$|^(\S[^\n]*)\n(?:={3,}|-{3,})[^\S\n]*$", re.MULTILINE)
_HTML_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)


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
    import trafilatura

    found = _HTML_TITLE.search(content)
    tree = trafilatura.load_html(content)
    if tree is None:
        return "", ""
    title = " ".join(tree.xpath("string(//title)").split()) if found else ""
    title = title or " ".join(tree.xpath("string((//h1)[1])").split())
    text = trafilatura.extract(content, include_comments=False, include_tables=True) or trafilatura.html2txt(
        content
    )
    return title, text or ""


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
