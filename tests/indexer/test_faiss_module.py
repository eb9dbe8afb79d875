"""A missing, doubled or broken faiss is named at start, with the command that mends it."""

import builtins
from importlib.metadata import PackageNotFoundError

import pytest

from app.cli import main
from encoder.errors import MissingExtraError
from indexer.segments import faiss_module
from indexer.segments.faiss_module import check_faiss, load_faiss


def install(monkeypatch, *names):
    """Lets exactly these builds seem to be installed."""

    def version(name):
        if name not in names:
            raise PackageNotFoundError(name)
        return "1.15.1"

    monkeypatch.setattr(faiss_module, "version", version)


def test_one_build_is_fine(monkeypatch):
    install(monkeypatch, "faiss-cpu")
    check_faiss()
    assert faiss_module.installed_builds() == ["faiss-cpu"]


def test_no_build_is_named_with_the_extra_to_install(monkeypatch):
    install(monkeypatch)
    with pytest.raises(MissingExtraError, match="faiss is not installed") as caught:
        check_faiss()
    assert "pip install 'llm2comp[cpu]'" in caught.value.fix


def test_two_builds_are_named_with_the_command_that_leaves_one(monkeypatch):
    install(monkeypatch, "faiss-cpu", "faiss-gpu")
    with pytest.raises(MissingExtraError, match="faiss-cpu and faiss-gpu are both installed") as caught:
        check_faiss()
    assert caught.value.fix == "pip uninstall -y faiss-cpu faiss-gpu && pip install faiss-gpu"


def test_a_build_that_cannot_be_loaded_is_an_error_of_ours(monkeypatch):
    real = builtins.__import__

    def fail(name, *args, **kwargs):
        if name == "faiss":
            raise RuntimeError("libcublas.so.12 is missing")
        return real(name, *args, **kwargs)

    install(monkeypatch, "faiss-gpu")
    monkeypatch.setattr(builtins, "__import__", fail)
    load_faiss.cache_clear()
    try:
        with pytest.raises(MissingExtraError, match="libcublas.so.12 is missing"):
            load_faiss()
    finally:
        load_faiss.cache_clear()


@pytest.mark.parametrize(
    "arguments", [["index", "x.csv", "--into", "c"], ["search", "c", "x"], ["rebuild", "c"]]
)
def test_a_command_says_it_before_it_does_anything(monkeypatch, capsys, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    install(monkeypatch, "faiss-cpu", "faiss-gpu-cuvs")
    assert main(arguments) == 1
    assert "faiss-cpu and faiss-gpu-cuvs are both installed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
