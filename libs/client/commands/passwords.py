"""``headgate passwords set|change``: what a person types about a password of their own."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.text import Text

from libs.client.config import resolve
from libs.client.http import Client, read_as
from libs.client.passwords import choose_password, typed, typed_twice
from libs.client.session import Session, command
from libs.client.show import clean, when
from libs.common.contracts.gateway.passwords import PasswordView

passwords = typer.Typer(no_args_is_help=True, help="Passwords, for people without a provider.")


@command(passwords, "set")
def set_password(session: Session, username: Annotated[str, typer.Argument(help="Your user's name.")]) -> None:
    """Choose a password with the code that an administrator gave you. Both are asked for, or read from stdin."""
    url = resolve(session.url, {**os.environ, "HEADGATE_TOKEN": ""}).url
    code, password = typed("Code"), typed_twice("New password")
    with Client(url, None) as client:
        _tell(session, choose_password(client, username, code, password))


@command(passwords, "change")
def change_password(session: Session) -> None:
    """Choose another password. Both are asked for, or read from stdin; your other sessions end."""
    current, password = typed("Present password"), typed_twice("New password")
    answer = session.client.call("gateway.password.change", current_password=current, password=password)
    _tell(session, read_as(PasswordView, answer))


def _tell(session: Session, view: PasswordView) -> None:
    since = when(view.set_at) if view.set_at else "now"
    session.emit(view.model_dump(mode="json"), Text(f"The password of {clean(view.username)} is good since {since}."))
