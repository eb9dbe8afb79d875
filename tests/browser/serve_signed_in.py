"""Serves the app with sign-in: `python serve_signed_in.py PORT AUTH_FILE`, address on stdout."""

import sys
from pathlib import Path

from app.server import serve

if __name__ == "__main__":
    raise SystemExit(serve([], port=int(sys.argv[1]), open_browser=False, auth=Path(sys.argv[2])))
