"""The guard and the figures of channels: which targets fail, what is held back, and how well each does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import facts, table
from libs.common.contracts.base import Page
from libs.common.contracts.notifier.alerts import AlertDelivery, ChannelFigures, ChannelKpi
from libs.common.contracts.notifier.guard import Guard, Recovery


def guard(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Circuits, one a line."""
    one = read_as(Guard, answer)
    rows = [
        (each.target, each.name, each.event_type, each.state, each.consecutive_failures, each.quarantined_until or "",
         each.suppressed_count, each.error)
        for each in one.items
    ]  # fmt: skip
    columns = ("target", "name", "event", "state", "failures", "probed at the latest", "held back", "problem")
    session.emit(answer, table(columns, rows))


def recovery(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Probes, one a line."""
    one = read_as(Recovery, answer)
    pairs = [
        ("recovery", one.recovery_id), ("asked", one.asked_at), ("by", one.asked_by),
        ("recovered", one.recovered_count), ("failed", one.failed_count),
        ("not answered yet", one.probing_count), ("skipped", one.skipped_count),
    ]  # fmt: skip
    session.emit(answer, facts(pairs))
    if not session.json:
        rows = [
            (each.target, each.name, each.event_type, each.state, each.delivery_id or "", each.http_status or "",
             each.error or "")
            for each in one.probes
        ]  # fmt: skip
        session.emit(None, Text(), table(("target", "name", "event", "probe", "delivery", "status", "problem"), rows))


def alerts(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Deliveries in the words of the facility system, one a line."""
    rows = [
        (each.id, each.status, each.target, each.name, each.event_type, each.attempt_count, each.updated_at,
         each.error or "")
        for each in read_as(Page[AlertDelivery], answer).items
    ]  # fmt: skip
    session.emit(answer, table(("delivery", "status", "target", "name", "event", "tries", "changed", "problem"), rows))


def channels(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The figures of each window, a line for each target and one for all."""
    one = read_as(ChannelKpi, answer)
    rows: list[tuple[Any, ...]] = []
    for window in one.windows:
        rows += [(window.days, each.target, each.name, *_figures(each)) for each in window.channels]
        rows.append((window.days, "all", "", *_figures(window)))
    columns = ("days", "target", "name", "delivered", "given up", "failing", "held back", "success", "answer")
    session.emit(answer, table(columns, rows))


def _figures(one: ChannelFigures) -> tuple[Any, ...]:
    rate, took = one.success_rate_percent, one.latency_ms
    return (
        one.delivered_count, one.failed_count, one.retrying_count, one.suppressed_count,
        "" if rate is None else f"{rate:g} %", "" if took is None else f"{took:.0f} ms",
    )  # fmt: skip


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    Guard: guard,
    Recovery: recovery,
    Page[AlertDelivery]: alerts,
    ChannelKpi: channels,
}
