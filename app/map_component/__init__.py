"""The map in the browser: a Streamlit component of ours, drawn on Canvas 2D; `mount.py` is its Python side."""
