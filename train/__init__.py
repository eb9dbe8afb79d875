"""The stages of LLM2Comp and what makes the bundled encoder."""
