"""Vectors in files that FAISS searches: built from the rows, opened, searched."""
