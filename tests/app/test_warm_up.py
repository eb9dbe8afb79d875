"""What is done before the first click: the corpus and its encoder are there, once, and nothing missing stops it."""

import shutil
import threading

import pytest
import streamlit as st

from app import library, mode, session
from app.view_state import ViewState
from app.warm_up import warm_up


@pytest.fixture
def loads(library_home, word_embedder, monkeypatch):
    """Encoders loaded so far."""
    found = []

    def load(spec="default", **_):
        found.append(spec)
        return word_embedder

    monkeypatch.setattr("encoder.checkpoint.load_encoder", load)
    st.cache_resource.clear()
    yield found
    st.cache_resource.clear()


def _in_a_thread():
    failed = []

    def run():
        try:
            warm_up()
        except BaseException as error:  # noqa: BLE001, a thread keeps what it raises to itself
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive() and not failed


@pytest.mark.parametrize("is_read_only", [False, True])
def test_the_first_question_finds_everything_loaded(roads, loads, is_read_only):
    before = mode.current()
    mode.choose(mode.Mode(is_read_only, None))
    try:
        _in_a_thread()
    finally:
        mode.choose(before)
    assert len(loads) == 1
    opened = session.open_collection(library.find("").path)
    assert opened is session.open_collection(roads.path)
    assert session.ask(opened, ViewState(query="bridges")).hits
    assert len(loads) == 1  # the same one


def test_nothing_missing_stops_it(make_collection, loads, monkeypatch):
    _in_a_thread()  # an empty library
    path = make_collection([("1", "a", "b", "c", 1)]).path
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda *_, **__: 1 / 0)
    _in_a_thread()
    shutil.rmtree(path / "index", ignore_errors=True)
    shutil.rmtree(path / "rows", ignore_errors=True)
    for file in path.glob("*.json"):
        file.write_text("[]")
    _in_a_thread()
    assert not loads


def test_it_says_nothing(roads, loads, caplog, capfd):
    _in_a_thread()
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
