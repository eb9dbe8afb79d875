"""Documents into passages by the encoder's own tokens."""
