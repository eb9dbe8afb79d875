"""Which inner layers and which first numbers of the embedding are trained to stand alone.

A batch is embedded once; `encoder.st.MemoryEncoder` puts the vectors of all trained sizes side by side, so that
the gradient cache of the loss sees one representation [B, W] a text whatever is trained.
Shapes: B batch, D embedding dimension, W = D and all numbers of the inner layers.
"""

from collections.abc import Sequence

import numpy as np

from encoder.errors import ConfigError
from train.settings import Contrast

# Starbucks (arXiv 2410.13230), for 12 layers of 768.
_STARBUCKS = ((2, 32), (4, 64), (6, 128), (8, 256), (10, 512), (12, 768))
_LAYERS, _NUMBERS = _STARBUCKS[-1]
_ROUND_TO = 8  # numbers of a scaled list; nobody stores 43 of them

Sizes = tuple[tuple[int, int], ...]


def starbucks_sizes(n_layers: int, dimension: int) -> Sizes:
    """Starbucks' list of (layers, numbers) from small to large, scaled to an encoder of another shape.

    Of pairs that fall on the same layer the larger one stays.
    """
    found: dict[int, int] = {}
    for layer, numbers in _STARBUCKS:
        scaled = max(1, round(numbers * dimension / _NUMBERS / _ROUND_TO)) * _ROUND_TO
        found[-(-layer * n_layers // _LAYERS)] = min(dimension, scaled)
    return tuple(found.items())


def draw_sizes(settings: Contrast, n_layers: int, dimension: int, *, seed: int, step: int) -> Sizes:
    """The (layers, numbers) trained in a step besides the whole encoder; the same for equal seed and step.

    With `layers = "starbucks"` the whole list. With "random" one pair, as in 2DMSE (arXiv 2402.14776): from
    `layer_sizes`, else a layer below the last one and numbers of `matryoshka`, else of Starbucks' list. The term of
    both papers that pulls inner layers to the last one (KL divergence) is not there: it is no contrast.

    Args:
        settings: `layers`, `layer_sizes` and `matryoshka` are read.
        n_layers: of the encoder.
        dimension: of its embedding, D.
        seed: of the run.
        step: of the run.
    """
    if settings.layers == "none" or n_layers < 2:
        return ()
    whole = (n_layers, dimension)
    given = tuple((pair[0], pair[1]) for pair in settings.layer_sizes)
    if settings.layers == "starbucks":
        return tuple(pair for pair in given or starbucks_sizes(n_layers, dimension) if pair != whole)
    random = np.random.default_rng((seed, step))
    if given:
        return (given[int(random.integers(len(given)))],)
    numbers = settings.matryoshka or tuple(size for _, size in starbucks_sizes(n_layers, dimension))
    return ((int(random.integers(1, n_layers)), int(random.choice(numbers))),)


def trained_parts(dimension: int, matryoshka: Sequence[int], sizes: Sizes) -> list[slice]:
    """Columns of the representation [B, W] that each are a vector of their own: the embedding, prefixes, layers."""
    prefixes = sorted({numbers for numbers in matryoshka if numbers != dimension}, reverse=True)
    parts = [slice(0, numbers) for numbers in (dimension, *prefixes)]
    start = dimension
    for _, numbers in sizes:
        parts.append(slice(start, start + numbers))
        start += numbers
    return parts


def check_sizes(settings: Contrast, n_layers: int, dimension: int) -> None:
    """Refuses sizes that the encoder does not have.

    Raises:
        ConfigError: a number of `matryoshka` or a pair of `layer_sizes` lies outside of the encoder, or there are
            pairs and no inner layer is to be trained.
    """
    if settings.layer_sizes and settings.layers == "none":
        raise ConfigError(
            f'layer_sizes holds {len(settings.layer_sizes)} pairs and layers is "none"',
            "contrast.layer_sizes",
            'set layers to "starbucks" or "random", or leave out layer_sizes',
        )
    for numbers in settings.matryoshka:
        if not 1 <= numbers <= dimension:
            raise ConfigError(
                f"matryoshka holds {numbers}, the embedding has {dimension} numbers",
                "contrast.matryoshka",
                f"give numbers from 1 to {dimension}",
            )
    for pair in settings.layer_sizes:
        if len(pair) != 2 or not (1 <= pair[0] <= n_layers and 1 <= pair[1] <= dimension):
            raise ConfigError(
                f"layer_sizes holds {list(pair)}, the encoder has {n_layers} layers and {dimension} numbers",
                "contrast.layer_sizes",
                f"give pairs [layers, numbers] up to [{n_layers}, {dimension}]",
            )
