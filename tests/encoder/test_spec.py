from dataclasses import replace

import pytest

from encoder.errors import UsageError
from encoder.spec import Spec, parse_spec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("runs/a", Spec("path", "runs/a")),
        ("runs/a?pooling=mean", Spec("path", "runs/a", None, "mean")),
        ("hf:org/name", Spec("hf", "org/name")),
        ("hf:org/name@v1?pooling=echo&max_tokens=64", Spec("hf", "org/name", "v1", "echo", 64)),
        ("runs/a?layers=4", Spec("path", "runs/a", layers=4)),
        ("hf:org/name?layers=12&pooling=mean", Spec("hf", "org/name", None, "mean", None, 12)),
        ("runs/a?temperature=0.9", Spec("path", "runs/a", temperature=0.9)),
        ("hf:org/name?temperature=2&pooling=mean", Spec("hf", "org/name", None, "mean", temperature=2.0)),
        ("st:org/name", Spec("st", "org/name")),
        ("st:/some/where", Spec("st", "/some/where")),
    ],
)
def test_a_spec_is_taken_apart(text, spec):
    assert parse_spec(text) == spec


def test_the_default_lies_in_the_package():
    spec = parse_spec("default")
    assert spec.kind == "default"
    assert spec.place.endswith("bundled")


def test_the_default_takes_options():
    spec = parse_spec("default?temperature=0.1&layers=2")
    assert spec == replace(parse_spec("default"), temperature=0.1, layers=2)


def test_a_folder_called_default_is_named_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_spec("default").kind == "default"
    assert parse_spec("./default").kind == "path"


def test_a_folder_with_a_question_mark_in_its_name_is_a_folder(tmp_path):
    (tmp_path / "what?pooling=x").mkdir()
    assert parse_spec(str(tmp_path / "what?pooling=x")) == Spec("path", str(tmp_path / "what?pooling=x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the encoder spec is empty"),
        ("a?pooling=max", "there is no pooling 'max'"),
        ("a?max_tokens=0", "option max_tokens=0 is not understood"),
        ("a?layers=0", "option layers=0 is not understood"),
        ("a?layers=-1", "option layers=-1 is not understood"),
        ("a?layers=half", "option layers=half is not understood"),
        ("a?layers=" + "9" * 5000, "option layers=9+ is not understood"),
        ("a?layers=²", "option layers=² is not understood"),
        ("a?temperature=0.09", "temperature=0.09 is no temperature of attention"),
        ("a?temperature=2.01", "temperature=2.01 is no temperature of attention"),
        ("a?temperature=nan", "temperature=nan is no temperature of attention"),
        ("a?temperature=1e-1", "temperature=1e-1 is no temperature of attention"),
        ("a?temperature=", "temperature= is no temperature of attention"),
        ("default?temperature=-1", "temperature=-1 is no temperature of attention"),
        ("default?window=3", "option window=3 is not understood"),
        ("st:a?temperature=0.9", "takes no options"),
        ("st:a?layers=2", "takes no options"),
        ("a?window=3", "option window=3 is not understood"),
        ("st:a?pooling=mean", "takes no options"),
    ],
)
def test_a_spec_that_is_not_understood_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_spec(text)


def test_a_refused_temperature_says_what_is_allowed():
    with pytest.raises(UsageError) as caught:
        parse_spec("a?temperature=3")
    assert caught.value.fix == "give a number from 0.1 to 2; 1 changes nothing, below 1 sharpens"
