"""Subscriptions and deliveries: what is sent to whom, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import facts, table
from libs.common.contracts.base import Page
from libs.common.contracts.notifier.channels import ChannelView
from libs.common.contracts.notifier.deliveries import DeliveryDetail, DeliveryView
from libs.common.contracts.notifier.subscriptions import SubscriptionIssued, SubscriptionView


def subscription(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """One subscription; its secret, if this is the answer that shows it."""
    one = read_as(SubscriptionIssued, answer)
    pairs: list[tuple[str, Any]] = [
        ("subscription", one.subscription_id), ("name", one.name), ("state", _state(one)), ("sends", _what(one)),
        ("to", one.endpoint or one.channel), ("owner", one.owner), ("condition", one.condition),
        ("signing secret", one.signing_secret), ("the one before signs until", one.previous_until), ("note", one.note),
    ]  # fmt: skip
    session.emit(answer, facts([pair for pair in pairs if pair[1] not in ("", None)]))
    if one.signing_secret and not session.json:
        session.emit(None, Text(), Text("This secret is shown once: give it to the receiver now."))


def subscription_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Subscriptions, one a line."""
    rows = [
        (one.subscription_id, _state(one), one.name, _what(one), one.endpoint or one.channel, one.owner)
        for one in read_as(Page[SubscriptionView], answer).items
    ]
    session.emit(answer, table(("subscription", "state", "name", "sends", "to", "owner"), rows))


def delivery(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """One delivery and its attempts."""
    one = read_as(DeliveryDetail, answer)
    pairs: list[tuple[str, Any]] = [
        ("delivery", one.delivery_id), ("state", one.state), ("event", f"{one.event_name} {one.event_id}"),
        ("to", one.endpoint), ("webhook-id", one.webhook_id), ("next try", one.due_at), ("problem", one.error),
        ("answer", one.answer_head),
    ]  # fmt: skip
    session.emit(answer, facts([pair for pair in pairs if pair[1] not in ("", None)]))
    if not session.json:
        rows = [(each.at, each.http_status or "", _ms(each.took_ms), each.error or "") for each in one.attempts]
        session.emit(None, Text(), table(("tried", "status", "took", "problem"), rows))


def delivery_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Deliveries, one a line."""
    rows = [
        (one.delivery_id, one.state, one.subscription_id or one.purpose, one.event_name, one.created_at,
         one.attempt_count, one.http_status or "", one.due_at or "", one.error or "")
        for one in read_as(Page[DeliveryView], answer).items
    ]  # fmt: skip
    columns = ("delivery", "state", "subscription", "event", "made", "tries", "status", "next try", "problem")
    session.emit(answer, table(columns, rows))


def channel(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """One channel."""
    one = read_as(ChannelView, answer)
    pairs: list[tuple[str, Any]] = [
        ("channel", one.channel_id), ("name", one.name), ("kind", one.kind), ("state", _state(one)),
        ("leads to", one.address_shown), ("language", one.language), ("whose", one.person or one.site),
        ("changed by", one.changed_by),
    ]  # fmt: skip
    session.emit(answer, facts(pairs))


def channel_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Channels, one a line."""
    rows = [
        (one.channel_id, _state(one), one.name, one.kind, one.address_shown, one.language)
        for one in read_as(Page[ChannelView], answer).items
    ]
    session.emit(answer, table(("channel", "state", "name", "kind", "leads to", "language"), rows))


def _state(one: SubscriptionView | ChannelView) -> str:
    return f"{one.status}: {one.status_reason}" if one.status_reason else one.status


def _what(one: SubscriptionView) -> str:
    return ", ".join(one.event_types)


def _ms(took_ms: float | None) -> str:
    return "" if took_ms is None else f"{took_ms:.0f} ms"


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    SubscriptionIssued: subscription,
    SubscriptionView: subscription,
    Page[SubscriptionView]: subscription_list,
    ChannelView: channel,
    Page[ChannelView]: channel_list,
    DeliveryDetail: delivery,
    Page[DeliveryView]: delivery_list,
}
