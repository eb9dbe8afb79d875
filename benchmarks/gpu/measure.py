"""What a GPU brings: indexes, encoding, training and whole-corpus views measured on one, in steps that can be resumed.

    python benchmarks/gpu/measure.py all --work DIR               (on an NVIDIA GPU)
    python benchmarks/gpu/measure.py encode --work DIR --minutes 9   (a part, and no longer; the same again goes on)
    python benchmarks/gpu/measure.py all --small --work DIR       (minutes on any processor: shows that it works)
    python benchmarks/gpu/measure.py report --work DIR            (tables of what is measured so far)

README.md says what is measured, and how a machine without network is set up.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

if TYPE_CHECKING:
    from accelerator import Accelerator
    from steps import Step, StepFolder

PARTS = ("index", "encode", "train", "see")


def main() -> int:
    """Runs the parts or reports them; 0, or 1 where nothing could be measured."""
    args = _arguments()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    from steps import NotRunError, OtherKindError

    try:
        return _report(args) if args.part == "report" else _measure(args)
    except (NotRunError, OtherKindError) as error:
        print(error, file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=(*PARTS, "all", "report"))
    parser.add_argument("--small", action="store_true", help="tiny sizes, as a trial; no figures")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    parser.add_argument("--work", type=Path, default=Path("runs/gpu"), help="(default: runs/gpu)")
    parser.add_argument(
        "--minutes", type=float, metavar="N", help="begin no step that may not end in N minutes"
    )
    parser.add_argument("--retry", action="store_true", help="try steps again that could not be run before")
    parser.add_argument(
        "--into", type=Path, default=HERE / "README.md", help="of report (default: README.md here)"
    )
    return parser.parse_args()


def _measure(args: argparse.Namespace) -> int:
    from accelerator import describe_device, open_accelerator
    from steps import StepFolder

    accelerator = open_accelerator(args.device, is_small=args.small)
    command = f"python benchmarks/gpu/measure.py {args.part}"
    command += (" --small" if args.small else "") + (
        "" if args.device == "auto" else f" --device {args.device}"
    )
    facts = {"command": command, "small": args.small} | describe_device(accelerator)
    kind = {"small": args.small, "device": accelerator.label()}
    folder = StepFolder(args.work, kind, facts, args.minutes, args.retry)
    folder.prepare()
    for part in PARTS if args.part == "all" else (args.part,):
        if not _run_part(part, accelerator, folder):
            break
    return 0


def _run_part(part: str, accelerator: "Accelerator", folder: "StepFolder") -> bool:
    """Runs a part; False where the time was over first. What it held is gone afterwards."""
    return folder.run(part, _steps_of(part)(accelerator, folder.path))


def _steps_of(part: str) -> "Callable[[Accelerator, Path], list[Step]]":
    """What makes the steps of a part; imported here, since some import what others do without."""
    if part == "index":
        from index_part import index_steps

        return index_steps
    if part == "encode":
        from encode_part import encode_steps

        return encode_steps
    if part == "train":
        from train_part import train_steps

        return train_steps
    from see_part import see_steps

    return see_steps


def _report(args: argparse.Namespace) -> int:
    from gpu_report import publish

    publish(args.work, args.into, is_ours=args.into.resolve() == HERE / "README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
