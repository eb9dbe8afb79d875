#!/bin/sh
# Makes or reuses .venv in the checkout: scripts/environment.sh EXTRA[,EXTRA]
# Prints what it does. Needs Python >= 3.11 with venv, and a package index that pip reaches.
set -eu
cd "$(dirname "$0")/.."
extras=$1

say() { printf '%s\n' "-- $*" >&2; }

# The newest Python of those that all wheels exist for, unless the caller names one.
find_python() {
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "Python >= 3.11 with venv is needed (Debian: apt install python3-venv), or name one: make PYTHON=/path/to/python"
    exit 1
}

has_gpu() { command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU; }

if [ ! -x .venv/bin/python ]; then
    python=$(find_python)
    say "making .venv with $("$python" --version)"
    "$python" -m venv .venv
fi

wanted="$extras $(cat pyproject.toml constraints.txt | cksum)"
if [ -f .venv/installed ] && [ "$(cat .venv/installed)" = "$wanted" ]; then
    exit 0
fi

say "installing packages: about 2 minutes when they are downloaded already, longer on a slow line"
if ! has_gpu && ! .venv/bin/python -c 'import torch' 2>/dev/null; then
    torch=$(grep '^torch==' constraints.txt)
    cpu_index=https://download.pytorch.org/whl/cpu
    if .venv/bin/python -c "import urllib.request as u; u.urlopen('$cpu_index/torch/', timeout=5)" 2>/dev/null; then
        say "no NVIDIA GPU here: taking torch's CPU build from PyTorch's own index"
        .venv/bin/python -m pip install --quiet --quiet --index-url "$cpu_index" "$torch" || true
    fi
    .venv/bin/python -c 'import torch' 2>/dev/null || .venv/bin/python -m pip install --quiet --quiet "$torch"
fi
.venv/bin/python -m pip install --quiet --quiet --constraint constraints.txt --editable ".[$extras]"
printf '%s' "$wanted" > .venv/installed
say "packages are installed"
