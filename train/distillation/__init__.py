"""A small encoder made from a teacher's vectors: the recipe of the bundled one."""
