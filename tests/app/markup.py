"""Reads what a page sends to the browser and finds in it what the browser would take for markup."""

import json
import re

from tests.payloads import PAYLOADS

# Fields that the browser shows as they are, or never shows (measured, app.md 2.4); every other text is Markdown there.
_LITERAL = {
    "Text": {"body"},
    "Code": {"code_text"},
    "Json": {"body"},
    "Selectbox": {"options", "default", "raw_value", "placeholder"},
    "MultiSelect": {"options", "default", "raw_values", "placeholder"},
    "TextInput": {"value", "default", "placeholder"},
    "TextArea": {"value", "default", "placeholder"},
    "NumberInput": {"placeholder"},
    "Dataframe": {"columns", "selection_default", "placeholder"},
    "PlotlyChart": {"config"},
    "BidiComponent": {"json", "mixed", "html_content", "css_content", "js_content", "component_name"},
    "Expandable": {"id"},
}
_NEVER_SHOWN = {"id", "form_id", "user_key", "key", "icon", "element_hash", "url", "alt", "language", "type"}
# Of a chart the browser reads a little HTML.
_HTML_FIELDS = {("PlotlyChart", "spec"), ("PlotlyChart", "figure")}

_ESCAPE = re.compile(r"\\([^\w\s])")
_OURS = re.compile(r":material/\w+:|:(?:red|green|orange|gray|blue)-badge\[[^\]]*\]|\*\*[^*<>`$:\[\]]+\*\*")
_MARKUP = re.compile(
    r"<[a-zA-Z/!?]|!?\[[^\]]*\]\(|`|\$[^$]+\$|:[a-z+][\w+/-]*:|:[a-z-]+\[|~~|https?://|www\.|javascript:|\*\*|"
    r"^\s{0,3}(?:#{1,6}\s|[-*+]\s|>\s|\d+\.\s)|(?<!\w)_\w+_(?!\w)|\|\s*-+\s*\||&(?:\w+|#\d+);",
    re.MULTILINE,
)
_TELLING = [p for p in PAYLOADS if _MARKUP.search(p) and len(p) < 200]
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def found_markup(test):
    """Places of a run page where text of ours or of the corpus would be obeyed, each with the text.

    Args:
        test: an AppTest that has run.
    """
    faults = []
    for kind, field, text in _texts(test):
        if (kind, field) in _HTML_FIELDS:
            faults += [(kind, field, part) for part in _chart_texts(text) if re.search(r"<[a-zA-Z/!]", part)]
        elif kind == "Html":
            faults += [(kind, field, text[:300])] * any(payload in text for payload in _TELLING)
        elif field.partition(".")[0] not in _LITERAL.get(kind, ()) and _is_obeyed(text):
            faults.append((kind, field, text[:300]))
        elif kind in ("Text", "Code") and _CONTROL.search(text):
            faults.append((kind, f"{field}, control characters", text[:300]))
    return faults


def _is_obeyed(text):
    bare = _ESCAPE.sub(" ", text)
    return any(payload in bare for payload in _TELLING) or bool(_MARKUP.search(_OURS.sub(" ", bare)))


def _chart_texts(spec):
    """Texts of a Plotly figure; the few tags that we write into labels ourselves are taken out."""
    return [re.sub(r"</?(?:b|br|i|sub|sup|extra)>", "", text) for text in _strings(json.loads(spec or "{}"))]


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


def _texts(test):
    """(kind of element, field, text) of all that the page holds, below fields joined by dots."""
    todo = [test._tree]
    while todo:
        node = todo.pop()
        todo += list(getattr(node, "children", {}).values())
        message = getattr(node, "proto", None)
        if message is not None and hasattr(message, "DESCRIPTOR"):
            yield from _fields(message, type(message).__name__, "")


def _fields(message, kind, above):
    for field, value in message.ListFields():
        if field.name in _NEVER_SHOWN:
            continue
        name = f"{above}{field.name}"
        values = value if field.is_repeated else [value]
        if field.message_type and field.message_type.GetOptions().map_entry:
            continue
        for each in values:
            if field.type == field.TYPE_MESSAGE:
                yield from _fields(each, kind, f"{name}.")
            elif field.type == field.TYPE_STRING:
                yield kind, name, each
