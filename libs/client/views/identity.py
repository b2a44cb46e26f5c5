"""Users, tokens and sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.errors import UsageProblem
from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, table, when
from libs.common.contracts.gateway.sites import SiteView
from libs.common.contracts.gateway.tokens import TokenIssued, TokenView
from libs.common.contracts.gateway.users import UserView


def token_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Tokens, one a line."""
    rows = [
        (one.token_id, one.username, one.label, one.sites, one.fingerprint, one.expires_at, _state(one))
        for one in read_as(list[TokenView], answer)
    ]
    session.emit(answer, table(("token", "user", "label", "scope", "fingerprint", "expires", "state"), rows))


def _state(token: TokenView) -> str:
    if token.revoked_at:
        return f"revoked {when(token.revoked_at)}"
    return f"last used {when(token.last_used_at)}" if token.last_used_at else "never used"


def issued(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The secret, alone on stdout. Raises `UsageProblem` if it was not shown."""
    token = read_as(TokenIssued, answer)
    if session.json:
        session.emit(answer)
        return
    if token.token is None:
        raise UsageProblem(f"The token's secret was not shown: {token.note}")
    session.note(f"Token {token.token_id} of {clean(token.username)}, until {when(token.expires_at)}; shown only now:")
    session.text(token.token)


def revoked(session: Session, answer: Any, fields: Mapping[str, Any]) -> None:
    """That a token is revoked."""
    session.emit(answer, Text(f"Token {fields['token_id']} is revoked."))


def user_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Users, one a line."""
    rows = [
        (user.username, user.display_name, user.role, user.sites, "active" if user.active else "inactive")
        for user in read_as(list[UserView], answer)
    ]
    session.emit(answer, table(("user", "name", "role", "scope", "state"), rows))


def site_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Sites, one a line."""
    rows = [(site.site, site.title, site.created_at) for site in read_as(list[SiteView], answer)]
    session.emit(answer, table(("site", "title", "created"), rows))


def site_created(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """That a site is created."""
    session.emit(answer, Text(f"The site {clean(read_as(SiteView, answer).site)} is created."))


View = Callable[[Session, Any, Mapping[str, Any]], int | None]
BY_OPERATION: dict[str, View] = {
    "gateway.token.revoke": revoked,
    "gateway.site.create": site_created,
}
BY_RESULT: dict[Any, View] = {
    TokenIssued: issued,
    list[TokenView]: token_list,
    list[UserView]: user_list,
    list[SiteView]: site_list,
}
