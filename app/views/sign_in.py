"""What somebody sees who is not let in: the providers to sign in with, or that signing in was not enough."""

import streamlit as st

from app import mode
from app.display import clean_for_display, esc_md
from app.sign_in import SignIn, admits


def is_let_in() -> bool:
    """Whether this session may see anything: nobody signs in here, or this person did and is on the list."""
    settings = mode.current().sign_in
    return settings is None or (bool(st.user.get("is_logged_in")) and admits(settings, st.user.to_dict()))


def page() -> None:
    """Draws the page of somebody who is not let in."""
    settings = mode.current().sign_in
    if settings is None:
        return
    st.title("llm2comp", anchor=False)
    with st.container(border=True, key="sign_in"):
        if st.user.get("is_logged_in"):
            _draw_refusal()
        else:
            _draw_providers(settings)


def _draw_providers(settings: SignIn) -> None:
    st.text("Sign in to search.")
    for name, host in settings.providers.items():
        st.button(
            f"Sign in with {esc_md(name or host)}",
            icon=":material/login:",
            key=f"sign_in_{name}",
            type="primary",
            on_click=st.login,
            args=(name,) if name else (),
        )
    if dict(st.query_params):
        st.caption("The link that you followed is lost on the way: open it again once you are signed in.")


def _draw_refusal() -> None:
    st.text("You are signed in, and your address is not on the list of this server:")
    st.code(clean_for_display(str(st.user.get("email") or "(no address)")), language=None)
    if st.user.get("email_verified") is not True:
        st.text("The provider does not say that it has verified this address, so it does not count.")
    st.text("Ask whoever runs the server to add it.")
    st.button("Sign out", icon=":material/logout:", key="sign_out", on_click=st.logout)
