"""A stored map read back, refused when damaged, and brought up to date with the rows of a newer version."""

import json

import numpy as np
import pytest

from encoder.errors import CollectionError, InputError
from indexer.derived import build_folder, write_build
from indexer.maps import near
from indexer.maps.near import nearest_mapped
from indexer.maps.placing import place
from indexer.maps.points import current_points
from indexer.maps.stored import list_maps, open_map, write_files
from indexer.search import Searcher
from tests.indexer.making import ListSource, PresetEmbedder, doc, new_collection


def numbered(count, start=0):
    return [doc(f"d{i}", f"row {i}", year=i) for i in range(start, start + count)]


def save(collection, row_ids, places, trust=None, neighbours=None, is_placed=None, **facts):
    """A map of these points, as a build writes it."""
    n = row_ids.size
    arrays = {
        "row_ids": row_ids,
        "places": np.asarray(places, np.uint16).reshape(n, 2),
        "trust": np.full(n, 0.5, np.float32) if trust is None else np.asarray(trust, np.float32),
        "neighbours": np.zeros((n, 0), np.uint32)
        if neighbours is None
        else np.asarray(neighbours, np.uint32),
        "is_placed": np.zeros(n, np.bool_) if is_placed is None else np.asarray(is_placed),
    }
    recipe = {"format": 1, "method": "pca", "where": facts.pop("where", "")}
    facts = {"newest_row": int(row_ids.max(initial=0)), **facts}
    return write_build(
        collection,
        "map",
        version=collection.version(),
        recipe=recipe,
        facts=facts,
        write=lambda folder: write_files(folder, **arrays),
    )


@pytest.fixture
def vectors():
    return np.random.default_rng(3).standard_normal((40, 8)).astype(np.float32)


@pytest.fixture
def collection(tmp_path, vectors):
    return new_collection(tmp_path / "c", numbered(30), encoder=PresetEmbedder(vectors))[0]


def snapshot_of(collection, vectors):
    return Searcher(collection, PresetEmbedder(vectors)).snapshot


def test_what_was_written_is_read(collection, vectors):
    rows = snapshot_of(collection, vectors).row_ids()
    rng = np.random.default_rng(1)
    places, trust = rng.integers(0, 65_536, (30, 2)), rng.integers(0, 255, 30) / 254
    trust[4] = np.nan
    neighbours = rng.integers(0, 30, (30, 5))
    build = save(collection, rows, places, trust, neighbours, np.arange(30) % 7 == 0)
    stored = open_map(collection, build.id)
    assert stored.id == build.id == open_map(collection).id
    assert np.array_equal(stored.row_ids, rows)
    assert np.array_equal(np.stack([stored.x, stored.y], axis=1), places)
    np.testing.assert_allclose(stored.trust, trust, atol=1e-6)
    assert np.array_equal(stored.neighbours, neighbours)
    assert np.array_equal(stored.is_placed, np.arange(30) % 7 == 0)


def test_the_newest_is_opened(collection, vectors):
    rows = snapshot_of(collection, vectors).row_ids()
    save(collection, rows, np.zeros((30, 2)))
    newest = save(collection, rows, np.ones((30, 2)))
    assert open_map(collection).id == newest.id == list_maps(collection)[0].id


def test_no_map(collection):
    with pytest.raises(InputError, match="this collection has no map") as error:
        open_map(collection)
    assert "llm2comp map" in error.value.fix
    with pytest.raises(InputError, match="there is no map 00000000"):
        open_map(collection, "00000000")
    with pytest.raises(InputError, match="is no id of a map build"):
        open_map(collection, "../../etc")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("xy.u16", b"\0" * 6, "does not fit the number of points"),
        ("trust.u8", b"\0" * 31, "does not fit the number of points"),
        ("flags.u8", b"", "does not fit the number of points"),
        ("rowid.u64", np.arange(30, dtype="<u8")[::-1].tobytes(), "rows are not in order"),
        ("rowid.u64", np.zeros(30, "<u8").tobytes(), "rows are not in order"),
        ("rowid.u64", b"\0" * 7, "does not fit"),
        ("neighbours.u32", np.full(30, 30, "<u4").tobytes(), "points that the map does not have"),
        ("neighbours.u32", np.zeros(31, "<u4").tobytes(), "points that the map does not have"),
    ],
)
def test_foreign_files_are_refused(collection, vectors, name, content, message):
    build = save(collection, snapshot_of(collection, vectors).row_ids(), np.zeros((30, 2)))
    folder = build_folder(collection, "map", build.id)
    (folder / name).write_bytes(content)
    described = json.loads((folder / "build.json").read_text())
    described["files"][name]["size"] = len(content)
    (folder / "build.json").write_text(json.dumps(described))
    with pytest.raises(CollectionError, match=message):
        open_map(collection, build.id)


def test_a_file_that_the_build_does_not_name(collection, vectors):
    build = save(collection, snapshot_of(collection, vectors).row_ids(), np.zeros((30, 2)))
    file = build_folder(collection, "map", build.id) / "build.json"
    described = json.loads(file.read_text())
    for change, message in (
        ({"files": {}}, "rowid.u64 is missing"),
        ({"recipe": {"format": 2}}, "format '2'"),
    ):
        file.write_text(json.dumps(described | change))
        with pytest.raises(CollectionError, match=message):
            open_map(collection, build.id)


