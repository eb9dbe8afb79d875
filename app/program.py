"""How the command that runs is called, for the commands that it proposes."""

import shlex
import shutil
import sys
from pathlib import Path

_NAME = "llm2comp"


def command() -> str:
    """`llm2comp` where the shell finds this one by that name, else the path by which it was called, quoted."""
    called = sys.argv[0] if sys.argv else ""
    if Path(called).stem != _NAME or Path(called).name == called:  # the page, a test, python -m
        return _NAME
    found = shutil.which(_NAME)
    try:
        if found and Path(found).samefile(called):
            return _NAME
    except OSError:  # gone since it was started
        return _NAME
    return shlex.quote(called)
