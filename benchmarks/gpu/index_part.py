"""Part index: `flat` and `ivf-sq8` on the GPU beside their CPU twins, and the product around them."""

from pathlib import Path

from accelerator import Accelerator
from compared_index import ComparedIndex
from flat_index import flat_steps
from ivf_index import ivf_steps
from made_rows import MadeRows
from product_part import product_steps
from steps import Step

_SIZES = ((1_000_000, 384), (1_000_000, 1024), (10_000_000, 384), (10_000_000, 1024))
_SMALL_SIZES = ((20_000, 64),)
# Above this many rows the CPU's twin is not built: it would take the time that is left for all others.
_MOST_ROWS_OF_A_TWIN = 1_000_000


def index_steps(accelerator: Accelerator, folder: Path) -> list[Step]:
    """The steps of the part, size by size, the product's checks first since they are short.

    Args:
        accelerator: what is measured.
        folder: for vector files, collections and the CPU's answers.
    """
    made = MadeRows(accelerator.name)
    steps = product_steps(accelerator, folder, made.forget)
    for rows, dimension in _SMALL_SIZES if accelerator.is_small else _SIZES:
        place = folder / "vectors" / f"{rows}x{dimension}"
        index = ComparedIndex(accelerator, made, place, rows, dimension)
        has_twin = rows <= _MOST_ROWS_OF_A_TWIN
        steps += [*flat_steps(index, has_twin=has_twin), *ivf_steps(index, has_twin=has_twin)]
    return steps
