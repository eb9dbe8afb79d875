"""Makes hostile text harmless to look at; every text that is not ours passes here before it is shown."""

import re

SHOWN_CHARS = 2_000  # of a long text, before "show all"

_WORD_JOINER = "\u2060"
_BIDI_NAMES = {
    0x061C: "ALM",
    0x200E: "LRM",
    0x200F: "RLM",
    0x202A: "LRE",
    0x202B: "RLE",
    0x202C: "PDF",
    0x202D: "LRO",
    0x202E: "RLO",
    0x2066: "LRI",
    0x2067: "RLI",
    0x2068: "FSI",
    0x2069: "PDI",
}


def _visible_marks() -> dict[int, str]:
    """Code point to what is shown instead of it."""
    marks = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
    marks[0x7F] = "\u2421"
    marks |= {code: f"\u27e8U+{code:04X}\u27e9" for code in range(0x80, 0xA0)}
    marks |= {code: f"\u27e8{name}\u27e9" for code, name in _BIDI_NAMES.items()}
    # A lone surrogate cannot be sent to a browser at all: protobuf refuses the whole page.
    marks |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
    return marks


_MARKS = _visible_marks()
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in _MARKS if code >= 0x7F}  # below, JSON escapes by itself

# Backslashes alone leave bare links, icons and arrows alive; the word joiner breaks those (app.md 2.4, measured).
_ESCAPED = frozenset(r"\`*_{}[]()#+-.!|~$:<>&=@/")
_JOINED_AFTER = frozenset(":-<>=.@/")


def clean_for_display(text: str) -> str:
    """The text with control, bidi and unpaired characters replaced by visible marks; line breaks stay."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_MARKS)


def escape_for_json(text: str) -> str:
    """JSON that says the same, with the characters written as escapes that JSON leaves alone but a terminal obeys."""
    return text.translate(_JSON_ESCAPES)


def one_line(text: str) -> str:
    """The cleaned text on a single line, runs of white space as one space."""
    return " ".join(clean_for_display(text).split())


def esc_md(text: str) -> str:
    """The text for a label, which Streamlit reads as Markdown: shown as typed, on one line.

    It then contains invisible characters, so never use it for a value, a copy button or an export.
    """
    escaped = []
    for character in one_line(text):
        if character == "@":
            escaped.append(_WORD_JOINER)
        if character in _ESCAPED:
            escaped.append("\\")
        escaped.append(character)
        if character in _JOINED_AFTER:
            escaped.append(_WORD_JOINER)
    return re.sub(r"[wW]{3}", lambda found: _WORD_JOINER.join(found[0]), "".join(escaped))
