"""The stages: each a function that a recipe decides."""
