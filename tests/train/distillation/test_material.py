"""What is drawn from parquet files."""

import pytest

from encoder.errors import InputError
from train.distillation.material import read_material, read_pairs, split_sentences


def test_sentences_end_where_the_next_one_begins():
    text = 'He said "Stop it right now." Then, at 3.5 km, they all went home again. (Nobody at all knows why.) Ok.'
    assert split_sentences(text) == [
        'He said "Stop it right now.',
        "Then, at 3.5 km, they all went home again.",
        "(Nobody at all knows why.",
    ]


def test_a_smaller_draw_is_a_prefix_of_a_larger_one(data_directory):
    small = read_material(data_directory, texts=50, long_share=0.2, seed=3)
    large = read_material(data_directory, texts=300, long_share=0.2, seed=3)
    assert large.texts[:50] == small.texts
    assert large.texts != read_material(data_directory, texts=300, long_share=0.2, seed=4).texts


def test_no_text_is_drawn_twice_and_all_are_drawn_in_the_end(data_directory):
    material = read_material(data_directory, texts=10**6, long_share=0.1, seed=0)
    assert len(set(material.texts)) == len(material.texts)
    assert sum(material.is_long) == 60
    assert all((len(text) > 300) == is_long for text, is_long in zip(*material, strict=True))


def test_pairs_come_from_files_that_have_them(data_directory):
    pairs = list(read_pairs(data_directory))
    assert len(pairs) == 80
    assert all(anchor in positive for anchor, positive in pairs)


def test_a_folder_without_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="no text to learn from"):
        read_material(tmp_path, texts=1, long_share=0.0, seed=0)
