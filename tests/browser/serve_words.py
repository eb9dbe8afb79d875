"""Serves the app with the word encoder of the tests beside the real ones: `python serve_words.py`, address on stdout."""

import importlib.util
from pathlib import Path

import encoder.checkpoint
from app.server import serve

_spec = importlib.util.spec_from_file_location("fakes", Path(__file__).parents[1] / "conftest.py")
_fakes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fakes)
WordEmbedder = _fakes.WordEmbedder


def _serve():
    load = encoder.checkpoint.load_encoder
    encoder.checkpoint.load_encoder = lambda spec="default", **rest: (
        WordEmbedder() if spec == "words" else load(spec, **rest)
    )
    return serve([], port=0, open_browser=False)


if __name__ == "__main__":
    raise SystemExit(_serve())
