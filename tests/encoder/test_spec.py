from dataclasses import replace

import pytest

from encoder.errors import UsageError
from encoder.spec import Spec, parse_spec, with_temperature


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


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("default", "default?temperature=0.95"),
        ("default?layers=2", "default?layers=2&temperature=0.95"),
        ("hf:a/b@v?temperature=0.5&pooling=mean", "hf:a/b@v?pooling=mean&temperature=0.95"),
    ],
)
def test_a_temperature_is_put_in_place_of_another(spec, expected):
    assert with_temperature(spec, 0.95) == expected
    assert parse_spec(expected) == replace(parse_spec(spec), temperature=0.95)


def test_a_spec_that_takes_no_temperature_is_refused(tmp_path):
    with pytest.raises(UsageError, match="takes no options"):
        with_temperature("st:org/name", 0.9)
    with pytest.raises(UsageError, match="temperature=3 is no temperature"):
        with_temperature("default", 3)
    (tmp_path / "what?x").mkdir()
    with pytest.raises(UsageError, match="a folder with a question mark in its name takes no options"):
        with_temperature(str(tmp_path / "what?x"), 0.9)
