"""``headgate ci login``: a job comes in with the identity token of its CI system, so that no secret is kept there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import httpx2
import typer

from libs.client.config import config_path, remember, resolve
from libs.client.errors import BadAnswer, UsageProblem
from libs.client.files import read_input
from libs.client.http import Client
from libs.client.session import Session, command
from libs.client.show import clean, when

VARIABLE = "HEADGATE_IDENTITY_TOKEN"
GITHUB_URL, GITHUB_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
GITHUB_ENV = "GITHUB_ENV"
HOW = (
    "No identity token is at hand. On GitHub give the job the permission id-token: write; on GitLab name one "
    f"{VARIABLE} under id_tokens; in a cluster give --token-file."
)

ci = typer.Typer(no_args_is_help=True, help="Pipelines: coming in without a secret.")


@command(ci, "login")
def login(
    session: Session,
    rule: Annotated[str | None, typer.Option("--rule", help="The rule that is meant, if several could fit.")] = None,
    audience: Annotated[
        str | None,
        typer.Option("--audience", help="For whom GitHub makes it (else: the gateway's address)."),
    ] = None,
    token_file: Annotated[
        str | None, typer.Option("--token-file", help="A file with the identity token; - is stdin.")
    ] = None,
    github: Annotated[
        bool,
        typer.Option("--github", help="Hand it to the steps that follow as HEADGATE_TOKEN, masked."),
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep it as login does, for the next commands.")] = False,
) -> None:
    """Get a token for minutes by the identity token of the CI's job. It stands alone on stdout: HEADGATE_TOKEN=$(…)."""
    url = resolve(session.url, {**os.environ, "HEADGATE_TOKEN": ""}).url
    identity = _identity(token_file, audience or url)
    with Client(url, None) as client:
        issued = client.exchange_identity(identity, rule)
    if issued.token is None:
        raise BadAnswer(f"The token's secret was not shown: {issued.note}")
    session.note(f"{clean(issued.username)} by the rule {clean(issued.rule or '?')}, until {when(issued.expires_at)}.")
    if keep:
        remember(config_path(os.environ), url, issued.token)
    elif github:
        _hand_over(session, issued.token)
    elif session.json:
        session.emit(issued.model_dump(mode="json"))
    else:
        session.text(issued.token)


def _hand_over(session: Session, token: str) -> None:
    place = os.environ.get(GITHUB_ENV)
    if not place:
        raise UsageProblem(f"--github is for jobs of GitHub Actions, where {GITHUB_ENV} names a file.")
    session.text(f"::add-mask::{token}")  # before it could stand anywhere
    with Path(place).open("a") as file:
        file.write(f"HEADGATE_TOKEN={token}\n")


def _identity(token_file: str | None, audience: str) -> str:
    """The identity token: of a file, of GitHub, or of the variable. Raises `UsageProblem`, `BadAnswer`."""
    if token_file is not None:
        return read_input(token_file).decode("ascii", "replace").strip()
    if told := os.environ.get(VARIABLE, "").strip():
        return told
    if os.environ.get(GITHUB_URL) and os.environ.get(GITHUB_TOKEN):
        return _of_github(os.environ[GITHUB_URL], os.environ[GITHUB_TOKEN], audience)
    raise UsageProblem(HOW)


def _of_github(url: str, request_token: str, audience: str) -> str:
    """GitHub gives it on request: docs.github.com, "OpenID Connect", getIDToken of its toolkit."""
    try:
        asked = httpx2.URL(url).copy_merge_params({"audience": audience})
        answer = httpx2.get(asked, headers={"Authorization": f"Bearer {request_token}"}, timeout=20)
        value = answer.raise_for_status().json()["value"]
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise BadAnswer(f"GitHub gave no identity token ({type(error).__name__}); {HOW}") from None
    return str(value)
