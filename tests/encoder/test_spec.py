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
        ("st:a?layers=2", "takes no options"),
        ("a?window=3", "option window=3 is not understood"),
        ("st:a?pooling=mean", "takes no options"),
    ],
)
def test_a_spec_that_is_not_understood_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_spec(text)
