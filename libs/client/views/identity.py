"""Users, service accounts, tokens and sites."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rich.text import Text

from libs.client.config import config_path, load, resolve, save
from libs.client.errors import UsageProblem
from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, table, when
from libs.common.contracts.gateway.accounts import AccountView
from libs.common.contracts.gateway.rights import PermissionAnswer
from libs.common.contracts.gateway.sites import SiteView
from libs.common.contracts.gateway.tokens import TokenIssued, TokensRevoked, TokenView
from libs.common.contracts.gateway.users import UserShown


def token_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Tokens, one a line."""
    rows = [
        (one.token_id, one.username, one.label, one.sites, _bounds(one), one.fingerprint, one.expires_at, _state(one))
        for one in read_as(list[TokenView], answer)
    ]
    session.emit(answer, table(("token", "user", "label", "scope", "only", "fingerprint", "expires", "state"), rows))


def _bounds(token: TokenView) -> list[str]:
    return [*(token.permissions or ()), *(token.subjects or ()), *(token.cidrs or ())]


def _state(token: TokenView) -> str:
    if token.revoked_at:
        reason = f" ({token.revoked_reason})" if token.revoked_reason not in (None, "asked") else ""
        return f"revoked {when(token.revoked_at)}{reason}"
    if token.rotated_to:
        return f"rotated to {token.rotated_to}"
    if token.last_used_at is None:
        return "never used"
    return f"last used {when(token.last_used_at)}" + (
        f" from {token.last_used_address}" if token.last_used_address else ""
    )


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


def rotated(session: Session, answer: Any, fields: Mapping[str, Any]) -> None:
    """The new secret, like `issued`; it is kept first where the tool keeps the old one. Raises `UsageProblem`."""
    token, path = read_as(TokenIssued, answer), config_path(os.environ)
    target, kept = resolve(session.url, os.environ), load(path)
    if token.token is not None:
        old = kept.tokens.get(target.url)
        if old is not None and fingerprint_of(old) == token.replaces:
            save(path, replace(kept, tokens={**kept.tokens, target.url: token.token}))
            session.note(f"The tool uses the new token at {target.url} from now on.")
        if os.environ.get("HEADGATE_TOKEN") and fingerprint_of(target.token or "") == token.replaces:
            session.note("HEADGATE_TOKEN holds the old token; put the new one there.")
    issued(session, answer, fields)


def fingerprint_of(secret: str) -> str:
    """A token's fingerprint, as lists show it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


def all_revoked(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Which tokens of a user are revoked."""
    done = read_as(TokensRevoked, answer)
    numbers = ", ".join(str(number) for number in done.token_ids) or "none, since none worked"
    ended = ", ".join(str(number) for number in done.session_ids)
    said = f" Sessions that are ended: {ended}." if ended else ""
    session.emit(answer, Text(f"Tokens of {clean(done.username)} that are revoked: {numbers}.{said}"))


def revoked(session: Session, answer: Any, fields: Mapping[str, Any]) -> None:
    """That a token is revoked."""
    session.emit(answer, Text(f"Token {fields['token_id']} is revoked."))


def user_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Users, one a line."""
    rows = [
        (user.username, user.display_name, user.role, user.sites, "active" if user.active else "inactive")
        for user in read_as(list[UserShown], answer)
    ]
    session.emit(answer, table(("user", "name", "role", "scope", "state"), rows))


def account_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Service accounts, one a line."""
    rows = [
        (one.name, one.purpose, one.owner, one.role, one.sites, one.live_token_count, _standing(one), one.last_used_at)
        for one in read_as(list[AccountView], answer)
    ]
    heads = ("account", "for", "owner", "role", "scope", "tokens", "state", "last used")
    session.emit(answer, table(heads, rows))


def _standing(account: AccountView) -> str:
    if not account.active:
        return "inactive"
    return "orphaned: give it another owner" if account.orphaned else "active"


def site_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Sites, one a line."""
    rows = [(site.site, site.title, site.created_at) for site in read_as(list[SiteView], answer)]
    session.emit(answer, table(("site", "title", "created"), rows))


def site_created(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """That a site is created."""
    session.emit(answer, Text(f"The site {clean(read_as(SiteView, answer).site)} is created."))


def may(session: Session, answer: Any, _fields: Mapping[str, Any]) -> int:
    """Yes or no, and each reason; the exit code says it, too."""
    told = read_as(PermissionAnswer, answer)
    head = Text("yes" if told.allowed else "no", style="green" if told.allowed else "red")
    head.append(f": {clean(told.because)}", style="default")
    rows = [("yes" if one.allowed else "no", one.by, one.text) for one in told.reasons]
    session.emit(answer, head, table(("", "by", "why"), rows))
    return 0 if told.allowed else 1


View = Callable[[Session, Any, Mapping[str, Any]], int | None]
BY_OPERATION: dict[str, View] = {
    "gateway.token.revoke": revoked,
    "gateway.token.rotate": rotated,
    "gateway.tokens.revoke": all_revoked,
    "gateway.site.create": site_created,
}
BY_RESULT: dict[Any, View] = {
    TokenIssued: issued,
    list[TokenView]: token_list,
    list[UserShown]: user_list,
    list[AccountView]: account_list,
    list[SiteView]: site_list,
    PermissionAnswer: may,
}
