"""The one place that imports faiss, and says what is wrong when it is missing or installed twice."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from encoder.errors import MissingExtraError

BUILDS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu12", "faiss-gpu-cu11")


def installed_builds() -> list[str]:
    """Names of the installed packages that bring the module `faiss`."""
    found = []
    for name in BUILDS:
        try:
            version(name)
        except PackageNotFoundError:
            continue
        found.append(name)
    return found


def check_faiss() -> None:
    """Makes sure that exactly one build of faiss is installed, without importing it.

    Raises:
        MissingExtraError: there is none, or there are two that overwrite each other's files.
    """
    found = installed_builds()
    if not found:
        raise MissingExtraError(
            "faiss is not installed", "the Python packages", "pip install 'llm2comp[cpu]' (or [gpu])"
        )
    if len(found) > 1:
        raise MissingExtraError(
            f"{' and '.join(found)} are both installed and overwrite each other's files",
            "the Python packages",
            f"pip uninstall -y {' '.join(found)} && pip install {found[-1]}",
        )


@lru_cache(maxsize=1)
def load_faiss() -> Any:
    """The module `faiss`.

    Raises:
        MissingExtraError: it is missing, doubled, or cannot be loaded.
    """
    check_faiss()
    try:
        import faiss
    except (ImportError, RuntimeError) as error:  # a GPU build without its CUDA packages raises RuntimeError
        raise MissingExtraError(
            f"faiss cannot be loaded: {error}",
            "the Python packages",
            f"pip install --force-reinstall {installed_builds()[0]}, or use faiss-cpu",
        ) from error
    return faiss
