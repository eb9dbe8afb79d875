"""Starts the job that builds the demo corpus."""

import streamlit as st

from app import jobs, library, session
from encoder.errors import Llm2CompError

DEMO_TITLE = "Build the demo corpus"


def start_demo() -> None:
    """Starts the job, unless it is running already, and lets the next run show the jobs."""
    running = any(job.title == DEMO_TITLE and jobs.status(job) in jobs.ALIVE for job in jobs.all_jobs())
    if not running:
        try:
            jobs.start(DEMO_TITLE, ["demo", "--no-app"], library.collections_folder() / "demo")
        except Llm2CompError as error:
            session.notice(f"Not started: {error.what}; {error.fix}.")
    st.session_state[session.GO_TO] = "corpora"
