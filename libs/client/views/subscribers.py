"""Subscribers on the bus and how far they are behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, facts, table, when
from libs.common.contracts.gateway.subscribers import SubscriberView


def subscriber_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Subscribers, one a line."""
    rows = [
        (one.user, one.name, one.owner, one.sites, one.types, one.pending_count, one.unacked_count,
         when(one.last_ack_at) if one.last_ack_at else "never", _state(one))
        for one in read_as(list[SubscriberView], answer)
    ]  # fmt: skip
    columns = ("user", "name", "owner", "sites", "types", "behind", "not acknowledged", "last ack", "state")
    session.emit(answer, table(columns, rows) if rows else Text("There is no subscriber."))


def subscriber(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """What one needs to log in."""
    one = read_as(SubscriberView, answer)
    rows = [("user", one.user), ("password", f"a token of {clean(one.owner)}"), ("stream and durable",
            f"{one.stream}, {one.user}"), ("inbox prefix", one.inbox_prefix), ("state", _state(one))]  # fmt: skip
    session.emit(answer, facts(rows))


def _state(one: SubscriberView) -> str:
    if one.removed_at:
        return f"removed {when(one.removed_at)}"
    if one.gap_at and one.gap_before_seq is not None:
        return f"missed events before {one.gap_before_seq} ({when(one.gap_at)})"
    return "ready" if one.made_at else "being made"


View = Callable[[Session, Any, Mapping[str, Any]], int | None]
BY_RESULT: dict[Any, View] = {SubscriberView: subscriber, list[SubscriberView]: subscriber_list}
