"""What figures were measured on, as the head of every table. Does not judge whether the machine was quiet enough."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe(*packages: str) -> str:
    """A Markdown table of moment, commit, processor, memory, load average and versions.

    Args:
        packages: distributions whose versions matter, missing ones are said to be missing.
    """
    rows = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "processor": _processor(),
        "memory": _memory(),
        "load average at start": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(_version(name) for name in packages)]
        ),
    }
    return "\n".join(
        ["| machine | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    )


def commit() -> str:
    """The commit that is checked out, and how many files differ from it."""
    try:
        found = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
    files = len(changed.splitlines())
    return f"{found}, {files} files changed since" if files else found


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _processor() -> str:
    model, flags = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(
            (part.strip() for part in line.split(":", 1))
            for line in info.read_text().splitlines()
            if ":" in line
        )
        model = fields.get("model name", model)
        present = fields.get("flags", "").split()
        flags = ", " + (" ".join(flag for flag in _FLAGS if flag in present) or "no AVX")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores{flags}"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError):
        return "not known"


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"
