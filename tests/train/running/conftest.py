"""Keeps runs of some milliseconds at some milliseconds."""

import gc

import pytest


@pytest.fixture(scope="session", autouse=True)
def imports_are_no_garbage():
    """The trainer collects garbage at every start: half a second over all that the libraries hold."""
    import transformers.trainer  # noqa: F401

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
