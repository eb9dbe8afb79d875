"""A tiny pretrained backbone and finished runs, made once for all tests of the stages."""

import gc
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.train.stages.tiny_runs import train, write_texts


@pytest.fixture(scope="session", autouse=True)
def quick_runs():
    """One thread, and no half second of garbage collection over all that the libraries hold at every start."""
    import train.stages.compress  # noqa: F401

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory):
    """A folder with texts and a finished run of `pretrain`."""
    folder = tmp_path_factory.mktemp("pretrained")
    write_texts(folder / "texts.txt")
    measures, notes = train("pretrain", folder, folder / "run")
    return SimpleNamespace(folder=folder, out=folder / "run", measures=measures, notes=notes)


@pytest.fixture(scope="session")
def material(tmp_path_factory, pretrained) -> Path:
    """A folder with `texts.txt` and `backbone`, as the recipes of `tiny_runs` name them.

    Six steps teach a model nothing of its context, so its weights are replaced by large random ones: what it
    predicts then depends on all it has read, and losses are far above the rounding.
    """
    folder = tmp_path_factory.mktemp("material")
    write_texts(folder / "texts.txt")
    shutil.copytree(pretrained.out / "backbone", folder / "backbone")
    path = folder / "backbone" / "model.safetensors"
    random = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(value.shape, generator=random) * 0.4 if value.ndim > 1 else value
        for name, value in load_file(path).items()
    }
    save_file(tensors, path, metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def compressed(material):
    """A finished run of `compress` with an adapter and dropout, beside its backbone; to be looked at only."""
    out = material / "compressed"
    measures, notes = train("compress", material, out)
    return SimpleNamespace(folder=material, out=out, measures=measures, notes=notes)
