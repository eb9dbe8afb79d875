"""What lies on disk and is the truth: rows, settings, publications, the writer's lock."""
