"""`llm2comp train STAGE`: make or improve an encoder; the only verb with a second word."""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from app.verbs import options


class _Stage(NamedTuple):
    """A stage that a recipe decides: `train.stages.NAME.NAME(recipe, note, device=...)`."""

    summary: str
    recipe: str  # its class in train.settings
    result: str  # where in the run's folder its result lies


_STAGES = {
    "pretrain": _Stage(
        "make a language model from scratch, tokenizer included", "PretrainRecipe", "backbone"
    ),
    "compress": _Stage("stage 1: train memory tokens to stand for a text", "CompressRecipe", "encoder"),
    "simcse": _Stage("stage 2: learn from two dropout views of each text", "SimcseRecipe", "encoder"),
    "contrastive": _Stage("stage 3: learn from pairs of query and document", "ContrastiveRecipe", "encoder"),
    "mine": _Stage("find hard negatives for pairs", "MineRecipe", ""),
}
_GOES_ON = "; the same command goes on after any stop"

_DISTIL_EXAMPLES = """
llm2comp train distil --config recipes/bundled.toml --data texts/ --work runs/bundled --out runs/bundled/encoder
llm2comp train distil --config my.toml --data texts/ --work runs/my --out my-encoder
"""
_SOUP_EXAMPLES = """
llm2comp train soup runs/a/encoder runs/b/encoder --out runs/soup
llm2comp train soup runs/a/checkpoints/checkpoint-800 runs/a/checkpoints/checkpoint-1000 --out runs/soup --dtype float16
"""
_HYBRID_EXAMPLES = """
llm2comp train hybrid runs/contrastive/encoder --config recipes/tiny-contrastive.toml
llm2comp train hybrid runs/soup --config my.toml --data pairs/ --queries 500 --json
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb and its stages to the command."""
    verb = subparsers.add_parser("train", help="make or improve an encoder", description="Make an encoder.")
    stages = verb.add_subparsers(title="stages", dest="stage", required=True, metavar="STAGE")
    for name, stage in _STAGES.items():
        _add_stage(stages, name, stage)
    _add_soup(stages)
    _add_hybrid(stages)
    _add_distil(stages)


def _add_stage(stages: Any, name: str, stage: _Stage) -> None:
    recipe = "tiny" if name == "compress" else f"tiny-{name}"
    examples = (
        f"llm2comp train {name} --config recipes/{recipe}.toml\n"
        f"llm2comp train {name} --config my.toml --set "
        + ("negatives=4 --json" if name == "mine" else "schedule.steps=2000 --out runs/long")
    )
    parser = options.add_verb(stages, name, stage.summary + (_GOES_ON if stage.result else ""), examples)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the recipe, TOML")
    parser.add_argument("--out", metavar="PATH", help="in place of the recipe's out")
    _add_data(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="in place of a value of the recipe, such as schedule.steps=100; may be given again",
    )
    if stage.result:
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="train nothing: say steps, tokens and memory, and check the recipe",
        )
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto", help="a GPU where there is one")
    options.add_quiet(parser)
    parser.set_defaults(run=run_stage)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder that the files of the recipe lie in, for relative names",
    )


def _add_soup(stages: Any) -> None:
    soup = options.add_verb(stages, "soup", "average the weights of encoders of one shape", _SOUP_EXAMPLES)
    soup.add_argument("encoders", nargs="+", metavar="ENCODER", help="encoder directories or checkpoints")
    soup.add_argument("--out", required=True, metavar="DIR", help="the averaged encoder")
    soup.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        default="float32",
        help="of the stored weights; float16 halves the folder (default: float32)",
    )
    soup.set_defaults(run=run_soup)


def _add_hybrid(stages: Any) -> None:
    hybrid = options.add_verb(
        stages,
        "hybrid",
        "find the weight of hybrid search on pairs held out of training, and store it in the encoder",
        _HYBRID_EXAMPLES,
    )
    hybrid.add_argument("encoder", type=Path, metavar="ENCODER", help="encoder directory")
    hybrid.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help="the recipe of train contrastive that it was trained by; what that holds out is asked",
    )
    hybrid.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="in place of a value of the recipe, such as held_out=4000; as in training",
    )
    _add_data(hybrid)
    hybrid.add_argument(
        "--queries", type=int, default=2000, metavar="N", help="most pairs asked (default: 2000)"
    )
    options.add_quiet(hybrid)
    hybrid.set_defaults(run=run_hybrid)


