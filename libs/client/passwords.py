"""Coming in with a password: a session for a moment, in which a token is made that the tool keeps."""

from __future__ import annotations

import getpass
import sys

from libs.client.errors import BadAnswer, UsageProblem
from libs.client.http import Client, read_as
from libs.common.contracts.gateway.passwords import SET_PATH, SIGN_IN_PATH, PasswordView
from libs.common.contracts.gateway.sessions import SessionOpened
from libs.common.contracts.gateway.tokens import TokenIssued

LABEL = "headgate login"
TOKEN_HOURS = 12
CSRF_HEADER = "X-CSRF-Token"


def token_by_password(client: Client, username: str, password: str, code: str) -> TokenIssued:
    """A token of 12 hours for a person with a password. The session that it took is ended again."""
    said = {"username": username, "password": password, **({"code": code} if code else {})}
    opened = read_as(SessionOpened, client.knock("POST", SIGN_IN_PATH, said))
    if opened.csrf_token is None:
        raise BadAnswer("The gateway opened a session and did not say how to use it; log in again.")
    word = {CSRF_HEADER: opened.csrf_token}
    try:
        body = {"label": LABEL, "expires_in_hours": TOKEN_HOURS}
        return read_as(TokenIssued, client.knock("POST", "/api/tokens", body, word))
    finally:
        client.knock("DELETE", f"/api/me/sessions/{opened.session_id}", {}, word)


def choose_password(client: Client, username: str, code: str, password: str) -> PasswordView:
    """The password that a person has chosen with the code of an administrator."""
    return read_as(
        PasswordView, client.knock("POST", SET_PATH, {"username": username, "code": code, "password": password})
    )


def typed(what: str) -> str:
    """A secret as a person types it, or a line of stdin; never from the command line. Raises `UsageProblem`."""
    try:
        text = getpass.getpass(f"{what} (it is not shown): ") if sys.stdin.isatty() else sys.stdin.readline(1_100)
    except EOFError:
        text = ""
    text = text.rstrip("\r\n")
    if not text:
        raise UsageProblem(f"{what} was not given; type it when asked, or pipe it in as a line.")
    return text


def typed_code() -> str:
    """The code of a second factor; empty: there is none."""
    try:
        text = input("Code of your second factor (none: Enter): ") if sys.stdin.isatty() else sys.stdin.readline(200)
    except EOFError:
        text = ""
    return text.strip()


def typed_fresh_code() -> str | None:
    """A code for what asks for a fresh one; None where no person sits before the tool, so that scripts never wait.

    The question goes to stderr: what stands on stdout may be piped on.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    sys.stderr.write("This asks for a fresh code of your second factor: ")
    sys.stderr.flush()
    return sys.stdin.readline(200).strip() or None


def typed_twice(what: str) -> str:
    """The same for a new one: on a terminal it is asked for again, since it can't be seen."""
    text = typed(what)
    if sys.stdin.isatty() and typed(f"{what}, once more") != text:
        raise UsageProblem("The two are not the same; try again.")
    return text
