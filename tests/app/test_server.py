"""The server refuses to start where it should, with a sentence."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.server import _listen, serve, streamlit_options
from encoder.errors import CollectionError, UsageError


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org"])
def test_other_machines_are_never_let_in(library_home, host):
    with pytest.raises(UsageError, match="no sign-in and is not opened") as caught:
        serve([], host=host, port=0, open_browser=False)
    assert caught.value.where == "--host"


def test_a_folder_that_is_no_collection_is_named(library_home, tmp_path):
    with pytest.raises(CollectionError, match="is not a collection"):
        serve([tmp_path], port=0, open_browser=False)


@pytest.mark.parametrize("port", [70_000, -1])
def test_an_impossible_port_is_named(port):
    with pytest.raises(UsageError, match=f"port {port} cannot be used"):
        _listen("127.0.0.1", port)


def test_a_taken_port_is_named_and_without_a_choice_the_next_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} cannot be used"):
            _listen("127.0.0.1", port)
    with _listen("127.0.0.1", None) as first, _listen("127.0.0.1", None) as second:
        assert first.getsockname()[1] < second.getsockname()[1]


def test_streamlit_is_told_to_keep_to_itself():
    options = streamlit_options()
    assert options["browser.gatherUsageStats"] is False
    assert options["client.showErrorDetails"] == "none"
    assert options["client.showErrorLinks"] is False
    assert options["server.enableAgentApi"] is False
    assert options["server.enableStaticServing"] is False


def test_every_option_exists_in_the_installed_streamlit():
    from streamlit import config

    known = set(config.get_config_options())
    assert set(streamlit_options()) <= known


def test_no_file_of_the_app_shadows_a_package():
    import sys

    # Streamlit puts the script's folder first on the path: app/encoder.py would replace the package `encoder`.
    names = {path.stem for path in Path(serve.__code__.co_filename).parent.glob("*.py")}
    assert not names & (
        set(sys.stdlib_module_names) | {"encoder", "indexer", "train", "app", "streamlit", "pandas"}
    )


_TOLD_THREADS = """
import json, numpy
from threadpoolctl import threadpool_info
from app.server import compute_in_one_thread
told = lambda: [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]
before = told()
compute_in_one_thread()
print(json.dumps([before, told()]))
"""


@pytest.mark.parametrize("chosen", [None, "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"])
def test_matrix_products_take_one_thread_unless_somebody_chose(chosen):
    # In a process of its own: the limit holds for a whole process.
    names = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_NUM_THREADS"}
    environment = {name: value for name, value in os.environ.items() if name not in names}
    if chosen:
        environment[chosen] = "2"
    told = subprocess.run(
        [sys.executable, "-c", _TOLD_THREADS], env=environment, capture_output=True, text=True, check=True
    )
    before, after = json.loads(told.stdout)
    assert before
    assert after == (before if chosen else [1] * len(before))
