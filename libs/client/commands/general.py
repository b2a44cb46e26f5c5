"""``headgate login|logout|status|call|operations|command|up|migrate``."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.text import Text

from libs.client import logins
from libs.client.addresses import is_loopback
from libs.client.config import config_path, forget, remember, resolve
from libs.client.errors import BadAnswer, ClientError, UsageProblem
from libs.client.files import read_input
from libs.client.generated.places import places
from libs.client.http import Client
from libs.client.passwords import token_by_password, typed, typed_code
from libs.client.requests import fields_of, operation_named
from libs.client.session import Session, command
from libs.client.show import clean, facts, plain, table
from libs.common.contracts import CONTRACTS
from libs.common.contracts.gateway.me import Me


def add_to(app: typer.Typer) -> None:
    """Add the commands that belong to no group."""
    command(app, "login")(login)
    command(app, "logout")(logout)
    command(app, "status")(status)
    command(app, "up")(up)
    command(app, "migrate")(migrate)
    command(app, "operations")(operations)
    command(app, "call")(call)
    command(app, "command")(show_command)


def login(
    session: Session,
    token_file: Annotated[
        str | None, typer.Option("--token-file", help="A file that holds the token; - is stdin.")
    ] = None,
    username: Annotated[
        str | None,
        typer.Option("--user", help="Sign in as this user with a password, and keep a token of 12 hours."),
    ] = None,
    renewing: Annotated[
        bool,
        typer.Option("--renewing", help="Keep no token, but a login whose token lives for minutes and renews itself."),
    ] = False,
) -> None:
    """Keep a token for a gateway. It is asked for, or read from stdin, and never stands on the command line.

    With --user a password is asked for instead, and a token made. What renews a login (hg_r_…, of POST /api/logins) is
    taken as a token is.
    """
    url = resolve(session.url, {**os.environ, "HEADGATE_TOKEN": ""}).url
    if username is not None and token_file is not None:
        raise UsageProblem("Give a token (--token-file) or a user's name (--user), not both.")
    token = _ask_token(url, token_file) if username is None else _by_password(url, username)
    path = config_path(os.environ)
    if url.startswith("http://") and not is_loopback(url):
        session.note(f"headgate: {url} is not encrypted; whoever listens on the way can take the token.")
    place = logins.logins_path(path)
    if logins.is_refresh(token):
        with logins.taking_turns(place):
            logins.keep(place, url, logins.Login("", datetime.fromtimestamp(0, UTC), token))
        remember(path, url, None)
        me = _who(url, logins.Renewing(place, url))
    elif renewing:
        with Client(url, token) as client:
            view = client.open_login()
        with logins.taking_turns(place):
            logins.keep(place, url, logins.taken_over(view, view.refresh_token or ""))
        remember(path, url, None)
        me = _who(url, logins.Renewing(place, url))
    else:
        me = _who(url, token)
        remember(path, url, token)
        with logins.taking_turns(place):
            logins.keep(place, url, None)
    kept = "the token" if not (renewing or logins.is_refresh(token)) else "a login that renews itself"
    file = path if kept == "the token" else place
    answer = {"url": url, "username": me.username, "role": me.role, "file": str(file)}
    session.emit(answer, Text(f"Logged in at {url} as {clean(me.username)} ({me.role}); {kept} is kept in {file}."))


def _who(url: str, token: str | Callable[[], str]) -> Me:
    with Client(url, token) as client:
        return client.me()


def _by_password(url: str, username: str) -> str:
    if url.startswith("http://") and not is_loopback(url):
        raise UsageProblem(f"{url} is not encrypted, so no password is sent there; give an address with https://.")
    password, code = typed(f"Password of {username} for {url}"), typed_code()
    with Client(url, None) as client:
        issued = token_by_password(client, username, password, code)
    if issued.token is None:
        raise BadAnswer(f"The token's secret was not shown: {issued.note}")
    return issued.token


def _ask_token(url: str, token_file: str | None) -> str:
    if token_file is not None:
        token = read_input(token_file).decode("ascii", "replace")
    elif sys.stdin.isatty():
        try:
            token = getpass.getpass(f"Token for {url} (it is not shown): ")
        except EOFError:
            token = ""
    else:
        token = sys.stdin.readline(1000)
    if not token.strip():
        raise UsageProblem("No token was given; type it when asked, or pipe it in.")
    return token.strip()


def logout(session: Session) -> None:
    """Forget the token of a gateway (it stays valid until it is revoked); a login that renews itself is ended there."""
    url = resolve(session.url, {**os.environ, "HEADGATE_TOKEN": ""}).url
    path = config_path(os.environ)
    place = logins.logins_path(path)
    ended = url in logins.load(place)
    if ended:
        _end_login(session, place, url)
    found = forget(path, url) or ended
    text = f"The token for {url} is forgotten." if found else f"There was no token for {url}."
    session.emit({"url": url, "forgotten": found}, Text(text))


def _end_login(session: Session, place: Path, url: str) -> None:
    """End the login where it is, and forget it in any case."""
    try:
        with Client(url, logins.Renewing(place, url), attempts=1) as client:
            client.call("gateway.session.end", session_id=client.me().session_id)
    except ClientError as error:
        session.note(f"headgate: the login may go on at {url}, end it there (headgate sessions): {error}")
    with logins.taking_turns(place):
        logins.keep(place, url, None)


def status(session: Session) -> int:
    """Show whether everything works. Exit code 2: something does not."""
    code, report = session.client.document("/api/status", also=(503,))
    services = report.get("services", {}) if isinstance(report, dict) else {}
    checks = report.get("checks", {}) if isinstance(report, dict) else {}
    rows = [(name, plain(state)) for name, state in (*checks.items(), *services.items())]
    warnings = [Text(f"warning: {clean(text)}", style="yellow") for text in report.get("warnings", [])]
    session.emit(report, facts(rows), *warnings)
    return 0 if code == 200 else 2


def up(session: Session) -> NoReturn:
    """Run everything on this machine until Ctrl-C (as `make up`); data stay in .headgate/."""
    become(session, "deploy.local", "up")


def migrate(
    session: Session,
    narrow: Annotated[
        bool, typer.Option("--narrow", help="Take away what only services of other versions hear, once they are gone.")
    ] = False,
) -> NoReturn:
    """The admin step: schemas, roles and streams, on the servers of HEADGATE_ADMIN_DATABASE_URL and _NATS_URL."""
    become(session, "deploy.local", "migrate", *(["--narrow"] if narrow else []))


def become(session: Session, module: str, *arguments: str) -> NoReturn:
    """The tool must not import the part that deploys, so it becomes it: signals then reach it directly."""
    session.close()
    try:
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606
    except OSError as error:
        raise ClientError(f"Python can't be started again: {error.strerror}.") from error


def operations(session: Session) -> None:
    """List the operations that `headgate call` can call, from the contracts, and the command of each."""
    found: list[dict[str, Any]] = []
    for contract in CONTRACTS.values():
        for operation in contract.operations():
            if operation.http is not None:
                names = sorted(fields_of(*operation_named(operation.name)))
                found.append(
                    {"operation": operation.name, "command": places()[operation.name],
                     "method": operation.http.method, "path": operation.http.path,
                     "fields": names, "permission": operation.permission, "summary": operation.summary}
                )  # fmt: skip
    rows = [(one["operation"], one["command"], one["fields"], one["permission"], one["summary"]) for one in found]
    session.emit(found, table(("operation", "command", "fields", "permission", "what it does"), rows))


def call(
    session: Session,
    operation: Annotated[str, typer.Argument(help="Its name, such as gateway.user.create.")],
    fields: Annotated[list[str] | None, typer.Argument(help="field=text, or field:=JSON.")] = None,
    key: Annotated[str | None, typer.Option("--idempotency-key", help="The same key applies it once.")] = None,
) -> None:
    """Call any operation and print its answer as JSON."""
    values = dict(_pair(text) for text in fields or [])
    if session.site is not None:
        values.setdefault("site", session.site)
    answer = session.client.call(operation, idempotency_key=key, **values)
    session.text(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())


def _pair(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name.removesuffix(":"):
        raise UsageProblem(f"{text!r} is no field; write field=text, or field:=JSON.")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise UsageProblem(f"{name[:-1]}: {value!r} is not JSON ({error}).") from error


def show_command(
    session: Session,
    reference: Annotated[str, typer.Argument(help="<service>.<id>, as the tool or a 202 gave it.")],
) -> int:
    """Show what became of a command. Exit code 0: done, 1: refused, 2: not known yet."""
    if "/" in reference or ".." in reference:
        raise UsageProblem("A reference reads <service>.<id>.")
    _, outcome = session.client.document(f"/api/commands/{reference}")
    session.emit(outcome, facts([(name, value) for name, value in outcome.items() if name != "result"]))
    return {"done": 0, "refused": 1}.get(str(outcome.get("state")), 2)
