"""The teacher's vectors are right, and computed once."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from train.distillation import teacher as teacher_module
from train.distillation.material import Material
from train.distillation.teacher import Teacher, write_vectors


@pytest.fixture
def arguments(teacher_directory):
    return {"directory": teacher_directory, "max_tokens": 16, "dtype": torch.float32}


def test_a_vector_is_the_unit_mean_of_all_states(arguments, teacher_directory):
    texts = ["ban bar bas.", "dit", "fon for fos fot gun gur gus " * 5]
    teacher = Teacher(**arguments)
    vectors = teacher.embed(teacher.tokenize(texts))
    tokenizer, model = (kind.from_pretrained(teacher_directory) for kind in (AutoTokenizer, AutoModel))
    for text, vector in zip(texts, vectors, strict=True):
        tokens = tokenizer(text, truncation=True, max_length=16, return_tensors="pt")
        mean = model.eval()(**tokens).last_hidden_state[0].mean(0).detach().numpy()
        assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_the_frame_is_what_stands_around_every_text(arguments):
    teacher = Teacher(**arguments)
    first, last = teacher.frame
    assert all(ids[0] == first and ids[-1] == last for ids in teacher.tokenize(["ban", ""]))


def test_shards_that_are_there_are_not_computed_again(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(teacher_module, "SHARD_TEXTS", 4)
    texts = [f"ban {word}" for word in ("bar", "bas", "bat", "ben", "ber", "bes")]
    write_vectors(Material(texts, [False] * 6), tmp_path, arguments)
    whole = [np.load(tmp_path / f"vectors_0000{n}.npy") for n in (0, 1)]
    assert [len(shard) for shard in whole] == [4, 2]
    np.save(tmp_path / "vectors_00000.npy", np.zeros((4, 1), np.float16))
    (tmp_path / "vectors_00001.npy").unlink()
    write_vectors(Material(texts, [False] * 6), tmp_path, arguments)
    assert np.load(tmp_path / "vectors_00000.npy").shape == (4, 1)
    assert np.array_equal(np.load(tmp_path / "vectors_00001.npy"), whole[1])


def test_the_last_shard_grows_with_the_material(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(teacher_module, "SHARD_TEXTS", 4)
    texts = [f"ban {word}" for word in ("bar", "bas", "bat", "ben", "ber", "bes")]
    write_vectors(Material(texts[:5], [False] * 5), tmp_path, arguments)
    write_vectors(Material(texts, [False] * 6), tmp_path, arguments)
    assert [len(np.load(tmp_path / f"vectors_0000{n}.npy")) for n in (0, 1)] == [4, 2]
