"""How long until `llm2comp --help` and a wrong option answer, beside a Python that does nothing?"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import report
from machine import ROOT, describe

_TARGET_S = 0.6
_HEAVY = (
    "torch",
    "faiss",
    "lance",
    "pandas",
    "streamlit",
    "transformers",
    "sentence_transformers",
    "pyarrow",
)
_CHECK = f"""
import sys
from app.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("loaded:", *[name for name in {_HEAVY!r} if name in sys.modules])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="repetitions of each (default: 10)")
    report.add_out(parser, "start")
    args = parser.parse_args()
    head = describe("llm2comp")
    script = Path(sys.executable).parent / "llm2comp"
    command = [str(script)] if script.exists() else [sys.executable, "-m", "app.cli"]
    # Name to command, the exit code that is right, and the arguments to check for heavy modules.
    cases: dict[str, tuple[list[str], int, list[str] | None]] = {
        "python -c pass": ([sys.executable, "-c", "pass"], 0, None),
        "llm2comp --help": ([*command, "--help"], 0, ["--help"]),
        "llm2comp search --help": ([*command, "search", "--help"], 0, ["search", "--help"]),
        "llm2comp search --nosuch (an argument error)": (
            [*command, "search", "--nosuch"],
            2,
            ["search", "--nosuch"],
        ),
        "llm2comp nosuch (an argument error)": ([*command, "nosuch"], 2, ["nosuch"]),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(args.rounds + 1):
        for name, (line, expected, _arguments) in cases.items():
            times[name].append(_time(line, expected))
    rows = []
    for name, (_line, _expected, arguments) in cases.items():
        runs = sorted(times[name][1:])  # the first brought the files into memory
        target = "" if arguments is None else f"<= {_TARGET_S} s: {report.verdict(median(runs) <= _TARGET_S)}"
        shown = [f"{value:.3f} s" for value in (median(runs), runs[0], runs[-1])]
        rows.append([name, *shown, "" if arguments is None else _heavy(arguments), target])
    header = ["command", "median", "fastest", "slowest", "heavy modules imported", "target"]
    note = f"{args.rounds} interleaved repetitions after one that was not counted; looked for {', '.join(_HEAVY)}."
    report.publish("Starting", [head, note, report.table(header, rows)], args.out)


def _time(line: list[str], expected: int) -> float:
    """Wall seconds of a command.

    Raises:
        SystemExit: it ended with another code than it should, so its time means nothing.
    """
    began = time.perf_counter()
    done = subprocess.run(line, cwd=ROOT, capture_output=True, check=False)
    spent = time.perf_counter() - began
    if done.returncode != expected:
        raise SystemExit(f"{' '.join(line[1:])} ended with {done.returncode}, expected {expected}")
    return spent


def _heavy(arguments: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _CHECK, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    last = done.stdout.splitlines()[-1]
    return last.removeprefix("loaded:").strip().replace(" ", ", ") or "none"


if __name__ == "__main__":
    main()
