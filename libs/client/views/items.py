"""The board of remediation items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, facts, of_line, plain, table
from libs.client.views.general import words
from libs.common.contracts.base import Page
from libs.common.contracts.tracker.board import Overview, SyncResult
from libs.common.contracts.tracker.calendars import ClosedDays
from libs.common.contracts.tracker.completion import Completion, Readiness
from libs.common.contracts.tracker.history import HistoryEntry
from libs.common.contracts.tracker.items import Item
from libs.common.contracts.tracker.sla import RiskItem, Sla

SHORT = 60  # characters of a value in a line of history


def item_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Items, one a line."""
    session.emit(answer, _items(read_as(list[Item], answer)))


def item_page(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The items of a page, one a line."""
    session.emit(answer, _items(read_as(Page[Item], answer).items))


def _items(items: list[Item]) -> RenderableType:
    rows = [
        (item.id, item.rule_id, item.subject + of_line(item.line), item.version,
         item.status if item.is_active else "resolved",
         item.assignee or "nobody", item.owner_role, item.due_at, item.reason)
        for item in items
    ]  # fmt: skip
    columns = ("item", "rule", "subject", "version", "status", "assignee", "owner", "due", "reason")
    return table(columns, rows) if rows else Text("No items.")


def history(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Changes of an item, one a line."""
    rows = [
        (entry.at, entry.actor, entry.kind, entry.run_id, _what(entry))
        for entry in read_as(Page[HistoryEntry], answer).items
    ]
    session.emit(answer, table(("when", "who", "what", "run", "change"), rows) if rows else Text("No changes."))


def _what(entry: HistoryEntry) -> str:
    """The fields with their values, shortened: ``status: pending → done``; what was said; of an opened item why."""
    if entry.comment_id is not None:
        return "(withdrawn)" if entry.comment is None else _short(entry.comment)
    if entry.kind == "linked":
        return _short(entry.after.get("url"))
    if entry.kind == "opened":
        return _short(entry.after.get("reason"))
    changes = ((words(name), entry.before.get(name), value) for name, value in entry.after.items())
    return "; ".join(f"{name}: {_short(before)} → {_short(after)}" for name, before, after in changes)


def _short(value: Any) -> str:
    text = "none" if value is None or value == "" else clean(str(value))
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"


def patched(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """An item after a change, in a line."""
    item = read_as(Item, answer)
    who = clean(item.assignee) or "nobody"
    session.emit(answer, Text.assemble(f"Item {item.id} ({clean(item.rule_id)}): ", plain(item.status), f", {who}"))


def synced(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """What a sync did, in a line."""
    result = read_as(SyncResult, answer)
    counts = (
        f"{result.created_count} created, {result.reopened_count} reopened, {result.resolved_count} resolved, "
        f"{result.active_count} active"
    )
    session.emit(answer, Text.assemble(plain(result.decision), f"  {counts}"))


def readiness(session: Session, answer: Any, _fields: Mapping[str, Any]) -> int:
    """Ready or not, and why not; the exit code says the same."""
    ready = read_as(Readiness, answer)
    verdict = Text("Ready", style="green") if ready.ready else Text("Not ready", style="red")
    blockers = [Text(f"  {clean(blocker)}") for blocker in ready.blockers]
    session.emit(answer, Text.assemble(verdict, f", {ready.readiness_score_percent} %"), *blockers)
    return 0 if ready.ready else 1


def overview(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The counts of a board."""
    session.emit(answer, facts([(words(name), value) for name, value in read_as(Overview, answer)]))


def sla(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Counts, who holds how much, and the items of most risk."""
    found = read_as(Sla, answer)
    parts: list[RenderableType] = [facts([(words(name), value) for name, value in found.metrics])]
    if found.assignee_open_counts:
        held = sorted(found.assignee_open_counts.items(), key=lambda one: (-one[1], one[0]))
        parts += [Text(), table(("assignee", "open items"), held)]
    if found.top_risk_items:
        rows = [
            (
                one.id,
                one.rule_id,
                one.subject + of_line(one.line),
                plain(one.rule_status),
                one.assignee or "nobody",
                one.due_at,
                _left(one),
            )
            for one in found.top_risk_items
        ]
        columns = ("item", "rule", "subject", "is", "assignee", "due", "time left")
        parts += [Text(), table(columns, rows)]
    session.emit(answer, *parts)


def _left(item: RiskItem) -> Text:
    if item.paused_at is not None:
        return Text("paused", style="dim")
    if item.minutes_until_due is None:
        return Text("no SLA", style="dim")
    hours, minutes = divmod(abs(item.minutes_until_due), 60)
    span = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
    return Text(f"{span} late", style="red") if item.minutes_until_due < 0 else Text(span)


def completed(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """How a board was closed, in a line."""
    done = read_as(Completion, answer)
    session.emit(answer, Text(f"{clean(words(done.status))} by {clean(done.completed_by)}", style="green"))


View = Callable[[Session, Any, Mapping[str, Any]], int | None]
BY_OPERATION: dict[str, View] = {"tracker.item.patch": patched, "tracker.board.complete": completed}


def closed_days(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The days on which no deadline runs, one a line."""
    found = read_as(ClosedDays, answer)
    last = found.first_day + timedelta(days=found.day_count - 1)
    lines = [Text(clean(f"{found.site}, {found.first_day} to {last}, clocks of {found.zone}"))]
    if found.problem:
        lines.append(Text(clean(found.problem), style="red"))
    if not found.closed:
        lines.append(Text("No day is closed."))
    rows = [(f"{one.date:%a %Y-%m-%d}", one.why.replace("_", " "), one.name) for one in found.closed]
    session.emit(answer, *lines, *([table(("day", "why", "name"), rows)] if rows else []))


BY_RESULT: dict[Any, View] = {
    list[Item]: item_list,
    Page[Item]: item_page,
    Page[HistoryEntry]: history,
    SyncResult: synced,
    Readiness: readiness,
    Overview: overview,
    Sla: sla,
    ClosedDays: closed_days,
}
