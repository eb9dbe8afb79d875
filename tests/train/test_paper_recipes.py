"""The recipes of the paper's size: they parse, fit the devices they are for, and say what the paper says."""

from functools import cache

import pytest
from transformers import AutoConfig, AutoModel

from encoder.attention import check_bidirectional
from encoder.memory import new_memory
from tests.train.paper_shapes import (
    PAPER,
    PUBLISHED,
    PUBLISHED_PARAMETERS,
    STAGES,
    dry_runs,
    published_config,
    tiny_kwargs,
)
from train.estimate import describe, estimate
from train.recipe import read_recipe

_ALL = [(name, stage) for name in PUBLISHED for stage in STAGES]


def _recipe(name, stage):
    return read_recipe(STAGES[stage], PAPER / name / f"{stage}.toml")


@cache
def _estimate(name, stage, devices=1):
    return estimate(_recipe(name, stage), published_config(name), devices=devices)


def test_every_recipe_of_the_folder_is_of_a_known_backbone_and_stage():
    found = {path.relative_to(PAPER).as_posix() for path in PAPER.rglob("*") if path.is_file()}
    assert found == {f"{name}/{stage}.toml" for name, stage in _ALL}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shapes_have_the_published_numbers_of_parameters(name):
    found = _estimate(name, "compress")
    assert found.frozen_parameters == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize(("name", "stage"), _ALL)
def test_a_recipe_fits_devices_of_80_gb(name, stage, devices):
    found = _estimate(name, stage, devices)
    assert found.fits, describe(found)
    assert found.device_batch * found.accumulation * devices == found.batch


@pytest.mark.parametrize(("name", "stage"), _ALL)
def test_in_batch_negatives_come_from_the_whole_batch(name, stage):
    assert _estimate(name, stage).accumulation == 1


def test_an_adapter_on_the_paper_s_backbone_has_the_paper_s_size():
    found = _estimate("llama-2-7b-chat", "compress")
    layer = 16 * (3 * (4096 + 4096) + 3 * (4096 + 11008))  # q, v, o; gate, up, down
    assert found.trained_parameters == 32 * layer + 8 * 4096


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_stages_see_as_many_texts_as_the_paper_s(name):
    found = {stage: _estimate(name, stage) for stage in STAGES}
    assert found["compress"].texts == 128_000
    assert found["simcse"].texts == 2 * 128_000  # two views
    assert found["contrastive"].texts == 3 * 2000 * 1024  # query, positive, hard negative


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_stage_begins_with_the_result_of_the_one_before(name):
    compress, simcse, contrastive = (_recipe(name, stage) for stage in STAGES)
    assert simcse.encoder == f"{compress.out}/encoder"
    assert contrastive.encoder == f"{simcse.out}/encoder"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_stages_have_the_paper_s_settings(name):
    compress, simcse, contrastive = (_recipe(name, stage) for stage in STAGES)
    rates = [
        (r.schedule.warmup_from, r.schedule.learning_rate, r.schedule.weight_decay, r.schedule.clip)
        for r in (compress, simcse, contrastive)
    ]
    assert rates == [(1e-5, 1e-4, 1e-5, 2.0), (1e-5, 3e-5, 1e-3, 1.0), (1e-5, 1e-4, 3e-4, 0.0)]
    assert compress.schedule.warmup_steps * 10 == compress.schedule.steps
    assert (compress.memory.n_memory, compress.adapter.rank, compress.adapter.alpha) == (8, 16, 32)
    assert simcse.views.attention_dropout == 0.2
    assert simcse.views.temperature == contrastive.contrast.temperature == 0.05
    assert (contrastive.contrast.max_query_tokens, contrastive.contrast.max_document_tokens) == (512, 1024)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_data_set_has_an_instruction_and_a_hard_negative(name):
    pairs = _recipe(name, "contrastive").pairs
    assert len({each.name for each in pairs}) == len(pairs) == 14
    assert all(each.instruction and each.negatives for each in pairs)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_other_settings_are_the_same_for_every_backbone(name):
    first = "llama-2-7b-chat"
    for stage in STAGES:
        ours, theirs = _recipe(name, stage), _recipe(first, stage)
        assert ours.schedule == theirs.schedule
        assert ours.watch == theirs.watch
        assert ours.adapter == theirs.adapter


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_tiny_model_of_the_architecture_attends_in_both_directions(name):
    backbone = AutoModel.from_config(AutoConfig.for_model(**tiny_kwargs(name))).eval()
    check_bidirectional(backbone, new_memory(backbone, 8).detach())


def test_a_dry_run_is_listed_for_every_recipe():
    listed = dry_runs()
    assert {path for path, _, _ in listed} == {PAPER / name / f"{stage}.toml" for name, stage in _ALL}
    for path, kind, keywords in listed:
        # The real lengths, so that a tiny model takes the recipe as it stands.
        assert estimate(read_recipe(kind, path), AutoConfig.for_model(**keywords)).fits
