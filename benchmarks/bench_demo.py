"""How long does `make demo NO_APP=1` take in a fresh clone until the first search answers?

Clones the committed state, so what is not committed is not measured. The first clone may still download packages;
the second finds them in pip's cache.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report
from machine import ROOT, describe

_ANSWER = "first answers"
_TARGET_S = 240


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--clones", type=int, default=2, help="fresh clones, one after the other (default: 2)"
    )
    parser.add_argument(
        "--where", type=Path, metavar="DIR", help="for the clones: about 3 GB (default: temporary)"
    )
    report.add_out(parser, "demo")
    args = parser.parse_args()
    head = describe("llm2comp")
    rows = []
    for number in range(1, args.clones + 1):
        with tempfile.TemporaryDirectory(dir=args.where) as folder:
            clone = Path(folder) / "clone"
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
            rows.append([f"fresh clone {number}", *_figures(clone, has_target=number > 1)])
            if number == args.clones:
                rows.append(["the same command again there", *_figures(clone, has_target=False)])
    note = "`make demo NO_APP=1` on the commit above, each clone with its own virtual environment and LLM2COMP_HOME."
    header = ["run", "until the packages are installed", "until the first answer", "target"]
    report.publish("The demo in a fresh clone", [head, note, report.table(header, rows)], args.out)


def _figures(clone: Path, *, has_target: bool) -> list[str]:
    installed, answered = _demo(clone)
    target = f"<= {_TARGET_S} s: {report.verdict(answered <= _TARGET_S)}" if has_target else ""
    return ["were there" if installed is None else f"{installed:.0f} s", f"{answered:.0f} s", target]


def _demo(clone: Path) -> tuple[float | None, float]:
    """Seconds until the packages are installed (None: they were), and until the first search answered.

    Raises:
        SystemExit: the command failed, or never answered.
    """
    environment = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    environment |= {"LLM2COMP_HOME": str(clone.parent / "home"), "PYTHONUNBUFFERED": "1"}
    began = time.monotonic()
    installed = answered = None
    with subprocess.Popen(
        ["make", "demo", "NO_APP=1"],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None  # a pipe was asked for
        for line in process.stdout:
            sys.stderr.write(line)
            if installed is None and "packages are installed" in line:
                installed = time.monotonic() - began
            if answered is None and _ANSWER in line:
                answered = time.monotonic() - began
    if process.returncode or answered is None:
        raise SystemExit(f"make demo ended with {process.returncode} and {'an' if answered else 'no'} answer")
    return installed, answered


if __name__ == "__main__":
    main()
