"""An encoder at several temperatures: each row is what the encoder at that temperature gives by itself."""

import json

import numpy as np
import pytest

from encoder.checkpoint import load_encoder
from encoder.errors import UnsupportedBackboneError, UsageError
from encoder.temperature import sweep_to_json, temperature_sweep
from tests.encoder.tiny import TEXTS, tiny_backbone, tiny_tokenizer

_WORDS = TEXTS[-1].split()


def _texts(count=24):
    random = np.random.default_rng(0)
    return [" ".join(random.choice(_WORDS, 10 + number)) for number in range(count)]


@pytest.fixture(scope="module")
def sweep(encoder_directory):
    return temperature_sweep(
        str(encoder_directory), _texts(), temperatures=(1.0, 0.5), bins=3, k=3, device="cpu"
    )


def test_each_row_is_of_the_encoder_at_its_temperature(sweep, encoder_directory):
    assert (sweep.n, sweep.k, [row.temperature for row in sweep.rows]) == (24, 3, [1.0, 0.5])
    for row in sweep.rows:
        encoder = load_encoder(row.spec, device="cpu")
        assert encoder.config.attention_temperature == row.temperature
        vectors = encoder.encode_document(_texts()).astype(np.float64)
        assert row.mean_cosine == pytest.approx(
            (vectors @ vectors.T)[np.triu_indices(24, 1)].mean(), abs=1e-6
        )
        assert row.lengths.bins[-1].most <= encoder.max_tokens
    assert sweep.rows[0].mean_cosine != pytest.approx(sweep.rows[1].mean_cosine, abs=1e-4)


def test_halves_of_a_text_look_for_each_other(sweep, encoder_directory):
    for row in sweep.rows:
        encoder = load_encoder(row.spec, device="cpu")
        firsts, seconds = [], []
        for text, offsets in zip(_texts(), encoder.tokenize(_texts()), strict=True):
            middle = offsets[len(offsets) // 2, 0]
            firsts.append(text[:middle])
            seconds.append(text[middle:])
        scores = encoder.encode_query(firsts) @ encoder.encode_document(seconds).T
        better = (scores >= np.diag(scores)[:, None]).sum(axis=1)
        assert row.recall == pytest.approx((better <= 3).mean())
    assert sweep.halves == len(_texts())
    assert sweep.rows[0].gain.value == 0
    assert sweep.rows[1].gain.value == pytest.approx(sweep.rows[1].recall - sweep.rows[0].recall)


def test_a_sweep_is_json_without_nan(sweep):
    assert json.loads(json.dumps(sweep_to_json(sweep), allow_nan=False))["halves"] == sweep.halves


def test_progress_is_told_up_to_the_end(encoder_directory):
    shares = []
    temperature_sweep(
        str(encoder_directory), _texts(), temperatures=(1, 0.9), device="cpu", report=shares.append
    )
    assert shares == [0.5, 1.0]


def test_what_cannot_be_swept_is_refused(encoder_directory, tmp_path):
    with pytest.raises(UsageError, match="1 of 2 texts have 16 tokens") as caught:
        temperature_sweep(str(encoder_directory), ["fox", _texts()[-1]], device="cpu")
    assert caught.value.fix == "give 10 such texts at least"
    with pytest.raises(UsageError, match="there is no temperature"):
        temperature_sweep(str(encoder_directory), _texts(), temperatures=())
    with pytest.raises(UsageError, match="takes no options"):
        temperature_sweep("st:org/name", _texts())
    tiny_backbone("falcon").save_pretrained(tmp_path / "falcon")
    tiny_tokenizer().save_pretrained(tmp_path / "falcon")
    with pytest.raises(UnsupportedBackboneError, match="falcon takes no attention temperature"):
        temperature_sweep(f"{tmp_path / 'falcon'}?pooling=mean", _texts(), device="cpu")
