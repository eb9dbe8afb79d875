"""Files of texts and pairs -> what a stage learns from."""
