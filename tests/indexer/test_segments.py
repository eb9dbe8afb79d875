"""Segments and their indexes: built the same twice, chosen by size, given up when they find too little, on a GPU."""

import json
import sys

import numpy as np
import pytest

from encoder.errors import CollectionError
from indexer.query.snapshot import Snapshot
from indexer.search import Searcher
from indexer.segments import ann, ann_gpu, recall
from indexer.segments import segment as segments
from indexer.segments.ann import choose_kind
from indexer.segments.ann_gpu import FaissTwin, TorchTwin, open_twin, torch_twin
from indexer.segments.faiss_module import load_faiss
from indexer.segments.segment import Segment
from tests.indexer.making import (
    ListSource,
    PresetEmbedder,
    answers,
    doc,
    new_collection,
    numbered,
    segment_folders,
)


def preset(path, count, dimension, index, seed=3):
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    encoder = PresetEmbedder(vectors)
    added = [doc(f"d{i}", f"row {i}", year=i) for i in range(count)]
    return new_collection(path, added, encoder=encoder, index=index)


@pytest.mark.parametrize("index", ["flat", "rabitq", "ivf-sq8"])
def test_the_same_rows_make_the_same_files(tmp_path, index):
    files = []
    for name in ("a", "b"):
        collection, _ = preset(tmp_path / name, 600, 16, index)
        folder = segment_folders(collection)[0]
        files.append({f.name: f.read_bytes() for f in folder.iterdir() if f.name != "seg.json"})
    assert files[0] == files[1]


def test_the_kind_follows_from_the_bytes_to_scan():
    assert [choose_kind("auto", rows, 384) for rows in (1, 650_000, 652_000)] == ["flat", "flat", "rabitq"]
    assert choose_kind("ivf-sq8", 1, 384) == "ivf-sq8"


@pytest.mark.parametrize("index", ["rabitq", "ivf-sq8"])
def test_the_recall_is_measured_at_build_stored_and_shown(tmp_path, index):
    collection, encoder = preset(tmp_path / "c", 2000, 32, index)
    entry = collection.publication().segments[0]
    described = json.loads((segment_folders(collection)[0] / "seg.json").read_text())
    assert entry.kind == index and recall.GOAL[index] <= entry.recall == described["effort"]["recall"]
    ladder = [rung["recall"] for rung in described["effort"]["ladder"]]
    assert ladder[-1] == entry.recall and all(rung < recall.GOAL[index] for rung in ladder[:-1])
    provenance = Searcher(collection, encoder).search(encoder.vectors[0]).provenance
    assert (provenance.mode, provenance.recall, provenance.index) == ("approximate", entry.recall, index)
    assert collection.info()["recall"] == entry.recall
    exact = Searcher(collection, encoder).search(encoder.vectors[0], exact=True).provenance
    assert (exact.mode, exact.recall, exact.rows_scanned) == ("exact", 1.0, 2000)


def test_an_index_that_finds_too_few_neighbours_is_refused_and_flat_used_with_a_note(tmp_path, monkeypatch):
    found = ann.AnnIndex.candidates
    monkeypatch.setattr(ann.AnnIndex, "candidates", lambda *args: found(*args)[-3:])
    collection, encoder = preset(tmp_path / "c", 500, 16, "rabitq")
    assert collection.publication().segments[0].kind == "flat"
    note = "rabitq found too few of the true neighbours of these vectors; flat is used instead"
    assert Searcher(collection, encoder).search(encoder.vectors[0]).provenance.notes == (note,)


def test_more_cells_are_visited_until_enough_rows_pass_the_filter(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "_EXACT_BUDGET_MS", 0.0)
    collection, encoder = preset(tmp_path / "c", 3000, 16, "ivf-sq8")
    searcher = Searcher(collection, encoder)
    usual = searcher.search(encoder.vectors[0], mode="semantic").provenance
    rare = searcher.search(encoder.vectors[0], mode="semantic", where="year < 20")
    assert len(rare.hits) == 10 and rare.provenance.nprobe > usual.nprobe


def test_more_cells_are_visited_as_long_as_they_hold_better_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "_EXACT_BUDGET_MS", 0.0)
    collection, encoder = preset(tmp_path / "c", 3000, 16, "ivf-sq8")
    segment = Searcher(collection, encoder).snapshot.segments[0]
    query, allowed = encoder.vectors[0].astype(np.float32), np.arange(3000) < 2000

    def better_with_each_cell(_ann, _query, depth, nprobe, _allowed):
        by_score = np.argsort(-(segment.vectors.block(0, 2000) @ query))
        start = int((1 - nprobe / segment.ann.cells) * (2000 - depth))
        return by_score[start : start + depth]

    monkeypatch.setattr(ann.AnnIndex, "candidates", better_with_each_cell)
    found = segment.candidates(query, 50, allowed, exact=False)
    assert found.nprobe == segment.ann.cells
    assert set(segment.vectors.nearest(query, 50, allowed)) <= set(found.positions)


