"""No text that is not ours reaches a widget which reads it as Markdown."""

import ast
from pathlib import Path

import pytest

import app

# Every widget whose label or text Streamlit reads as Markdown.
MARKDOWN_CALLS = frozenset(
    [
        "markdown",
        "write",
        "write_stream",
        "caption",
        "title",
        "header",
        "subheader",
        "latex",
        "badge",
        "info",
        "warning",
        "error",
        "success",
        "toast",
        "metric",
        "table",
        "expander",
        "tabs",
        "status",
        "progress",
        "spinner",
        "chat_message",
        "popover",
        "dialog",
        "form_submit_button",
        "button",
        "checkbox",
        "toggle",
        "selectbox",
        "multiselect",
        "text_input",
        "text_area",
        "number_input",
        "date_input",
        "time_input",
        "datetime_input",
        "file_uploader",
        "camera_input",
        "audio_input",
        "color_picker",
        "feedback",
        "download_button",
        "radio",
        "pills",
        "segmented_control",
        "slider",
        "select_slider",
        "menu_button",
        "link_button",
        "page_link",
        "data_editor",
        "Page",
        "set_page_config",
    ]
)
# Of these the options are read as Markdown too; those of a selectbox or multiselect are shown as they are.
MARKDOWN_OPTIONS = frozenset(["radio", "pills", "segmented_control", "select_slider", "menu_button"])
READ_ARGUMENTS = {
    "metric": 3,
    "write": 99,
    "Page": 0,
    "progress": 0,  # the share; the words are `text`
}  # how many positional ones are read; one where not said
MARKDOWN_ARGUMENTS = frozenset(
    ["label", "help", "body", "text", "title", "captions", "caption", "page_title", "value_label"]
)
# What these return is a figure of ours, an id of ours, or escaped.
SAFE_CALLS = frozenset(
    [
        "esc_md",
        "count",
        "plural",
        "percent",
        "score",
        "size",
        "milliseconds",
        "duration",
        "ago",
        "provenance_line",
        "log_failure",
        "min",
        "health_word",
        "shown",
        "_freshness",
        "_heading",
    ]
)
APP = Path(app.__file__).parent
FILES = [file for file in sorted(APP.rglob("*.py")) if "streamlit" in file.read_text(encoding="utf-8")]


NO_WIDGETS = frozenset(["jobs", "sys.stdout", "stream", "writer", "sheet"])


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
        if isinstance(target, ast.Tuple) and (columns := columns_of(value, len(target.elts))):
            for part, column in zip(target.elts, columns, strict=True):
                self.bind(part, column)
            return
        for name in ast.walk(target):
            if isinstance(name, ast.Name):
                self.bindings.setdefault(name.id, []).append(value)

    def is_ours(self, node):
        match node:
            case None:
                return False
            case ast.Constant():
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name) if name.isupper():
                return True  # a constant of ours
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
            case ast.Attribute(value=ast.Name(id=name), attr="items" | "get" | "values" | "keys"):
                return name.isupper()
        return False


def columns_of(rows, width):
    """What each name of `for a, b in rows` is bound to, where that is written out: tuples of tuples, or a zip."""
    if isinstance(rows, ast.Call) and getattr(rows.func, "id", "") == "zip" and len(rows.args) == width:
        return rows.args
    if isinstance(rows, ast.Tuple | ast.List) and all(
        isinstance(row, ast.Tuple) and len(row.elts) == width for row in rows.elts
    ):
        return [ast.Tuple([row.elts[place] for row in rows.elts], ast.Load()) for place in range(width)]
    return None


def read_as_markdown(tree):
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, given = node.func.attr, {keyword.arg: keyword.value for keyword in node.keywords}
        if ast.unparse(node.func.value) == "st.column_config":
            yield from (given[key] for key in ("help",) if key in given)
        elif name in MARKDOWN_CALLS and ast.unparse(node.func.value) not in NO_WIDGETS:
            # A metric reads its value and its delta as Markdown too, and so does every `help`.
            yield from node.args[: READ_ARGUMENTS.get(name, 1)]
            yield from (value for key, value in given.items() if key in MARKDOWN_ARGUMENTS)
            if name == "metric":
                yield from (given[key] for key in ("value", "delta") if key in given)
            if name in MARKDOWN_OPTIONS:
                yield from options_shown(node.args, given)


def options_shown(positional, given):
    """What decides the words of the options: the function that writes them, else the options themselves."""
    if "format_func" in given:
        writer = given["format_func"]
        if isinstance(writer, ast.Lambda):
            yield writer.body
        elif isinstance(writer, ast.Attribute) and writer.attr == "__getitem__":
            yield writer.value
        else:
            yield ast.Call(writer, [], [])
    else:
        yield from positional[1:2]
        yield from (given[key] for key in ("options",) if key in given)


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
        "st.metric('a', 'b', hit.id)",
        "st.metric('a', 'b', delta=hit.id)",
        "st.metric(label='a', value=hit.id)",
        "st.radio('a', hit.titles)",
        "st.pills('a', options=labels)",
        "st.segmented_control('a', numbers, format_func=labels.__getitem__)",
        "st.segmented_control('a', numbers, format_func=lambda number: labels[number])",
        "st.radio('a', numbers, format_func=one_line)",
        "st.radio('a', ['b'], captions=[topic.label])",
        "st.column_config.TextColumn('a', help=hit.title)",
        "st.toast(hit.title)",
        "st.dialog(hit.title)(draw)()",
        "st.write('a', hit.title)",
        "st.Page(draw, title=hit.title)",
        "for name, title in (('a', hit.title), ('b', 'c')): st.caption(title)",
        "for name, title in zip(('a', 'b'), titles, strict=True): st.caption(title)",
    ],
)
def test_the_rule_finds_what_it_is_for(code):
    assert len(unsafe_texts(code)) == 1


def test_the_rule_lets_our_own_words_pass():
    code = "n = count(hit.rank)\nparts = ['a']\nparts.append(esc_md(hit.id))\nst.caption(f'{n} ' + ' '.join(parts))"
    assert unsafe_texts(code) == []
    assert unsafe_texts("st.radio('a', numbers, format_func=LABELS.__getitem__)") == []
    assert unsafe_texts("st.pills('a', numbers, format_func=lambda number: esc_md(labels[number]))") == []
    assert unsafe_texts("st.radio('a', numbers, format_func=esc_md)") == []
    assert unsafe_texts("st.selectbox('a', hit.titles)") == []  # shown as they are
    assert unsafe_texts("for title, rows in (('a', hit.rows), ('b', x)): st.caption(title)") == []
    assert unsafe_texts("for a, title in zip(rows, ('b', 'c'), strict=True): st.caption(title)") == []
    assert unsafe_texts("st.caption(f'of {settings.MOST}')") == []


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
