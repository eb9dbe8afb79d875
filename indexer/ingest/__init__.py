"""Documents into rows: compared with what is known, cut, encoded, committed."""