@pytest.mark.parametrize(
    "effort",
    [
        {},
        {"rerank": -1, "nprobe": 0, "recall": 1, "ladder": []},
        [],
        {"rerank": "x", "nprobe": 1, "recall": 1, "ladder": []},
    ],
)
def test_a_segment_that_does_not_say_how_to_search_is_damaged(tmp_path, monkeypatch, effort):
    collection, _ = preset(tmp_path / "c", 300, 8, "rabitq")
    folder = segment_folders(collection)[0]
    (folder / "seg.json").write_text(json.dumps({"effort": effort}))
    monkeypatch.setattr(segments, "check_files", lambda *_, **__: None)
    with pytest.raises(CollectionError, match="seg.json is damaged"):
        Segment(folder, collection.publication().segments[0], 8)


def test_an_index_of_other_vectors_is_damaged(tmp_path, monkeypatch):
    collection, _ = preset(tmp_path / "c", 300, 8, "rabitq")
    other, _ = preset(tmp_path / "d", 200, 8, "rabitq")
    target = segment_folders(collection)[0] / "ann.faiss"
    target.write_bytes((segment_folders(other)[0] / "ann.faiss").read_bytes())
    monkeypatch.setattr(segments, "check_files", lambda *_, **__: None)
    with pytest.raises(CollectionError, match="it is another index than the collection names"):
        Segment(target.parent, collection.publication().segments[0], 8)


def test_an_index_file_that_cannot_be_written_whole_is_an_error_even_when_it_is_small(tmp_path):
    faiss = load_faiss()
    index = faiss.IndexFlatIP(4)
    index.add(np.ones((2, 4), np.float32))
    (tmp_path / "ann.faiss").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        ann.save_ann(ann.AnnIndex("ivf-sq8", index, None, 1), tmp_path)


# ---- on a GPU, with a stand-in for it


class Card:
    """A GPU that is the processor: the same index, and a note of who asked."""

    def __init__(self, fails_at=None):
        self.opened, self.asked, self.fails_at = [], 0, fails_at

    def open(self, vectors, ann):
        if self.fails_at == "open":
            raise RuntimeError("CUDA error 2: out of memory\nat file x")
        index = vectors.index if ann is None else ann.index
        self.opened.append(vectors.rows)
        card = self

        class Index:
            def search(self, *arguments, **options):
                card.asked += 1
                if card.fails_at == "search":
                    raise RuntimeError("CUDA error 700: illegal address\nat file x")
                return index.search(*arguments, **options)

        return FaissTwin(Index(), None, hasattr(index, "nlist"))


def on_card(collection, encoder, card):
    searcher = Searcher(collection, encoder)
    searcher._snapshot = Snapshot(collection, collection.publication(), card.open)
    return searcher


@pytest.mark.parametrize("index", ["flat", "ivf-sq8"])
def test_searches_without_a_filter_go_to_the_gpu_and_find_the_same(tmp_path, index):
    collection, encoder = preset(tmp_path / "c", 1000, 16, index)
    card = Card()
    searcher = on_card(collection, encoder, card)
    assert card.opened == [], "not before there is something to search"
    found = searcher.search(encoder.vectors[5], 7)
    assert card.opened == [1000] and card.asked == 1
    assert found.hits == Searcher(collection, encoder).search(encoder.vectors[5], 7).hits
    assert (found.provenance.mode, found.provenance.notes) == ("approximate", ())


def test_filtered_exact_and_very_deep_searches_and_rabitq_never_reach_the_gpu(tmp_path):
    collection, encoder = preset(tmp_path / "c", 1000, 16, "flat")
    card = Card()
    searcher = on_card(collection, encoder, card)
    searcher.search(encoder.vectors[5], where="year > 3")
    searcher.search(encoder.vectors[5], exact=True)
    assert len(searcher.search(encoder.vectors[5], 1000).hits) == 1000
    assert not FaissTwin(None, None, False).can_search(2049, 1)
    assert FaissTwin(None, None, True).can_search(2048, 2048)
    collection.delete(ids=["d9"])
    on_card(collection, encoder, card).search(encoder.vectors[5])
    assert card.asked == 1, "only the 1,000 hits; deleted rows are a filter, too"


def test_many_queries_reach_the_gpu_in_one_call_and_find_what_each_finds_alone(tmp_path):
    collection, encoder = preset(tmp_path / "c", 1000, 16, "flat")
    card = Card()
    queries = [encoder.vectors[row].astype(np.float32) for row in range(40)]
    together = on_card(collection, encoder, card).search_batch(queries, 5)
    assert card.asked == 1
    alone = Searcher(collection, encoder)
    assert [found.hits for found in together] == [alone.search(query, 5).hits for query in queries]


