"""What is compared: specs of encoders, poolings of a backbone, baselines."""

import pytest

from encoder.config import FILE_NAME, POOLINGS, BaseReference, write_config
from encoder.errors import UsageError
from encoder.spec import parse_spec
from tests.encoder.tiny import tiny_config
from train.evaluation.candidates import (
    baseline_candidates,
    encoder_candidates,
    own_backbone,
    pooling_candidates,
)


def write_encoder(folder, **base):
    folder.mkdir(parents=True)
    write_config(folder, tiny_config(base=BaseReference(**base)))
    return str(folder)


def test_an_encoder_named_twice_is_one_column():
    assert [candidate.title for candidate in encoder_candidates(["default", "st:x", "default"])] == [
        "default",
        "st:x",
    ]


@pytest.mark.parametrize(
    ("specs", "titles"),
    [
        (["/a/b/runs/one/encoder", "runs/two"], ["one/encoder", "runs/two"]),
        (["/a/x/encoder", "/b/x/encoder"], ["a/x/encoder", "b/x/encoder"]),
        (["st:/a/b/minilm/model", "st:org/name"], ["st:minilm/model", "st:org/name"]),
        (["/a", "a"], ["/a", "a"]),
    ],
)
def test_a_long_path_is_shown_by_its_last_parts_that_tell_it_from_others(specs, titles):
    assert [candidate.title for candidate in encoder_candidates(specs)] == titles


def test_a_spec_that_is_not_understood_is_refused():
    with pytest.raises(UsageError, match="there is no pooling 'max'"):
        encoder_candidates(["hf:org/name?pooling=max"])


def test_every_pooling_is_a_column_with_the_same_longest_text():
    candidates = pooling_candidates("hf:org/name@v1", 40)
    parsed = [parse_spec(candidate.spec) for candidate in candidates]
    assert tuple(spec.pooling for spec in parsed) == POOLINGS
    assert {(spec.place, spec.revision, spec.max_tokens) for spec in parsed} == {("org/name", "v1", 40)}
    assert candidates[0].title == "untrained mean"


@pytest.mark.parametrize("backbone", ["default", "st:org/name", "hf:org/name?pooling=mean"])
def test_what_is_no_backbone_is_refused(backbone):
    with pytest.raises(UsageError, match="is no backbone"):
        pooling_candidates(backbone)


def test_an_encoder_is_no_backbone(tmp_path):
    folder = write_encoder(tmp_path / "e")
    with pytest.raises(UsageError, match="is an encoder, and its pooling is fixed"):
        pooling_candidates(folder)


def test_a_backbone_on_disk_is_found_beside_its_encoder(tmp_path):
    folder = write_encoder(tmp_path / "run" / "encoder", kind="path", ref="../backbone")
    assert own_backbone(["st:x", folder]) == (str(tmp_path / "run" / "backbone"), 40)


def test_a_backbone_by_name_keeps_its_revision(tmp_path):
    folder = write_encoder(tmp_path / "e", kind="name", ref="org/base", revision="v2")
    assert own_backbone([folder])[0] == "hf:org/base@v2"


def test_an_encoder_that_holds_its_own_weights_names_no_backbone(tmp_path):
    folder = write_encoder(tmp_path / "e")
    assert (tmp_path / "e" / FILE_NAME).exists()
    with pytest.raises(UsageError, match="no encoder here says which backbone"):
        own_backbone([folder, str(tmp_path / "nowhere")])


def test_an_unknown_baseline_is_refused():
    with pytest.raises(UsageError, match="there is no baseline tfidf"):
        baseline_candidates(["tfidf"])


def test_minilm_has_no_spec_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr("train.evaluation.candidates.minilm_spec", lambda: None)
    assert [(each.title, each.spec) for each in baseline_candidates(["lsa", "minilm", "lsa"])] == [
        ("lsa", ""),
        ("minilm", ""),
    ]
