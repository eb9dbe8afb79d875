"""No text that is not ours reaches a widget which reads it as Markdown."""

import ast
from pathlib import Path

import pytest

import app

MARKDOWN_CALLS = frozenset(
    [
        "markdown",
        "write",
        "caption",
        "title",
        "header",
        "subheader",
        "info",
        "warning",
        "error",
        "success",
        "metric",
        "expander",
        "tabs",
        "status",
        "progress",
        "toast",
        "table",
        "button",
        "checkbox",
        "toggle",
        "selectbox",
        "multiselect",
        "text_input",
        "text_area",
        "number_input",
        "date_input",
        "file_uploader",
        "download_button",
        "radio",
        "pills",
        "segmented_control",
        "popover",
        "badge",
        "chat_message",
        "link_button",
        "page_link",
        "slider",
        "spinner",
        "latex",
    ]
)
# What these return is a figure of ours, an id of ours, or escaped.
SAFE_CALLS = frozenset(
    [
        "esc_md",
        "count",
        "plural",
        "score",
        "size",
        "milliseconds",
        "duration",
        "ago",
        "provenance_line",
        "log_failure",
        "min",
        "health_word",
        "_freshness",
    ]
)
APP = Path(app.__file__).parent
FILES = [file for file in sorted(APP.rglob("*.py")) if "streamlit" in file.read_text(encoding="utf-8")]


class Judge:
    """Decides of an expression whether each text in it is written by us: constants, figures and escaped texts."""

    def __init__(self, tree):
        self.bindings = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self.bind(target, node.value)
            elif isinstance(node, ast.For | ast.comprehension):
                self.bind(node.target, node.iter)
            elif isinstance(node, ast.arg):
                self.bindings.setdefault(node.arg, []).append(None)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".append"):
                self.bind(node.func.value, node.args[0])

    def bind(self, target, value):
        for name in ast.walk(target):
            if isinstance(name, ast.Name):
                self.bindings.setdefault(name.id, []).append(value)

    def is_ours(self, node):
        match node:
            case None:
                return False
            case ast.Constant():
                return True
            case ast.Name(id=name) if name.isupper():
                return True
            case ast.Name(id=name):
                return name in self.bindings and all(map(self.is_ours, self.bindings[name]))
            case ast.Call():
                return self.returns_ours(node)
            case ast.Subscript(value=value) | ast.FormattedValue(value=value):
                return self.is_ours(value)
            case ast.GeneratorExp(elt=element):
                return self.is_ours(element)
        parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        if isinstance(node, ast.IfExp):
            parts.remove(node.test)
        return bool(parts) and all(map(self.is_ours, parts))

    def returns_ours(self, call):
        match call.func:
            case ast.Name(id=name):
                return name in SAFE_CALLS
            case ast.Attribute(attr="join"):
                return self.is_ours(call.args[0])
            case ast.Attribute(value=ast.Name(id="session"), attr="bad_keys"):
                return True  # keys of ours, never their values
            case ast.Attribute(value=ast.Name(id=name), attr="items"):
                return name.isupper()
        return False


def read_as_markdown(tree):
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in MARKDOWN_CALLS and ast.unparse(node.func.value) not in {"jobs", "sys.stdout"}:
            # A metric reads its value as Markdown too, and so does every `help`.
            yield from node.args[: 2 if node.func.attr == "metric" else 1]
            yield from (
                given.value for given in node.keywords if given.arg in {"label", "help", "body", "text"}
            )


def unsafe_texts(code):
    tree = ast.parse(code)
    judge = Judge(tree)
    return [ast.unparse(node) for node in read_as_markdown(tree) if not judge.is_ours(node)]


@pytest.mark.parametrize(
    "code",
    [
        "st.caption(f'{hit.title}')",
        "st.button(name_of(hit))",
        "st.metric('a', hit.text)",
        "st.markdown('x', help=hit.id)",
        "label = 'a'\nlabel = hit.title\nst.caption(label)",
        "def show(title): st.subheader(title)",
        "for word in words: st.badge(word)",
        "parts = ['a']\nparts.append(hit.id)\nst.caption(' '.join(parts))",
        "st.caption('a' + hit.id)",
        "st.caption('a %s' % hit.id)",
        "st.caption('{}'.format(hit.id))",
    ],
)
def test_the_rule_finds_what_it_is_for(code):
    assert len(unsafe_texts(code)) == 1


def test_the_rule_lets_our_own_words_pass():
    code = "n = count(hit.rank)\nparts = ['a']\nparts.append(esc_md(hit.id))\nst.caption(f'{n} ' + ' '.join(parts))"
    assert unsafe_texts(code) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(APP)))
def test_markdown_widgets_show_only_our_own_words(file):
    assert unsafe_texts(file.read_text(encoding="utf-8")) == []


def test_nothing_is_shown_as_html_but_our_style():
    found = []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (
                getattr(node.func, "attr", "") == "html"
                or any(k.arg == "unsafe_allow_html" for k in node.keywords)
            ):
                found.append(ast.unparse(node))
    assert found == ["st.html(PAGE_STYLE)"]