@pytest.mark.parametrize(
    ("fails_at", "reason"),
    [("open", "CUDA error 2: out of memory"), ("search", "CUDA error 700: illegal address")],
)
def test_a_failing_gpu_costs_no_answer_and_is_told(tmp_path, fails_at, reason):
    collection, encoder = preset(tmp_path / "c", 1000, 16, "flat")
    card = Card(fails_at)
    searcher = on_card(collection, encoder, card)
    for _ in range(2):
        found = searcher.search(encoder.vectors[5], 7)
        assert found.hits == Searcher(collection, encoder).search(encoder.vectors[5], 7).hits
        assert found.provenance.notes == (f"the GPU failed ({reason}); searched on the CPU",)
    assert card.asked == (1 if fails_at == "search" else 0), "it is not asked again"


@pytest.mark.parametrize(
    ("gpus", "index", "free", "kind"),
    [
        (0, "flat", None, None),
        (0, "flat", 2 * 16 * 1000 * 1.3 - 1, "no room"),
        (0, "flat", 2 * 16 * 1000 * 1.3, "TorchTwin"),
        (0, "ivf-sq8", 10**9, None),
        (1, "flat", None, "FaissTwin"),
        (1, "flat", 2 * 16 * 1000 * 1.3 - 1, "no room"),
        (1, "flat", 2 * 16 * 1000 * 1.3, "FaissTwin"),
        (1, "ivf-sq8", 16 * 1000 * 1.3 - 1, "no room"),
        (1, "ivf-sq8", 16 * 1000 * 1.3, "FaissTwin"),
        (1, "rabitq", 10**9, None),
    ],
)
def test_a_copy_is_made_where_there_is_a_gpu_with_a_third_more_room_than_needed(
    tmp_path, monkeypatch, gpus, index, free, kind
):
    collection, _ = preset(tmp_path / "c", 1000, 16, index)
    segment = Segment(segment_folders(collection)[0], collection.publication().segments[0], 16)
    faiss = load_faiss()
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: gpus, raising=False)
    monkeypatch.setattr(ann_gpu, "free_bytes", lambda: free)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "GpuClonerOptions", type("Options", (), {}), raising=False)
    monkeypatch.setattr(
        faiss, "index_cpu_to_gpu", lambda resources, card, index, options: ("clone", index), raising=False
    )
    monkeypatch.setattr(ann_gpu, "torch_twin", lambda vectors, device, free: TorchTwin(vectors, free))
    monkeypatch.setitem(sys.modules, "torch", sys.modules.get("torch"))
    if kind == "no room":
        with pytest.raises(MemoryError, match="0.0 GB of its memory are free, and 0.0 GB needed"):
            open_twin(segment.vectors, segment.ann)
        return
    twin = open_twin(segment.vectors, segment.ann)
    assert (None if twin is None else type(twin).__name__) == kind
    if kind == "FaissTwin":
        assert twin.has_cells == (index == "ivf-sq8") and twin.index[0] == "clone"


def test_a_gpu_is_asked_for_again_when_the_encoder_has_loaded_torch(tmp_path):
    collection, encoder = preset(tmp_path / "c", 1000, 16, "flat")
    card, is_there = Card(), []

    def opened(vectors, ann):
        return card.open(vectors, ann) if is_there else None

    searcher = Searcher(collection, encoder)
    searcher._snapshot = Snapshot(collection, collection.publication(), opened)
    searcher.search(encoder.vectors[5], 7)
    assert card.asked == 0
    is_there.append(True)
    searcher.search(encoder.vectors[5], 7)
    searcher.search(encoder.vectors[5], 7)
    assert card.asked == 2 and card.opened == [1000]


def test_torch_is_not_loaded_to_look_for_a_gpu(tmp_path, monkeypatch):
    collection, encoder = preset(tmp_path / "c", 50, 16, "flat")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(ann_gpu, "free_bytes", lambda: pytest.fail("it asked torch"))
    assert len(Searcher(collection, encoder).search(encoder.vectors[5], 7).hits) == 7


