"""Keeps what went wrong behind a page: the log gets the traceback, the page an id to ask for."""

import logging
import secrets

from app.display import clean_for_display
from encoder.errors import Llm2CompError

_LOG = logging.getLogger("llm2comp.app")


def log_failure(error: BaseException) -> str:
    """Writes the error to the log under a new short id, a traceback only for what is our fault; returns the id."""
    identifier = secrets.token_hex(4)
    if isinstance(error, Llm2CompError):
        _LOG.warning("failure %s: %s", identifier, clean_for_display(str(error)))
        return identifier
    _LOG.error("failure %s", identifier, exc_info=(type(error), error, error.__traceback__))
    return identifier
