"""Hard negatives are near the anchor, and no pair is lost."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from encoder.errors import ConfigError
from encoder.memory import new_memory
from encoder.save import save_encoder
from tests.encoder.tiny import tiny_backbone, tiny_config, tiny_tokenizer
from train.settings import MineRecipe, Pairs
from train.stages import mine as module
from train.stages.mine import _told, mine
from train.texts.pairs import read_pairs


class _Angles:
    """Texts that end in degrees, as directions in a plane."""

    def __init__(self):
        self.encoded, self.instructions = [], []

    def encode_query(self, texts, *, instruction=None):
        self.instructions.append(instruction)
        return self._vectors(texts)

    def encode_document(self, texts, *, progress=None):
        progress(len(texts), len(texts), 0)
        return self._vectors(texts)

    def _vectors(self, texts):
        self.encoded += texts
        angles = np.radians([float(text.split()[-1]) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture
def embedder(monkeypatch):
    found = _Angles()
    monkeypatch.setattr(module, "load_encoder", lambda spec, *, device: found)
    return found


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def _pairs(tmp_path, rows, name="set", **more):
    path = tmp_path / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return Pairs(name, (str(path),), **more)


def _rows(*degrees):
    """Anchors and positives in directions of their own, a degree apart."""
    return [{"anchor": f"q {each}", "positive": f"p {each + 1}"} for each in degrees]


def _recipe(tmp_path, *pairs, **more):
    plain = {"skip_first": 0, "among": 10, "margin": -2.0}
    return MineRecipe(str(tmp_path / "out.parquet"), "any", pairs, **(plain | more))


def _mined(tmp_path, *pairs, **more):
    lines = []
    report = mine(_recipe(tmp_path, *pairs, **more), lines.append)
    return pq.read_table(tmp_path / "out.parquet").to_pylist(), report, lines


def test_the_nearest_passages_become_negatives(tmp_path, embedder):
    rows, report, lines = _mined(tmp_path, _pairs(tmp_path, _rows(0, 10, 25, 90)), negatives=2)
    assert [(row["anchor"], row["positive"]) for row in rows] == [
        ("q 0", "p 1"), ("q 10", "p 11"), ("q 25", "p 26"), ("q 90", "p 91"),
    ]  # fmt: skip
    assert [(row["negative_1"], row["negative_2"]) for row in rows] == [
        ("p 11", "p 26"), ("p 1", "p 26"), ("p 11", "p 1"), ("p 26", "p 11"),
    ]  # fmt: skip
    assert rows[0]["scores"] == pytest.approx(np.cos(np.radians([1, 11, 26])), abs=1e-5)
    assert {row["source"] for row in rows} == {"set"}
    assert (report["pairs"], report["complete"], report["partly"], report["none"]) == (4, 4, 0, 0)
    assert lines == ["set: 4 of 4 pairs have 2 hard negatives, 0 none"]


def test_the_nearest_may_be_passed_over(tmp_path, embedder):
    rows, _, _ = _mined(tmp_path, _pairs(tmp_path, _rows(0, 10, 25, 90)), skip_first=1)
    assert [row["negative_1"] for row in rows] == ["p 26", "p 26", "p 1", "p 11"]


def test_a_margin_keeps_negatives_away_from_the_positive(tmp_path, embedder):
    pairs = _pairs(tmp_path, _rows(0, 10, 70, 130))
    rows, report, _ = _mined(tmp_path, pairs, margin=0.4, negatives=2)  # 53 degrees
    assert [row["negative_1"] for row in rows] == ["p 71", "p 71", "p 11", "p 71"]
    assert [row["negative_2"] for row in rows] == ["p 131", "p 131", "p 131", "p 11"]
    assert report["complete"] == 4


def test_pairs_without_negatives_are_kept_and_counted(tmp_path, embedder):
    pairs = _pairs(tmp_path, _rows(0, 10, 90))
    rows, report, lines = _mined(tmp_path, pairs, margin=0.4, negatives=2)
    assert [(row["negative_1"], row["negative_2"]) for row in rows] == [
        ("p 91", None), ("p 91", None), ("p 11", "p 1"),
    ]  # fmt: skip
    rows, report, _ = _mined(tmp_path / "more", pairs, relative_margin=1.0)
    assert [row["negative_1"] for row in rows] == ["p 91", None, None]
    assert rows[1]["scores"] is None
    assert (report["pairs"], report["none"]) == (3, 2)
    assert lines == ["set: 1 of 3 pairs have 2 hard negatives, 2 fewer, 0 none"]


def test_no_positive_of_an_anchor_is_its_negative(tmp_path, embedder):
    rows = [*_rows(0, 90), {"anchor": "q 0", "positive": "p 3"}]
    found, _, _ = _mined(tmp_path, _pairs(tmp_path, rows))
    assert [row["negative_1"] for row in found] == ["p 91", "p 3", "p 91"]


def test_negatives_come_from_the_same_source(tmp_path, embedder):
    rows = [row | {"from": kind} for row, kind in zip(_rows(0, 10, 40, 90), "abab", strict=True)]
    found, report, _ = _mined(tmp_path, _pairs(tmp_path, rows, source="from"))
    assert {row["anchor"]: (row["source"], row["negative_1"]) for row in found} == {
        "q 0": ("set/a", "p 41"), "q 40": ("set/a", "p 1"), "q 10": ("set/b", "p 91"), "q 90": ("set/b", "p 11"),
    }  # fmt: skip
    assert report["sets"]["set/a"] == {"pairs": 2, "complete": 2, "partly": 0, "none": 0}


def test_instructions_stand_before_the_queries_of_their_data_set(tmp_path, embedder):
    one = _pairs(tmp_path, _rows(0, 10), "one", instruction="find it")
    _mined(tmp_path, one, _pairs(tmp_path, _rows(30, 40), "two"))
    assert embedder.instructions == ["find it", None]


def test_each_text_is_encoded_once(tmp_path, embedder):
    rows = [*_rows(0, 90), {"anchor": "q 0", "positive": "p 91"}]
    _mined(tmp_path, _pairs(tmp_path, rows))
    assert sorted(embedder.encoded) == ["p 1", "p 91", "q 0", "q 90"]


def test_few_similarities_at_a_time_change_nothing(tmp_path, embedder, monkeypatch):
    pairs = _pairs(tmp_path, _rows(*range(0, 90, 7)))
    whole, _, _ = _mined(tmp_path, pairs, negatives=3)
    monkeypatch.setattr(module, "_SCORES_AT_ONCE", 1)
    cut, _, _ = _mined(tmp_path / "cut", pairs, negatives=3)
    assert [row | {"scores": 0} for row in cut] == [row | {"scores": 0} for row in whole]


def test_random_negatives_follow_from_the_seed(tmp_path, embedder):
    pairs = _pairs(tmp_path, _rows(*range(0, 90, 3)))
    drawn = [
        [row["negative_1"] for row in _mined(tmp_path / str(n), pairs, sampling="random", seed=seed)[0]]
        for n, seed in enumerate((1, 1, 2))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_was_mined_is_read_as_pairs(tmp_path, embedder):
    _mined(tmp_path, _pairs(tmp_path, _rows(0, 10, 90)), margin=0.4, negatives=2)
    names = ("negative_1", "negative_2")
    found = read_pairs([Pairs("mined", (str(tmp_path / "out.parquet"),), negatives=names, source="source")])
    assert {name: len(part) for name, part in found.train.items()} == {
        "mined/set": 1, "mined/set-1-negatives": 2,
    }  # fmt: skip


def test_a_failure_leaves_no_file(tmp_path, embedder, monkeypatch):
    monkeypatch.setattr(module, "_mine_one", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _mined(tmp_path / "in", _pairs(tmp_path, _rows(0, 10)))
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"negatives": 11}, "negatives is 11 and among is 10"),
        ({"out": "out.csv"}, "out is 'out.csv', expected a parquet file"),
    ],
)
def test_impossible_recipes_are_refused_before_anything_is_encoded(tmp_path, embedder, change, what):
    recipe = _recipe(tmp_path, _pairs(tmp_path, _rows(0, 10)), **change) if "out" not in change else None
    recipe = recipe or MineRecipe(change["out"], "any", ())
    with pytest.raises(ConfigError, match=what):
        mine(recipe, print)
    assert embedder.encoded == []


def test_nothing_is_overwritten(tmp_path, embedder):
    (tmp_path / "out.parquet").write_text("mine")
    with pytest.raises(ConfigError, match="The file is there already"):
        mine(_recipe(tmp_path, _pairs(tmp_path, _rows(0, 10))), print)


def test_an_encoder_directory_mines(tmp_path):
    backbone = tiny_backbone()
    save_encoder(
        tmp_path / "tiny",
        backbone=backbone,
        memory=new_memory(backbone, 4),
        tokenizer=tiny_tokenizer(),
        config=tiny_config(),
    )
    texts = ["the quick brown fox", "old books", "a lazy dog", "seven wizards", "quiet rooms"]
    pairs = _pairs(tmp_path, [{"anchor": text.split()[-1], "positive": text} for text in texts])
    recipe = MineRecipe(
        str(tmp_path / "out.parquet"), str(tmp_path / "tiny"), (pairs,), margin=-2, skip_first=0
    )
    assert mine(recipe, lambda line: None)["complete"] == 5


def test_few_negatives_are_said_with_what_to_change():
    recipe = MineRecipe(out="x.parquet", encoder="default", pairs=(), margin=0.05)
    line = _told("set", {"pairs": 10, "complete": 1, "partly": 0, "none": 9}, recipe)
    assert line == (
        "set: 1 of 10 pairs have 1 hard negatives, 9 none (a lower margin than 0.05 finds more, as does a better encoder)"
    )
