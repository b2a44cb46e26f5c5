"""``headgate login|logout|status|call|operations|command|up|migrate``."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.text import Text

from libs.client.config import config_path, forget, remember, resolve
from libs.client.errors import ClientError, UsageProblem
from libs.client.files import read_input
from libs.client.generated.places import places
from libs.client.http import Client, is_loopback
from libs.client.requests import fields_of, operation_named
from libs.client.session import Session, command
from libs.client.show import clean, facts, plain, table
from libs.common.contracts import CONTRACTS


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
) -> None:
    """Keep a token for a gateway. It is asked for, or read from stdin, and never stands on the command line."""
    url = resolve(session.url, {**os.environ, "HEADGATE_TOKEN": ""}).url
    token = _ask_token(url, token_file)
    if url.startswith("http://") and not is_loopback(url):
        session.note(f"headgate: {url} is not encrypted; whoever listens on the way can take the token.")
    with Client(url, token) as client:
        me = client.me()
    path = config_path(os.environ)
    remember(path, url, token)
    answer = {"url": url, "username": me.username, "role": me.role, "file": str(path)}
    session.emit(answer, Text(f"Logged in at {url} as {clean(me.username)} ({me.role}); the token is kept in {path}."))


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
    """Forget the token of a gateway (it stays valid until it is revoked)."""
    url = resolve(session.url, {**os.environ, "HEADGATE_TOKEN": ""}).url
    found = forget(config_path(os.environ), url)
    text = f"The token for {url} is forgotten." if found else f"There was no token for {url}."
    session.emit({"url": url, "forgotten": found}, Text(text))


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


def migrate(session: Session) -> NoReturn:
    """The admin step: schemas, roles and streams, on the servers of HEADGATE_ADMIN_DATABASE_URL and _NATS_URL."""
    become(session, "deploy.local", "migrate")


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
