"""Writes `sha256.json` of the bundled encoder; run it after changing one of its files by hand.

    .venv/bin/python scripts/write_checksums.py

`save_encoder` writes it by itself; without a fresh one the program says that the encoder is damaged.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from encoder.shipped import write_sums  # noqa: E402

if __name__ == "__main__":
    write_sums(ROOT / "encoder" / "bundled")
