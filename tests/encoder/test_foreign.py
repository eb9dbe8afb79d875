import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from transformers import BertConfig, BertModel

from encoder.checkpoint import load_encoder
from encoder.errors import CheckpointError, InputError
from encoder.stats import EncodingStats
from tests.encoder.tiny import TEXTS, tiny_tokenizer

_HARD_TEXTS = ["", "a\x00b", "\ud83d", "😀", "word " * 5000]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny sentence-transformers model with a query prompt, which does not normalise."""
    place = tmp_path_factory.mktemp("st")
    plain = place / "plain"
    config = BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(plain)
    tiny_tokenizer().save_pretrained(plain)
    model = SentenceTransformer(
        modules=[Transformer(str(plain), max_seq_length=32), Pooling(16, "mean")],
        prompts={"query": "query: ", "document": ""},
        device="cpu",
    )
    model.save(str(place / "model"))
    return place / "model"


@pytest.fixture(scope="module")
def foreign(folder):
    return load_encoder(f"st:{folder}", device="cpu", dtype="float32")


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_vectors_are_the_models_own_made_unit_length(foreign, folder):
    model = SentenceTransformer(str(folder), device="cpu")
    assert np.allclose(foreign.encode_document(TEXTS), _unit(model.encode_document(TEXTS)), atol=1e-5)
    assert np.allclose(foreign.encode_query(TEXTS), _unit(model.encode_query(TEXTS)), atol=1e-5)
    with_prompt = _unit(model.encode(TEXTS, prompt="find: "))
    assert np.allclose(foreign.encode_query(TEXTS, instruction="find"), with_prompt, atol=1e-5)
    bare = _unit(model.encode(TEXTS, prompt=""))
    assert np.allclose(foreign.encode_query(TEXTS, instruction=""), bare, atol=1e-5)


def test_it_says_what_an_index_needs(foreign, folder):
    assert foreign.name == f"st:{folder}"
    assert (foreign.dimension, foreign.n_memory, foreign.hybrid_weight) == (16, 0, 0.5)
    assert foreign.max_tokens == 31  # its tokenizer adds one token of its own
    assert foreign.card["prompts"]["query"] == "query: "
    assert foreign.fingerprint == load_encoder(f"st:{folder}", device="cpu").fingerprint


def test_offsets_are_of_the_texts_own_tokens(foreign):
    offsets = foreign.tokenize(["the fox", ""])
    assert offsets[0][-1, 1] == 7
    assert offsets[1].shape == (0, 2)


def test_batches_and_windows_change_nothing(foreign, monkeypatch):
    whole = foreign.encode_document(TEXTS)
    monkeypatch.setattr("encoder.foreign._WINDOW_TEXTS", 2)
    assert np.allclose(foreign.encode_document(TEXTS, batch_tokens=1), whole, atol=1e-5)


def test_any_text_has_a_finite_unit_vector(foreign):
    stats, calls = EncodingStats(), []
    rows = foreign.encode_document(_HARD_TEXTS, stats=stats, progress=lambda *call: calls.append(call))
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert (stats.texts, stats.truncated) == (5, 1)
    assert calls[-1][:2] == (5, 5)


def test_rows_can_be_shortened(foreign):
    rows = foreign.encode_query(TEXTS, truncate_dim=4)
    assert rows.shape == (len(TEXTS), 4)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_what_is_no_list_of_texts_is_refused(foreign):
    with pytest.raises(InputError, match="a single text was given"):
        foreign.encode_query("fox")


def test_a_static_model_without_length_works(tmp_path):
    backend = tiny_tokenizer(bos=None).backend_tokenizer
    model = SentenceTransformer(modules=[StaticEmbedding(backend, embedding_dim=8)], device="cpu")
    model.save(str(tmp_path / "static"))
    static = load_encoder(f"st:{tmp_path / 'static'}", device="cpu", dtype="float32")
    assert static.max_tokens == 1 << 20
    expected = _unit(SentenceTransformer(str(tmp_path / "static"), device="cpu").encode(["the fox"]))
    assert np.allclose(static.encode_document(["the fox"]), expected, atol=1e-5)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "modules.json").write_text("[]]")
    with pytest.raises(CheckpointError, match="sentence-transformers cannot load it"):
        load_encoder(f"st:{tmp_path}")


def test_an_encoder_directory_behind_st_is_refused_with_the_way_out(encoder_directory):
    with pytest.raises(CheckpointError, match="is an encoder directory") as caught:
        load_encoder(f"st:{encoder_directory}")
    assert str(encoder_directory) in caught.value.fix
