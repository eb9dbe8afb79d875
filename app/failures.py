"""Keeps what went wrong behind a page: the log gets the traceback, the page an id to ask for."""

import logging
import secrets

_LOG = logging.getLogger("llm2comp.app")


def log_failure(error: BaseException) -> str:
    """Writes the traceback to the log under a new short id, and returns the id."""
    identifier = secrets.token_hex(4)
    _LOG.error("failure %s", identifier, exc_info=(type(error), error, error.__traceback__))
    return identifier
