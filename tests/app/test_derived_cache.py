"""What is kept for all sessions: made once, by places that do not push out one another's; and turns at the encoder."""

import threading

import pytest
import streamlit as st

from app import derived_cache, session


@pytest.fixture(autouse=True)
def _emptied():
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def kept(name, key, made, place="small"):
    def make():
        made.append((name, key))
        return len(made)

    return derived_cache.kept("folder", "uuid", 1, name, key, make, place=place)


def test_what_was_made_is_kept_by_kind_and_key():
    made = []
    assert [kept("a", 1, made), kept("a", 1, made), kept("a", 2, made), kept("b", 1, made)] == [1, 1, 2, 3]
    assert made == [("a", 1), ("a", 2), ("b", 1)]


@pytest.mark.parametrize("place", ["map", "topics", "health", "scope"])
def test_one_page_pushes_out_its_own_only(place):
    others = [each for each in derived_cache._CACHES if each != place]
    made = []
    for other in others:
        kept("first", other, made, other)
    kept("first", place, made, place)
    for number in range(derived_cache._LARGE_PLACES):
        kept("more", number, made, place)
    made.clear()
    for other in others:
        kept("first", other, made, other)
    assert made == []
    kept("first", place, made, place)
    assert made == [("first", place)]


def test_what_was_raised_is_not_kept():
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        derived_cache.kept("folder", "uuid", 1, "a", 1, fail, place="map")
    assert kept("a", 1, [], "map") == 1


def test_what_has_its_turn_at_the_encoder_may_ask_for_one_again_and_others_wait():
    inside, go_on, order = threading.Event(), threading.Event(), []

    def first():
        inside.set()
        go_on.wait(20)
        session.encode_alone(lambda: order.append("nested"))
        order.append("first")

    def second():
        session.encode_alone(lambda: order.append("second"))

    threads = [threading.Thread(target=session.encode_alone, args=(first,), daemon=True)]
    threads[0].start()
    assert inside.wait(20)
    threads.append(threading.Thread(target=second, daemon=True))
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert order == ["nested", "first", "second"]