def test_deleted_rows_leave_and_new_rows_lie_among_their_nearest(collection, vectors):
    rows = snapshot_of(collection, vectors).row_ids()
    places = np.random.default_rng(2).integers(0, 65_536, (30, 2))
    stored = open_map(collection, save(collection, rows, places).id)
    collection.delete(ids=["d3", "d17"])
    collection.add(ListSource(numbered(6, start=30)), encoder=PresetEmbedder(vectors))
    snapshot = snapshot_of(collection, vectors)
    points = current_points(stored, snapshot)
    live = snapshot.row_ids()
    assert np.array_equal(points.row_ids, live)
    assert (points.gone, points.unplaced, points.is_placed.sum()) == (2, 0, 6)
    assert np.isnan(points.trust[points.is_placed]).all()
    all_vectors, by_row = snapshot.vectors(live), dict(zip(rows.tolist(), places, strict=True))
    for at in np.flatnonzero(points.is_placed):
        old = np.flatnonzero(~points.is_placed)
        nearest = old[np.argsort(-(all_vectors[old] @ all_vectors[at]))[:15]]
        expected = np.median([by_row[int(row)] for row in live[nearest]], axis=0)
        assert np.abs(expected - (int(points.x[at]), int(points.y[at]))).max() <= 0.5
    assert points.placed_share == pytest.approx(6 / 34)
    assert not points.needs_refit


def test_many_new_rows_ask_for_a_new_map(collection, vectors):
    rows = snapshot_of(collection, vectors).row_ids()
    stored = open_map(collection, save(collection, rows, np.zeros((30, 2))).id)
    collection.add(ListSource(numbered(9, start=30)), encoder=PresetEmbedder(vectors))
    assert current_points(stored, snapshot_of(collection, vectors)).needs_refit


def test_rows_left_out_of_the_sample_or_the_filter_stay_out(collection, vectors):
    rows = snapshot_of(collection, vectors).row_ids()
    sample = open_map(collection, save(collection, rows[::2], np.zeros((15, 2)), newest_row=int(rows[-1])).id)
    filtered = open_map(collection, save(collection, rows[:5], np.zeros((5, 2)), where="year < 5").id)
    collection.add(ListSource(numbered(4, start=30)), encoder=PresetEmbedder(vectors))
    snapshot = snapshot_of(collection, vectors)
    points = current_points(sample, snapshot)
    assert (points.row_ids.size, int(points.is_placed.sum()), points.unplaced) == (19, 4, 15)
    points = current_points(filtered, snapshot)
    assert (points.row_ids.size, int(points.is_placed.sum()), points.unplaced) == (5, 0, 29)


def test_a_map_without_a_live_row(collection, vectors):
    stored = open_map(collection, save(collection, np.array([10**6], np.uint64), [[1, 2]], newest_row=-1).id)
    points = current_points(stored, snapshot_of(collection, vectors))
    assert (points.row_ids.size, points.gone, points.unplaced) == (0, 1, 30)
    assert points.placed_share == 0


def test_placed_points_place_no_others(collection, vectors):
    rows = snapshot_of(collection, vectors).row_ids()
    places = np.where(np.arange(30)[:, None] < 20, 100, 60_000) * np.ones((30, 2))
    stored = open_map(collection, save(collection, rows, places, is_placed=np.arange(30) >= 20).id)
    collection.add(ListSource(numbered(5, start=30)), encoder=PresetEmbedder(vectors))
    points = current_points(stored, snapshot_of(collection, vectors))
    assert set(points.x[-5:].tolist()) == {100}


def test_the_median_of_known_neighbours():
    x, y = np.array([0, 10, 65_535], np.uint16), np.array([5, 5, 7], np.uint16)
    assert place(np.array([[0, 1, 2], [2, -1, -1], [0, 1, -1]]), x, y).tolist() == [
        [10, 5],
        [65_535, 7],
        [5, 5],
    ]


def test_cells_find_what_exact_finds_nearly(tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((20, 16)) * 3
    vectors = (centres[rng.integers(0, 20, 1200)] + rng.standard_normal((1200, 16))).astype(np.float32)
    collection, encoder = new_collection(tmp_path / "c", numbered(1200), encoder=PresetEmbedder(vectors))
    snapshot = Searcher(collection, encoder).snapshot
    rows = snapshot.row_ids()
    exact, usable = nearest_mapped(snapshot, rows[1000:], rows[:1000], 15)
    truth = np.argsort(-(snapshot.vectors(rows[1000:]) @ snapshot.vectors(rows[:1000]).T), axis=1)[:, :15]
    assert usable.all()
    assert np.mean([len(set(a) & set(b)) for a, b in zip(exact, truth, strict=True)]) > 14.9
    monkeypatch.setattr(near, "MOST_PAIRS", 0)
    by_cells, usable = nearest_mapped(snapshot, rows[1000:], rows[:1000], 15)
    assert usable.all()
    assert np.mean([len(set(a) & set(b)) / 15 for a, b in zip(by_cells, truth, strict=True)]) > 0.7


def test_cells_leave_the_threads_of_searches_alone(collection, vectors, monkeypatch):
    import faiss

    snapshot = snapshot_of(collection, vectors)
    rows = snapshot.row_ids()
    monkeypatch.setattr(near, "MOST_PAIRS", 0)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        assert nearest_mapped(snapshot, rows[:2], rows[2:], 3)[1].all()
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(threads)
