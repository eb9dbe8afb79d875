"""The encoder of a collection as its vectors need it: loaded, and with the transformation that they have passed."""

from typing import TYPE_CHECKING

from encoder.embedder import Embedder
from encoder.errors import CheckpointError, CollectionError, IndexMismatchError, ShapeError
from encoder.spectrum.transforms import Transform
from encoder.transform_file import read_transform
from encoder.transformed import TransformedEncoder
from indexer.storage.manifest import TRANSFORM_FILE

if TYPE_CHECKING:
    from indexer.collection import Collection


def own_transform(collection: "Collection") -> Transform | None:
    """The transformation that the vectors of a collection have passed, None without one.

    Raises:
        CollectionError: the file is missing, damaged, or another than the settings name.
    """
    settings = collection.settings
    if not settings.transform:
        return None
    file = collection.path / TRANSFORM_FILE
    fix = f"restore the file from a copy, or make all vectors anew: llm2comp rebuild {collection.path} --transform none"
    try:
        found = read_transform(file)
    except CheckpointError as error:
        raise CollectionError(error.what, str(file), fix) from error
    if (found.spec, found.sha256) != (settings.transform, settings.transform_sha256):
        raise CollectionError(
            f"{file.name} holds another transformation than the collection was made with", str(file), fix
        )
    return found


def dress(collection: "Collection", encoder: Embedder) -> Embedder:
    """The encoder with the collection's transformation around it; itself where there is none, or it has it.

    Raises:
        CollectionError: the transformation cannot be read.
        IndexMismatchError: the encoder makes vectors of another width than the transformation takes.
    """
    settings = collection.settings
    if not settings.transform or encoder.fingerprint == settings.encoder_fingerprint:
        return encoder
    transform = own_transform(collection)
    assert transform is not None  # the settings name one
    try:
        return TransformedEncoder(encoder, transform)
    except ShapeError as error:
        raise IndexMismatchError(
            error.what,
            str(collection.path),
            f"re-embed with the other one: llm2comp rebuild {collection.path} --encoder {encoder.name}",
        ) from error


def load_own_encoder(collection: "Collection", *, device: str = "auto") -> Embedder:
    """The encoder that a collection names, with its transformation; nothing is downloaded for it.

    Args:
        collection: of the vectors.
        device: to compute on.

    Raises:
        CheckpointError: the encoder is gone or damaged.
        CollectionError: the transformation cannot be read.
    """
    from encoder.checkpoint import load_encoder

    # The spec is out of a file, which may be anybody's.
    loaded = load_encoder(collection.settings.encoder_spec, device=device, only_cached=True)
    return dress(collection, loaded)
