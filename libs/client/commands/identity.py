"""``headgate tokens|users|sites …`` and ``headgate me``: who may do what where."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from libs.client.errors import UsageProblem
from libs.client.http import given, read_as
from libs.client.session import Session, command
from libs.client.show import clean, facts, table, when
from libs.common.contracts.gateway.me import Me
from libs.common.contracts.gateway.sites import SiteView
from libs.common.contracts.gateway.tokens import TokenIssued, TokenView
from libs.common.contracts.gateway.users import UserView

tokens = typer.Typer(no_args_is_help=True, help="Tokens.")
users = typer.Typer(no_args_is_help=True, help="Users, their roles and scopes.")
sites = typer.Typer(no_args_is_help=True, help="Sites.")

ScopeOption = Annotated[list[str] | None, typer.Option("--scope", help="A site, or * for all; may be repeated.")]
RoleOption = Annotated[str | None, typer.Option("--role", help="owner, manager, operator, auditor or viewer.")]
NameOption = Annotated[str | None, typer.Option("--name", help="The name that people read.")]
UserArgument = Annotated[str, typer.Argument(help="The user's name: a-z, 0-9 and -.")]


def show_me(session: Session) -> None:
    """Show who you are, what you may do, and where."""
    answer = session.client.call("gateway.me.get")
    session.emit(answer, facts(list(read_as(Me, answer))))


@command(tokens, "list")
def list_tokens(
    session: Session, user: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None
) -> None:
    """List tokens, never their secrets."""
    answer = session.client.call("gateway.tokens.list", **given(username=user))
    rows = [
        (one.token_id, one.username, one.label, one.sites, one.fingerprint, one.expires_at, _state(one))
        for one in read_as(list[TokenView], answer)
    ]
    session.emit(answer, table(("token", "user", "label", "scope", "fingerprint", "expires", "state"), rows))


def _state(token: TokenView) -> str:
    if token.revoked_at:
        return f"revoked {when(token.revoked_at)}"
    return f"last used {when(token.last_used_at)}" if token.last_used_at else "never used"


@command(tokens, "issue")
def issue_token(
    session: Session,
    label: Annotated[str, typer.Argument(help="What it is for.")],
    user: Annotated[str | None, typer.Option("--user", help="For this user (else: yourself).")] = None,
    scope: ScopeOption = None,
    hours: Annotated[int, typer.Option("--hours", min=1, max=8760, help="How long it works.")] = 720,
) -> None:
    """Issue a token. It is printed once, alone on stdout, and never again."""
    fields = given(username=user, sites=scope)
    answer = session.client.call("gateway.token.issue", label=label, expires_in_hours=hours, **fields)
    token = read_as(TokenIssued, answer)
    if session.json:
        session.emit(answer)
        return
    if token.token is None:
        raise UsageProblem(f"The token's secret was not shown: {token.note}")
    session.note(f"Token {token.token_id} of {clean(token.username)}, until {when(token.expires_at)}; shown only now:")
    session.text(token.token)


@command(tokens, "revoke")
def revoke_token(session: Session, token_id: Annotated[int, typer.Argument(help="The token's number.")]) -> None:
    """Revoke a token; it stops working everywhere within 5 seconds."""
    answer = session.client.call("gateway.token.revoke", token_id=token_id)
    session.emit(answer, Text(f"Token {token_id} is revoked."))


@command(users, "list")
def list_users(session: Session) -> None:
    """List the users."""
    answer = session.client.call("gateway.users.list")
    rows = [
        (user.username, user.display_name, user.role, user.sites, "active" if user.active else "inactive")
        for user in read_as(list[UserView], answer)
    ]
    session.emit(answer, table(("user", "name", "role", "scope", "state"), rows))


@command(users, "create")
def create_user(
    session: Session,
    username: UserArgument,
    role: Annotated[str, typer.Option("--role", help="owner, manager, operator, auditor or viewer.")],
    scope: ScopeOption = None,
    name: NameOption = None,
) -> None:
    """Create a user."""
    fields = given(sites=scope, display_name=name)
    answer = session.client.call("gateway.user.create", username=username, role=role, **fields)
    session.emit(answer, facts(list(read_as(UserView, answer))))


@command(users, "patch")
def patch_user(
    session: Session,
    username: UserArgument,
    role: RoleOption = None,
    scope: ScopeOption = None,
    name: NameOption = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="May the user come in?")] = None,
) -> None:
    """Change a user's role, scope, name or state."""
    fields = given(role=role, sites=scope, display_name=name, active=active)
    if not fields:
        raise UsageProblem("Nothing to change; give --role, --scope, --name, --active or --inactive.")
    answer = session.client.call("gateway.user.patch", username=username, **fields)
    session.emit(answer, facts(list(read_as(UserView, answer))))


@command(sites, "list")
def list_sites(session: Session) -> None:
    """List the sites that you may see."""
    answer = session.client.call("gateway.sites.list")
    rows = [(site.site, site.title, site.created_at) for site in read_as(list[SiteView], answer)]
    session.emit(answer, table(("site", "title", "created"), rows))


@command(sites, "create")
def create_site(
    session: Session,
    name: Annotated[str, typer.Argument(help="Its name: a-z, 0-9 and -.")],
    title: Annotated[str | None, typer.Option("--title", help="The title that people read (else: the name).")] = None,
) -> None:
    """Create a site."""
    answer = session.client.call("gateway.site.create", site=name, title=title or name)
    session.emit(answer, Text(f"The site {clean(read_as(SiteView, answer).site)} is created."))
