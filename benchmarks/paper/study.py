"""The paper's questions at a small scale: trains and scores every encoder of the study, resumable, offline.

    python benchmarks/paper/study.py --data DIR --eval SETS --work runs/paper
    python benchmarks/paper/study.py --work runs/paper --report    (what is measured so far)
    python benchmarks/paper/study.py --small --work runs/trial     (a minute, on made texts: shows that it works)

The first form ends with the second, which writes README.md, results.json and img/. README.md says what is asked and
what came out.
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from child import one_thread  # noqa: E402
from plan import PARTS, in_order, make_plan  # noqa: E402
from scale import SCALES  # noqa: E402


def main() -> int:
    """Runs the study or reports it; 0, 1 for a known failure, 130 when interrupted."""
    args = _arguments()
    one_thread()
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    from work import say_stopped

    from encoder.errors import Llm2CompError

    try:
        return _run(args)
    except (KeyboardInterrupt, Llm2CompError) as error:
        say_stopped(error)
        return 130 if isinstance(error, KeyboardInterrupt) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of text*.parquet and pairs*.parquet")
    parser.add_argument("--eval", type=Path, help="folder of development sets, as for llm2comp eval")
    parser.add_argument("--work", type=Path, default=Path("runs/paper"), help="(default: runs/paper)")
    parser.add_argument("--seeds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)} (default: all)")
    parser.add_argument("--small", action="store_true", help="the same steps on almost nothing, as a trial")
    parser.add_argument("--report", action="store_true", help="train nothing, report what is measured")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of the report (default: this one)")
    args = parser.parse_args()
    args.parts = args.only.split(",")
    if unknown := sorted(set(args.parts) - set(PARTS)):
        parser.error(f"--only: there is no part {unknown[0]}; there are {', '.join(PARTS)}")
    if args.seeds < 1:
        parser.error("--seeds: 1 or more")
    if not (args.report or args.small) and (args.data is None or args.eval is None):
        parser.error("--data and --eval are needed, or --report")
    if args.small and args.to == HERE:
        args.to = args.work / "report"  # made figures have no place beside measured ones
    return args


def _run(args: argparse.Namespace) -> int:
    from publish import publish
    from results import collect

    from encoder.config import POOLINGS

    scale = SCALES["small" if args.small else "real"]
    if not args.report:
        import torch
        from development import read_parts
        from made import make_material
        from work import Study

        torch.set_num_threads(1)
        data, sets = args.data, args.eval
        if data is None or sets is None:
            data, sets = make_material(args.work / "made")
        study = Study(args.work, data, scale, read_parts(sets, scale))
        study.begin()
        study.run(in_order(make_plan(scale, args.seeds, POOLINGS, args.parts)))
    publish(collect(args.work, scale, args.seeds, POOLINGS), args.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
