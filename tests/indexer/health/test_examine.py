"""A collection, a selection of it, and a file are measured alike, and positions become the right passages."""

import json

import numpy as np
import pytest

from encoder.errors import InputError, ShapeError, UsageError
from encoder.spectrum import examine as examine_rows
from indexer.health.examine import Parts, examine, examine_vectors
from indexer.health.lengths import cut_report, length_report
from indexer.health.memory import look_at_memory, merged_by_likeness
from indexer.health.report import report_to_json
from indexer.health.vector_files import open_vectors
from indexer.search import Searcher
from indexer.selection import Selection
from tests.indexer.making import PresetEmbedder, doc, new_collection


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """80 vectors of 8 dimensions: row 7 equals row 3, and row 11 is alone on its side."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(80, 8)) * 0.2 + np.eye(8)[0]
    vectors[7] = vectors[3]
    vectors[11] = -np.eye(8)[0]
    embedder = PresetEmbedder(vectors)
    documents = [doc(f"d{at}", f"row {at}", year=at) for at in range(80)]
    collection, _ = new_collection(tmp_path_factory.mktemp("space") / "c", documents, encoder=embedder)
    return Searcher(collection, embedder)


def stored(searcher):
    return searcher.snapshot.vectors(searcher.snapshot.row_ids())


def test_a_collection_measures_as_its_vectors_do(space):
    found = examine(space).measures()
    plain = examine_rows(stored(space)).measures()
    assert {name: found[name] for name in plain} == plain
    assert found["ann_recall"] == 1.0


def test_positions_are_named_by_their_passages(space):
    report = examine(space)
    (group,) = report.listed.equal
    assert (group.size, [row.text for row in group.rows]) == (2, ["row 3", "row 7"])
    assert report.listed.outliers[0].passage_id.startswith("d11#")


def test_a_selection_is_measured_alone_and_said(space):
    report = examine(space, Selection(where="year < 60"))
    assert report.examination.diagnosis.n == 60
    assert report.origin.sentence == "60 passages: year < 60"
    rows = [row for group in report.listed.equal for row in group.rows]
    assert {row.passage_id.split("#")[0] for row in rows} == {"d3", "d7"}


def test_nothing_chosen_cannot_be_told(space):
    report = examine(space, Selection(where="year > 5000"))
    assert report.examination.verdict.state == "cannot tell"
    assert report.lengths.bins == ()


def test_without_memory_tokens_a_note_says_so(space):
    report = examine(space, parts=Parts(memory=True))
    assert report.memory is None
    assert "the encoder of this collection has no memory tokens" in report.notes[0]


def test_trials_begin_with_what_is(space):
    report = examine(space, parts=Parts(what_if=("centre",), has_known_items=False))
    assert [trial.spec for trial in report.what_if] == ["none", "centre"]
    assert abs(report.what_if[1].diagnosis.mean_cosine) < abs(report.what_if[0].diagnosis.mean_cosine)


def test_an_impossible_trial_is_refused(space):
    with pytest.raises(UsageError, match="nonsense"):
        examine(space, parts=Parts(what_if=("nonsense",), has_known_items=False))


def test_a_trial_that_asks_for_too_much_is_refused_before_the_work(tmp_path, space):
    np.save(tmp_path / "v.npy", stored(space))
    parts, stages = Parts(what_if=("drop:9",), has_known_items=False), []
    for run in (
        lambda: examine(space, parts=parts, report=stages.append),
        lambda: examine_vectors(open_vectors(tmp_path / "v.npy"), parts=parts, report=stages.append),
    ):
        with pytest.raises(UsageError, match="drop:9 asks for more than the 8 numbers"):
            run()
    assert stages == []


def test_progress_names_its_stages(space):
    stages = []
    examine(space, report=lambda progress: stages.append(progress.stage))
    assert stages[0] == "spectrum" and "neighbours" in stages


def test_the_json_is_plain(space):
    told = json.loads(json.dumps(report_to_json(examine(space)), allow_nan=False))
    assert told["format"] == 2 and told["state"] == told["measures"]["state"]
    found = examine(space).examination.diagnosis
    for part in (told, told["measures"]):
        # As tables show them: the plain name is the one without the mean.
        assert part["effective_rank"] == found.effective_rank_centred != found.effective_rank
        assert part["effective_rank_with_mean"] == found.effective_rank
        assert part["participation_ratio"] == found.participation_ratio_centred
        assert not [name for name in part if name.endswith("_centred")]
    assert told["rows"]["equal"][0]["size"] == 2


def test_a_file_measures_as_the_array(tmp_path, space):
    vectors = np.concatenate([stored(space), np.zeros((1, 8)), np.full((2, 8), np.nan)]).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    report = examine_vectors(open_vectors(tmp_path / "v.npy"))
    found = report.examination.diagnosis
    assert (found.n, found.zero_rows, found.non_finite_rows) == (80, 1, 2)
    assert found.effective_rank == pytest.approx(examine(space).examination.diagnosis.effective_rank)
    assert report.listed.outliers[0].position == examine(space).listed.outliers[0].position
    assert report.origin.recall is None


def test_an_empty_file_cannot_be_told(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((0, 4), np.float32))
    assert examine_vectors(open_vectors(tmp_path / "v.npy")).examination.verdict.state == "cannot tell"


def test_trials_of_a_file_say_what_is_missing(tmp_path, space):
    np.save(tmp_path / "v.npy", stored(space))
    report = examine_vectors(open_vectors(tmp_path / "v.npy"), parts=Parts(what_if=("drop:1",), memory=True))
    assert report.what_if[1].recall_at_1 is None
    assert len(report.notes) == 2 and "no memory tokens" in report.notes[0]


def test_trials_of_one_row_are_refused(tmp_path):
    np.save(tmp_path / "v.npy", np.ones((1, 4), np.float32))
    with pytest.raises(ShapeError, match="the sample has 1 rows"):
        examine_vectors(open_vectors(tmp_path / "v.npy"), parts=Parts(what_if=("centre",)))


def test_a_pickle_is_no_vectors(tmp_path):
    np.save(tmp_path / "v.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        open_vectors(tmp_path / "v.npy")


def test_memory_states_that_are_alike_may_be_merged_without_loss():
    states = np.random.default_rng(0).normal(size=(30, 1, 6)).repeat(4, axis=1)
    merged = merged_by_likeness(states)
    assert [each.clusters for each in merged] == [4, 2]
    assert [each.overlap for each in merged] == [1.0, 1.0]
    assert merged[0].effective_rank == pytest.approx(merged[1].effective_rank)


def test_an_odd_state_weighs_more_once_the_others_are_merged():
    rng = np.random.default_rng(0)
    states = np.repeat(rng.normal(size=(60, 1, 6)), 4, axis=1)
    states[:, 3] = 3 * rng.normal(size=(60, 6))
    plain, two = merged_by_likeness(states)
    assert plain.overlap == 1.0 and two.overlap < 0.95


def test_nothing_chosen_has_no_memory_tokens(space):
    with pytest.raises(InputError, match="there is no passage"):
        look_at_memory(space, np.zeros(0, np.uint64))


def test_lengths_are_the_encoders_tokens(tmp_path):
    from tests.conftest import WordEmbedder

    encoder = WordEmbedder(dimension=16)
    words = [f"w{at}" for at in range(60)]
    documents = [doc(f"d{at}", " ".join(words[at % 7 : at % 7 + 4 + at % 5 * 8])) for at in range(100)]
    collection, _ = new_collection(tmp_path / "c", documents, encoder=encoder, window=64, overlap=0)
    searcher = Searcher(collection, encoder)
    found = length_report(searcher, searcher.snapshot.row_ids())
    tokens = encoder.tokenize([document.text for document in documents])
    assert (found.bins[0].least, found.bins[-1].most) == (min(map(len, tokens)), max(map(len, tokens)))
    cut = cut_report(searcher, searcher.snapshot.row_ids())
    assert [each.tokens for each in cut] == [16, 32] and {each.n for each in cut} == {20}
