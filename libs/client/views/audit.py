"""The audit log, as it is listed: its entries, and who did what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import table
from libs.common.contracts.audit.entries import Entry
from libs.common.contracts.audit.resources import Deed
from libs.common.contracts.audit.sessions import Session as Work
from libs.common.contracts.audit.traces import Trace, TraceNode
from libs.common.contracts.base import Page
from libs.common.contracts.changes import FieldChange


def entry_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Entries, one a line."""
    rows = [
        (entry.seq, entry.time, short_type(entry.type), entry.outcome, entry.site, entry.actor, entry.subject)
        for entry in read_as(Page[Entry], answer).items
    ]
    session.emit(answer, table(("seq", "time", "action", "outcome", "site", "actor", "of"), rows))


def deed_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """What was done to one thing, one a line."""
    rows = [
        (
            deed.seq,
            deed.time,
            deed.actor,
            deed.client_address,
            deed.action,
            deed.outcome,
            _what(deed),
        )
        for deed in read_as(Page[Deed], answer).items
    ]
    session.emit(answer, table(("seq", "time", "who", "from", "action", "outcome", "what, or why"), rows))


def _what(deed: Deed) -> str | None:
    """What changed, or else why; and what of it is not shown."""
    parts = [changed(one) for one in deed.changes]
    if deed.changes_left_out:
        parts.append(f"and {deed.changes_left_out} more changes, which the event does not state")
    if deed.changes_omitted == "too_large":
        parts.append("what changed is not shown: the entry's body is over 1 MiB")
    if deed.changes_omitted == "erased":
        parts.append("what changed is not shown: the entry's body was removed when its time was over")
    return "; ".join(parts) or deed.reason


def changed(one: FieldChange) -> str:
    """A change in words."""
    if one.masked:
        return f"{one.field} changed"
    return f"{one.field}: {_word(one.before)} → {_word(one.after)}"


def _word(value: Any) -> str:
    return "nothing" if value is None or value in ("", []) else str(value)


def session_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """When somebody was at work, one session a line."""
    rows = [
        (
            one.started_at,
            one.ended_at,
            one.client_address,
            one.client_agent,
            one.command_count,
            one.refused_count,
            ", ".join(one.sites),
        )
        for one in read_as(Page[Work], answer).items
    ]
    session.emit(answer, table(("from", "to", "address", "program", "commands", "refused", "sites"), rows))


def trace(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """What a request set off, indented below what set it off."""
    found = read_as(Trace, answer)
    parts: list[Any] = [Text.assemble("  " * node.depth, *_node(node)) for node in found.nodes]
    if found.left_out:
        parts.append(Text("There is more than the first 1,000 entries.", style="yellow"))
    if found.notifications == "unknown":
        parts.append(Text("The notifier can't be asked now: what it sent is not shown.", style="yellow"))
    session.emit(answer, *parts)


def _node(node: TraceNode) -> list[Any]:
    if node.kind == "request":
        whence = f" from {node.client_address} by {node.client_agent or 'nobody says what'}"
        return [("request", "bold"), f" {node.node_id} of {node.actor}", whence if node.client_address else ""]
    style = {"refused": "red", "failed": "red", "dead": "red"}.get(node.outcome or "", "")
    about = f" {node.subject}" if node.subject else ""
    number = f" #{node.seq}" if node.seq is not None else ""
    why = f": {node.reason}" if node.reason else ""
    return [(node.kind, "dim"), f" {node.action}{about}{number} ", (node.outcome or "", style), why]


def short_type(name: str) -> str:
    """An event's type without what all have in common."""
    return name.removeprefix("headgate.").removesuffix(".v1")


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    Page[Entry]: entry_list,
    Page[Deed]: deed_list,
    Page[Work]: session_list,
    Trace: trace,
}
