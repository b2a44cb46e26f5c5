"""Share links."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from libs.client.config import resolve
from libs.client.errors import UsageProblem
from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, table, when
from libs.common.contracts.gateway.shares import ShareIssued, ShareUse, ShareView


def share_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Links, one a line."""
    heads = ("share", "shows", "of", "by", "for", "used", "until", "state")
    rows = [
        (one.share_id, one.kind, _of(one), one.created_by, one.label, f"{one.use_count}/{one.max_uses}", one.expires_at,
         f"revoked {when(one.revoked_at)} by {one.revoked_by}" if one.revoked_at else "")
        for one in read_as(list[ShareView], answer)
    ]  # fmt: skip
    session.emit(answer, table(heads, rows))


def _of(share: ShareView) -> str:
    parts = (share.gate, share.run_id and f"run {share.run_id}", share.subject, share.version, share.line)
    return " ".join(str(part) for part in parts if part)


def issued(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The link, alone on stdout. Raises `UsageProblem` if it was not shown."""
    share = read_as(ShareIssued, answer)
    if session.json:
        session.emit(answer)
        return
    if share.token is None:
        raise UsageProblem(f"The link was not shown: {share.note}")
    session.note(
        f"Share {share.share_id} shows a {share.kind} ({clean(_of(share))}), until {when(share.expires_at)} and at "
        f"most {share.max_uses} times; the link is shown only now:"
    )
    session.text(f"{resolve(session.url, os.environ).url.rstrip('/')}{share.path}{share.token}")


def uses(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """When and from where a link was opened."""
    rows = [(one.use, one.at, one.address, one.agent) for one in read_as(list[ShareUse], answer)]
    session.emit(answer, table(("use", "at", "from", "with"), rows))


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    list[ShareView]: share_list,
    ShareIssued: issued,
    list[ShareUse]: uses,
}
