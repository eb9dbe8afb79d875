import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.config import (
    BaseReference,
    EncoderConfig,
    Prompts,
    config_from_json,
    config_to_json,
    read_config,
    write_config,
)
from encoder.errors import CheckpointError, ConfigError
from tests.encoder.tiny import tiny_config

_CONFIGS = st.builds(
    EncoderConfig,
    n_memory=st.integers(1, 64),
    dimension=st.integers(64, 8192),
    max_tokens=st.integers(1, 10**6),
    prompts=st.builds(Prompts, query=st.text(), document=st.text()),
    base=st.builds(
        BaseReference, kind=st.just("name"), ref=st.text(min_size=1), revision=st.none() | st.text()
    ),
    attention_temperature=st.floats(0.1, 2),
    hybrid_weight=st.floats(0, 1),
    matryoshka=st.lists(st.integers(1, 64), max_size=3).map(tuple),
    stages=st.lists(st.dictionaries(st.text(), st.integers() | st.text()), max_size=2).map(tuple),
    card=st.dictionaries(st.text(), st.text()),
)


@given(_CONFIGS)
def test_a_configuration_survives_its_file_form(config):
    assert config_from_json(json.loads(json.dumps(config_to_json(config))), "here") == config


def test_a_configuration_survives_the_disk(tmp_path):
    config = tiny_config(stages=({"stage": "compress", "steps": 3},), matryoshka=(8, 16))
    write_config(tmp_path, config)
    assert read_config(tmp_path) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_memory": 0}, "n_memory is 0, expected 1 or more with pooling memory_mean"),
        ({"n_memory": True}, "n_memory is True"),
        ({"pooling": "mean"}, "n_memory is 4"),
        ({"pooling": "max"}, "pooling is 'max', expected memory_mean or one of mean, last"),
        ({"dimension": 0}, "dimension is 0"),
        ({"max_tokens": 1.5}, "max_tokens is 1.5"),
        ({"attention_temperature": 0}, "attention_temperature is 0"),
        ({"hybrid_weight": 1.1}, "hybrid_weight is 1.1, expected a number from 0 to 1"),
        ({"hybrid_weight": float("nan")}, "hybrid_weight is nan"),
        ({"matryoshka": (64,)}, r"matryoshka is \(64,\)"),
        ({"metric": "dot"}, "metric is 'dot'"),
        ({"base": BaseReference(kind="url")}, "base.kind is 'url'"),
        (
            {"base": BaseReference(ref="../elsewhere")},
            "base.ref is '../elsewhere', expected '.' for an embedded",
        ),
        ({"prompts": Prompts(instruction="x")}, "prompts.instruction is 'x'"),
    ],
)
def test_a_value_out_of_range_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        tiny_config(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format version is 2, this program reads 1"),
        ({"format": None}, "format version is None"),
        ({"bidirectional": "flag"}, "bidirectional is 'flag'"),
        ({"normalize": False}, "normalize is False"),
        ({"max_token": 9}, r"unknown key max_token; did you mean max_tokens\?"),
        ({"base": {"kinds": "name"}}, r"unknown key base.kinds; did you mean base.kind\?"),
        ({"base": 3}, "base is not an object"),
        ({"base": {"kind": "embedded", "ref": "../x"}}, "base.ref is '../x'"),
        ({"prompts": []}, "prompts is not an object"),
        ({"matryoshka": 7}, "not iterable"),
        ({"stages": ["x"]}, "stages is"),
        ({"n_memory": "4"}, "n_memory is '4'"),
    ],
)
def test_a_description_that_is_not_the_format_is_refused(change, message):
    with pytest.raises(CheckpointError, match=message):
        config_from_json({**config_to_json(tiny_config()), **change}, "here")


def test_a_missing_key_is_named():
    content = config_to_json(tiny_config())
    del content["dimension"]
    with pytest.raises(CheckpointError, match="key dimension is missing"):
        config_from_json(content, "here")


def test_what_is_no_object_is_refused():
    with pytest.raises(CheckpointError, match="not a JSON object"):
        config_from_json([1], "here")
