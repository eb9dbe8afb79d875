"""Encoder -> scores: task folders, the scoring protocol, baselines, public tasks, and the report."""
