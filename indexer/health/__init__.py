"""How the embedding space of a collection, or of a file of vectors, does: measured, judged, explained."""
