"""What a person sees of an answer: by operation where that says more, else by the result's type, else in general."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from libs.client.session import Session
from libs.client.views import (
    approvals,
    audit,
    autopilot,
    escalation,
    facts,
    gate,
    general,
    guard,
    identity,
    items,
    kpi,
    notifications,
    operations,
    people,
    policies,
    quality,
    security,
    sessions,
    shares,
    signals,
    subscribers,
    waivers,
)
from libs.common.contracts.base import Operation

# Session, the answer as it came, and the fields that were sent; the result is the exit code (None: 0).
View = Callable[[Session, Any, Mapping[str, Any]], int | None]

BY_OPERATION: dict[str, View] = {**items.BY_OPERATION, **identity.BY_OPERATION}
BY_RESULT: dict[Any, View] = {
    **gate.BY_RESULT,
    **items.BY_RESULT,
    **kpi.BY_RESULT,
    **escalation.BY_RESULT,
    **autopilot.BY_RESULT,
    **identity.BY_RESULT,
    **people.BY_RESULT,
    **policies.BY_RESULT,
    **signals.BY_RESULT,
    **audit.BY_RESULT,
    **waivers.BY_RESULT,
    **approvals.BY_RESULT,
    **facts.BY_RESULT,
    **subscribers.BY_RESULT,
    **guard.BY_RESULT,
    **notifications.BY_RESULT,
    **operations.BY_RESULT,
    **quality.BY_RESULT,
    **security.BY_RESULT,
    **sessions.BY_RESULT,
    **shares.BY_RESULT,
}


def view_of(operation: Operation) -> View:
    """The view of an operation's answers."""
    return BY_OPERATION.get(operation.name) or BY_RESULT.get(operation.result) or general.of(operation.result)
