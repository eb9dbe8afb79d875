#!/bin/sh
# Makes an environment for measure.py on a bare machine with CUDA and Python:
#   benchmarks/gpu/setup.sh [--python PYTHON] [--wheels DIR] [--venv DIR] [--gather]
#
#   --python PYTHON  its packages are used where they are there already (torch with CUDA); nothing in it is changed
#   --wheels DIR     offline: install from this folder alone. A wheel may come in pieces, NAME.whl.part-aa, -ab, ...
#   --venv DIR       of the environment, default runs/gpu/venv; wheels are kept in DIR/wheels
#   --gather         only keep the wheels and pieces, for a machine to which they come in several calls
#
# What is optional and missing is said and is no error. The last line names the Python to start measure.py with.
set -eu

say() { printf '%s\n' "-- $*" >&2; }
absolute() { (cd "$1" && pwd); }

python= wheels= venv= gather=
while [ $# -gt 0 ]; do
    case $1 in
        --python) python=$2; shift 2 ;;
        --wheels) wheels=$(absolute "$2"); shift 2 ;;
        --venv) mkdir -p "$2"; venv=$(absolute "$2"); shift 2 ;;
        --gather) gather=yes; shift ;;
        *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
cd "$(dirname "$0")/../.."
[ -n "$venv" ] || { mkdir -p runs/gpu/venv; venv=$(absolute runs/gpu/venv); }

if [ -n "$wheels" ]; then
    mkdir -p "$venv/wheels"
    cp "$wheels"/*.whl "$wheels"/*.whl.part-* "$venv/wheels/" 2>/dev/null || true
    say "$(find "$venv/wheels" -type f | wc -l) wheels and pieces are kept"
fi
[ -z "$gather" ] || exit 0
for first in "$venv"/wheels/*.whl.part-aa; do
    [ -e "$first" ] || continue
    cat "${first%aa}"* > "${first%.part-aa}"
    rm "${first%aa}"*
done

# A Python that was named must do; else the first that is new enough.
for candidate in ${python:-python3.13 python3.12 python3.11 python3}; do
    if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        base=$(command -v "$candidate")
        break
    fi
done
[ -n "${base:-}" ] || { say "Python >= 3.11 with venv is needed; name one: --python PYTHON"; exit 1; }

if [ ! -x "$venv/bin/python" ]; then
    say "making $venv with $("$base" --version)"
    "$base" -m venv "$venv" 2>/dev/null || "$base" -m venv --clear --without-pip "$venv"
fi
if [ -n "$python" ]; then
    # Not --system-site-packages: that would pass over the packages of a Python that is itself in an environment.
    own=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$base" -c 'import sysconfig as s; print(s.get_path("purelib")); print(s.get_path("platlib"))' > "$own/base.pth"
fi
py=$venv/bin/python
pip() { "$py" -m pip "$@" --quiet --disable-pip-version-check; }
has_gpu() { command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU; }
torch_has_cuda() { "$py" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; }

if [ -n "$wheels" ]; then
    say "installing what $venv/wheels holds"
    for wheel in "$venv"/wheels/*.whl; do
        case ${wheel##*/} in faiss* | nvidia_*) continue ;; esac
        pip install --no-index --no-deps --no-compile "$wheel" || say "not installed: ${wheel##*/}"
    done
else
    say "installing packages from the index"
    if torch_has_cuda; then grep -v '^torch==' constraints.txt; else cat constraints.txt; fi > "$venv/constraints.txt"
    pip install --constraint "$venv/constraints.txt" --editable '.[train]' || say "the packages could not all be installed"
fi

# With dependencies: the nvidia cu12 wheels that faiss-gpu loads its libraries from.
install_faiss() {
    if [ -n "$wheels" ]; then
        pip install --no-index --find-links "$venv/wheels" "$@" 2>"$venv/faiss.log"
    else
        pip install "$@" 2>"$venv/faiss.log"
    fi
}
last_line() { grep -v '^ *$' "$venv/faiss.log" | tail -n 1; }

why=
if ! has_gpu; then
    why="nvidia-smi lists no GPU"
elif ! install_faiss 'faiss-gpu>=1.15,<1.16'; then
    why="it could not be installed: $(last_line)"
elif ! "$py" -c 'import sys, faiss; sys.exit("it sees no GPU" if faiss.get_num_gpus() < 1 else 0)' 2>"$venv/faiss.log"; then
    why="it cannot be used: $(last_line)"
fi
if [ -n "$why" ]; then
    say "FAISS-GPU: not run ($why); faiss-cpu takes its place"
    pip uninstall --yes faiss-gpu >/dev/null 2>&1 || true
    "$py" -c 'import faiss' 2>/dev/null || install_faiss 'faiss-cpu>=1.15,<1.16' || say "faiss-cpu: not installed: $(last_line)"
fi

"$py" - <<'CHECK' >&2
import importlib

NEEDED = {
    "torch": "everything", "numpy": "everything", "faiss": "index, neighbours", "lance": "index product",
    "pyarrow": "index product", "transformers": "encode, train", "sentence_transformers": "encode, train",
    "peft": "train", "scipy": "see",
}
for name, parts in NEEDED.items():
    try:
        importlib.import_module(name)
    except Exception as error:  # a library that is half there raises what it likes
        print(f"-- {name} is missing, without which is not run: {parts} ({str(error).splitlines()[0][:120]})")
try:
    import torch

    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA device"
    print(f"-- torch {torch.__version__}: {name}")
except ImportError:
    pass
CHECK
printf '%s\n' "$py"