@pytest.mark.parametrize(
    "rows_at_once", [300, 8, 7], ids=["all at once", "8 rows at a time", "7 rows at a time"]
)
def test_the_product_in_torch_finds_the_best_rows_in_any_number_of_steps(tmp_path, monkeypatch, rows_at_once):
    collection, encoder = preset(tmp_path / "c", 300, 16, "flat")
    segment = Segment(segment_folders(collection)[0], collection.publication().segments[0], 16)
    monkeypatch.setattr(ann_gpu, "_LEAST_PRODUCT_ROWS", 7)
    twin = torch_twin(segment.vectors, "cpu", lambda: 4 * rows_at_once * 4 * (16 + 3))
    queries = encoder.vectors[:3].astype(np.float32)
    scores = queries @ segment.vectors.block(0, 300).T
    for depth in (1, 20, 299, 300, 900):
        found = twin.candidates(queries, depth, 0)
        assert [rows.tolist() for rows in found] == [np.argsort(-row)[:depth].tolist() for row in scores]
    with pytest.raises(MemoryError, match="its memory is full"):
        torch_twin(segment.vectors, "cpu", lambda: 4 * 6 * 4 * (16 + 3)).candidates(queries, 5, 0)


def test_a_full_gpu_costs_no_answer_and_is_told_once(tmp_path):
    collection, encoder = preset(tmp_path / "c", 1000, 16, "flat")
    searcher = Searcher(collection, encoder)
    searcher._snapshot = Snapshot(
        collection, collection.publication(), lambda vectors, _: torch_twin(vectors, "cpu", lambda: 1000)
    )
    for _ in range(2):
        found = searcher.search(encoder.vectors[5], 7)
        assert found.hits == Searcher(collection, encoder).search(encoder.vectors[5], 7).hits
        assert found.provenance.notes == ("the GPU failed (its memory is full); searched on the CPU",)


def test_a_collection_is_searched_by_the_product_in_torch(tmp_path):
    collection, encoder = preset(tmp_path / "c", 1000, 16, "flat")
    searcher = Searcher(collection, encoder)
    searcher._snapshot = Snapshot(
        collection, collection.publication(), lambda vectors, _: torch_twin(vectors, "cpu", lambda: 10**6)
    )
    queries = [vector.astype(np.float32) for vector in encoder.vectors[:20]]
    alone = Searcher(collection, encoder)
    for k in (1, 30, 500):
        found = searcher.search_batch(queries, k)
        assert [one.hits for one in found] == [alone.search(query, k).hits for query in queries]
    assert (found[0].provenance.mode, found[0].provenance.notes) == ("approximate", ())


@pytest.mark.gpu
@pytest.mark.parametrize("index", ["flat", "ivf-sq8"])
def test_a_real_gpu_finds_what_the_processor_finds(tmp_path, index):
    import torch

    assert torch.cuda.is_available()
    if index == "ivf-sq8" and load_faiss().get_num_gpus() < 1:
        pytest.skip("only FAISS's GPU build holds ivf-sq8: pip install faiss-gpu")
    collection, encoder = preset(tmp_path / "c", 5000, 64, index)
    segment = Segment(segment_folders(collection)[0], collection.publication().segments[0], 64)
    assert segment._open_twin() is not None, segment.notes
    reached = []
    for query in encoder.vectors[:100].astype(np.float32):
        on_gpu = segment.candidates(query, 30, None, exact=False)
        exact = segment.vectors.nearest(query, 10, None)
        reached.append(np.isin(exact, on_gpu.positions).mean())
    assert np.mean(reached) >= (0.999 if index == "flat" else 0.95) and segment.notes == []


@pytest.mark.gpu
def test_the_product_on_a_real_gpu_finds_the_best_rows(tmp_path):
    collection, encoder = preset(tmp_path / "c", 5000, 64, "flat")
    segment = Segment(segment_folders(collection)[0], collection.publication().segments[0], 64)
    queries = encoder.vectors[:100].astype(np.float32)
    for free in (ann_gpu.free_bytes, lambda: 12 * 10**6):
        found = torch_twin(segment.vectors, "cuda:0", free).candidates(queries, 30, 0)
        for query, positions in zip(queries, found, strict=True):
            assert np.isin(segment.vectors.nearest(query, 10, None), positions).all()


def test_rows_newer_than_all_segments_are_searched_exactly(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(100), index="rabitq")
    collection.add(ListSource(numbered(5, start=200)), encoder=encoder)
    publication = collection.publication()
    assert len(publication.segments) == 1 and publication.segments[0].rows == 100
    assert Snapshot(collection, publication)._loose_ids.size == 5
    assert answers(collection, encoder, "words about number d203")[0][0][1] == "d203"


def test_many_loose_rows_are_kept_as_they_are_stored_and_score_the_same(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(60))
    expected = answers(collection, encoder, "d7", mode="semantic")
    monkeypatch.setattr("indexer.query.snapshot._MOST_WIDE_ROWS", 10)
    (segment_folders(collection)[0] / "vec.faiss").unlink()
    assert Searcher(collection, encoder).snapshot._loose_vectors.dtype == np.float16
    assert answers(collection, encoder, "d7", mode="semantic") == expected
