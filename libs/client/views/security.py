"""How risky a site is run: the score, what gives its points, and the guards of the installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import plain, table
from libs.common.contracts.operations.security import Dashboard, Posture, Risk

_ORDER = ("critical", "warning", "ok")


def risk_line(found: Posture | Dashboard) -> Text:
    """Level and score, in a line."""
    risk = found.risk
    missing = "" if risk.complete else "; not all could be read"
    return Text.assemble(plain(risk.level), f"  risk of {found.site}: score {risk.score:g} of 100{missing}")


def why_rows(risk: Risk) -> list[tuple[Any, ...]]:
    """A line for each rule that gave points."""
    return [(one.rule, f"{one.points:g}", one.message, one.action) for one in risk.why]


def guard_rows(found: Posture) -> list[tuple[Any, ...]]:
    """A line for each guard, what is not ok first."""
    ordered = sorted(found.guards, key=lambda one: _ORDER.index(one.status))
    return [(one.id, one.status, one.message, "" if one.status == "ok" else one.action) for one in ordered]


def dashboard(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The dashboard: why, who did most of it, and the tokens that are meant."""
    found = read_as(Dashboard, answer)
    actors = [
        (one.actor, one.action_count, one.failed_count, one.refused_count, one.sensitive_count, one.off_hours_count)
        for one in found.top_actors
    ]
    named = [] if found.named_tokens is None else list(found.named_tokens)
    tokens = [(one.token_id, one.username, one.label, look) for look, items in named for one in items]
    session.emit(
        answer,
        risk_line(found),
        Text(),
        table(("rule", "points", "found", "do"), why_rows(found.risk)),
        Text(),
        table(("user", "commands", "failed", "refused", "sensitive", "off-hours"), actors),
        Text(),
        table(("token", "user", "label", "is"), tokens),
    )


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {Dashboard: dashboard}