def _add_distil(stages: Any) -> None:
    distil = options.add_verb(
        stages, "distil", "make a small encoder from a teacher's vectors" + _GOES_ON, _DISTIL_EXAMPLES
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


def run_stage(args: argparse.Namespace) -> int:
    """Trains by a recipe, or says what it would take."""
    import warnings

    warnings.filterwarnings("ignore", category=FutureWarning)  # of libraries, about each other
    from app.output import write_note
    from train import settings
    from train.recipe import files_in, read_recipe
    from train.running.devices import is_first_process

    stage = _STAGES[args.stage]
    overrides = [*args.set, *([f"out={json.dumps(args.out)}"] if args.out else [])]
    recipe = read_recipe(getattr(settings, stage.recipe), args.config, overrides)
    if args.data is not None:
        recipe = files_in(recipe, args.data)
    if getattr(args, "dry_run", False):
        return _dry_run(recipe, as_json=args.json)
    note: Callable[[str], None] = (lambda text: None) if args.quiet or not is_first_process() else write_note
    work = getattr(import_module(f"train.stages.{args.stage}"), args.stage)
    try:
        measures = work(recipe, note, device=args.device)
    except KeyboardInterrupt:
        if stage.result and is_first_process():
            _say_what_is_kept(Path(recipe.out))
        raise
    if is_first_process():
        _tell(Path(recipe.out) / stage.result, measures, as_json=args.json)
    return 0


def _say_what_is_kept(out: Path) -> None:
    from app.output import write_note
    from train.running.run_folder import RunFolder, last_checkpoint

    kept = last_checkpoint(RunFolder(out))
    write_note(f"the last checkpoint is {kept}" if kept else "there is no checkpoint yet: nothing is kept")


def _tell(result: Path, measures: Mapping[str, Any], *, as_json: bool) -> None:
    from app.output import print_json, write_lines

    if as_json:
        print_json({"format": 1, "out": str(result), "measures": dict(measures)})
    else:
        write_lines([str(result)])


def _dry_run(recipe: Any, *, as_json: bool) -> int:
    from app.output import print_json, write_lines
    from train.dry_run import plan

    found = plan(recipe)
    if as_json:
        print_json({"format": 1, **found.to_json()})
    else:
        write_lines(found.lines())
    return 0


def run_soup(args: argparse.Namespace) -> int:
    """Averages encoders."""
    from train.stages.soup import average_encoders

    average_encoders([Path(place) for place in args.encoders], Path(args.out), dtype=args.dtype)
    _tell(Path(args.out), {}, as_json=args.json)
    return 0


def run_hybrid(args: argparse.Namespace) -> int:
    """Finds the weight of hybrid search, and stores it."""
    from app.hybrid_weight import held_out_pairs, store_weight, tune_weight
    from app.output import print_json, write_lines, write_note
    from encoder import load_encoder
    from encoder.config import read_config
    from encoder.errors import UsageError
    from train.recipe import files_in, read_recipe
    from train.settings import ContrastiveRecipe

    if args.queries < 1:
        raise UsageError(f"--queries is {args.queries}", "train hybrid", "ask 1 or more")
    read_config(args.encoder)  # before the work, since the weight is written there
    recipe = read_recipe(ContrastiveRecipe, args.config, args.set)
    recipe = recipe if args.data is None else files_in(recipe, args.data)
    encoder = load_encoder(str(args.encoder.absolute()))  # a folder called "default" is not the bundled one
    note: Callable[[str], None] = (lambda text: None) if args.quiet else write_note
    tuned = tune_weight(encoder, held_out_pairs(recipe), queries=args.queries, note=note)
    store_weight(args.encoder, tuned)
    if args.json:
        print_json({"format": 1, "out": str(args.encoder), **asdict(tuned)})
    else:
        write_lines([f"{tuned.weight:g}"])
    return 0


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
