"""Stage 1: memory tokens that stand for a text, judged by a decoder that reads them instead."""
