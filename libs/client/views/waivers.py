"""Waivers: what does not count, until when, by whose word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, facts, table, when
from libs.common.contracts.base import Page
from libs.common.contracts.governance.waivers import Waiver


def waiver(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """One waiver, and what is to be done next."""
    one = read_as(Waiver, answer)
    pairs: list[tuple[str, Any]] = [
        ("waiver", one.waiver_id), ("state", _state(one)), ("gate", one.gate), ("subject", _about(one)),
        ("rule", _rule(one)), ("until", one.ends_at), ("reason", one.reason), ("issue", one.issue),
        ("asked by", f"{one.requested_by}, {when(one.requested_at)}"),
    ]  # fmt: skip
    if one.decided_by and one.decided_at:
        word = "declined by" if one.state == "declined" else "approved by"
        pairs.append((word, f"{one.decided_by}, {when(one.decided_at)}: {one.decision_reason or ''}"))
    if one.ended_by and one.ended_at:
        pairs.append((f"{one.state} by", f"{one.ended_by}, {when(one.ended_at)}: {one.end_reason or ''}"))
    session.emit(answer, facts([pair for pair in pairs if pair[1] != ""]))
    if one.state == "requested" and not session.json:
        line = f"Somebody else must approve it: headgate waivers approve {one.waiver_id} --reason …"
        site = "" if one.site == "global" else f" --site {clean(one.site)}"
        session.emit(None, Text(), Text(line + site))


def waiver_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Waivers, one a line."""
    rows = [
        (one.waiver_id, _state(one), one.gate, _about(one), _rule(one), one.ends_at, one.requested_by,
         one.decided_by or "nobody", one.issue, one.reason)
        for one in read_as(Page[Waiver], answer).items
    ]  # fmt: skip
    columns = ("waiver", "state", "gate", "subject", "rule", "until", "asked by", "decided by", "issue", "reason")
    session.emit(answer, table(columns, rows))


def _state(one: Waiver) -> str:
    """The state; an approved one that does not count any more is over."""
    if one.state == "approved":
        return "in force" if one.in_force else "over"
    return one.state


def _about(one: Waiver) -> str:
    return f"{one.subject} {one.version}".strip()


def _rule(one: Waiver) -> str:
    return f"{one.rule_id}: {one.fingerprint}" if one.fingerprint else one.rule_id


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    Waiver: waiver,
    Page[Waiver]: waiver_list,
}
