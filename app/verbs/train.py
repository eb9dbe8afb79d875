"""`llm2comp train STAGE`: make or improve an encoder; the only verb with a second word."""

import argparse
from pathlib import Path
from typing import Any

from app.verbs import options

_EXAMPLES = """
llm2comp train distil --config recipes/bundled.toml --data texts/ --work runs/bundled --out runs/bundled/encoder
llm2comp train distil --config my.toml --data texts/ --work runs/my --out my-encoder
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb and its stages to the command."""
    verb = subparsers.add_parser("train", help="make or improve an encoder", description="Make an encoder.")
    stages = verb.add_subparsers(title="stages", dest="stage", required=True, metavar="STAGE")
    distil = options.add_verb(
        stages, "distil", "make a small encoder from a teacher's vectors; the same command goes on", _EXAMPLES
    )
    distil.add_argument("--config", type=Path, required=True, metavar="FILE", help="the recipe, TOML")
    distil.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="parquet files of texts and pairs"
    )
    distil.add_argument(
        "--work", type=Path, required=True, metavar="DIR", help="where unfinished work is kept"
    )
    distil.add_argument("--out", type=Path, required=True, metavar="DIR", help="the encoder directory")
    distil.set_defaults(run=run_distil)


def run_distil(args: argparse.Namespace) -> int:
    """Makes an encoder by a recipe."""
    from app.output import print_json, write_lines, write_note
    from train.distillation.bundled import make_encoder
    from train.distillation.recipe import Recipe
    from train.recipe import read_recipe

    make_encoder(read_recipe(Recipe, args.config), args.data, args.work, args.out, write_note)
    if args.json:
        print_json({"format": 1, "out": str(args.out)})
    else:
        write_lines([str(args.out)])
    return 0
