"""A library in a temporary folder, and small collections in it."""

from pathlib import Path

import pandas as pd
import pytest

import app
from indexer.collection import Collection
from indexer.sources import open_sources

ROADS = [
    ("1", "Who pays for roads", "The state pays for most roads. Tolls pay for some bridges.", "money", 2019),
    ("2", "Bridges", "A bridge carries a road over a river. Long bridges hang on cables.", "building", 2021),
    ("3", "Rivers", "A river flows to the sea and carries sand.", "nature", 2023),
]


@pytest.fixture
def library_home(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM2COMP_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def make_collection(library_home, word_embedder):
    def make(rows, name="roads"):
        table = pd.DataFrame(rows, columns=["id", "title", "text", "topic", "year"])
        source = open_sources([table])
        path = library_home / "collections" / name
        path.parent.mkdir(exist_ok=True)
        collection = Collection.create(path, encoder=word_embedder, columns=source.columns)
        collection.add(source, encoder=word_embedder)
        return collection

    return make


@pytest.fixture
def roads(make_collection):
    return make_collection(ROADS)


@pytest.fixture
def open_app(library_home, word_embedder, monkeypatch):
    """Runs the whole app without a browser; keyword arguments are the link."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec="default", **_: word_embedder)
    st.cache_resource.clear()

    def open_app(page="search", **link):
        test = AppTest.from_file(str(Path(app.__file__).with_name("main.py")), default_timeout=30)
        test.query_params.update(link)
        test.session_state["go_to"] = page
        return test.run()

    yield open_app
    st.cache_resource.clear()
