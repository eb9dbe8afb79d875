"""A collection for the tests of the map page, and what a person would read on it."""

import json
from types import SimpleNamespace

import numpy as np

from app.map_payload import HEAD_BYTES, read_head

WHOLE = (0, 0, 65_535, 0, 65_535, 65_535, 0, 65_535)
EVIL = "\u202e **bold** <b>x</b> ![i](http://evil.example/i.png) $x^2$ :smile:"
SUBJECTS = ("river", "bridge", "road")
MANY = [
    (str(i), f"The {SUBJECTS[i % 3]} {i}", f"A {SUBJECTS[i % 3]} and {SUBJECTS[i % 3]} number {i}.", SUBJECTS[i % 3], 1990 + i)
    for i in range(30)
]  # fmt: skip


def link(test):
    return dict(test.query_params)


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader, test.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def button(test, key):
    return next((found for found in test.button if found.key == key), None)


def listed(test):
    """The list beside the map."""
    return next(found.value for found in test.dataframe if "passage" in found.value)["passage"].tolist()


def column_lines(test):
    return next(found.value for found in test.dataframe if "here" in found.value)


def parts(sent):
    """Places uint16 [N] twice, colours, flags uint8 [N], and the words, out of the bytes."""
    n, at = read_head(sent.payload).n, HEAD_BYTES
    found = []
    for kind in ("<u2", "<u2", "u1", "u1"):
        values = np.frombuffer(sent.payload, kind, n, at)
        at += -(-values.nbytes // 4) * 4
        found.append(values)
    words = json.loads(sent.payload[sent.payload.rindex(b'{"title"') :].rstrip(b"\0"))
    return SimpleNamespace(x=found[0], y=found[1], colours=found[2], flags=found[3], words=words)
