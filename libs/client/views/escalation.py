"""Escalation: runs, how far an item's is, and what is late."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, facts, of_line, plain, table
from libs.client.views.general import failed
from libs.common.contracts.tracker.escalation import Escalated, Escalation, EscalationCheck, StepTaken, TargetTold


def ran(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """What a run found and did, and its candidates; of one that failed the reason."""
    if failed(session, answer):
        return
    run = read_as(Escalated, answer)
    did = f"{run.would_raise_count} would be told" if run.dry_run else f"{run.raised_count} told"
    counts = f"  run {run.run_id}: {run.candidate_count} due or overdue, {run.critical_count} critical; {did}"
    head = Text.assemble(plain(run.status), counts if run.enabled else f"{counts}; switched off")
    parts: list[RenderableType] = [head]
    if run.notify_error is not None:
        parts.append(Text(clean(run.notify_error), style="red"))
    if run.items:
        rows = [
            (one.id, one.rule_id, one.subject + of_line(one.line), one.assignee or "nobody", one.due_at, one.level,
             one.acknowledged_by, one.snoozed_until)
            for one in run.items
        ]  # fmt: skip
        columns = ("item", "rule", "subject", "assignee", "due", "level", "acknowledged by", "snoozed until")
        parts += [Text(), table(columns, rows)]
    session.emit(answer, *parts)


def one(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """How far an item's escalation is, and whom it told."""
    found = read_as(Escalation, answer)
    pairs = [
        ("state", found.state),
        ("chain", found.chain),
        ("level", found.level if found.chain else None),
        ("looks again", found.next_at),
        ("acknowledged by", found.acknowledged_by),
        ("snoozed until", found.snoozed_until),
        ("reason", found.reason),
    ]
    parts: list[RenderableType] = [facts([(name, value) for name, value in pairs if value is not None])]
    if found.steps:
        rows = [
            (step.at, step.level, step.repeat, step.outcome, _targets(step.targets), _came(step))
            for step in found.steps
        ]
        parts += [Text(), table(("when", "level", "again", "what", "whom", "came of it"), rows)]
    session.emit(answer, *parts)


def _targets(targets: Sequence[TargetTold]) -> str:
    return ", ".join(f"{target.kind} {target.name}" for target in targets) or "nobody was there"


def _came(step: StepTaken) -> str:
    if step.outcome == "skipped":
        return ""
    if step.dispatched is None:
        return "not known yet"
    told = [one.channel for one in step.deliveries if one.state == "delivered"]
    return ", ".join(told) if step.dispatched else step.error or "reached nobody"


def checked(session: Session, answer: Any, _fields: Mapping[str, Any]) -> int:
    """What is late, and of what nobody was told; the exit code says the same."""
    found = read_as(EscalationCheck, answer)
    parts: list[RenderableType] = []
    if found.calendar_problem is not None:
        parts.append(Text(clean(found.calendar_problem), style="yellow"))
    if found.late_count:
        late = [(one.item_id, one.rule_id, one.chain, one.level, one.due_at, one.minutes_late) for one in found.late]
        columns = ("item", "rule", "chain", "level", "due", "minutes late")
        head = Text(f"{found.late_count} steps did not run when they were due.", style="red")
        parts = [head, *parts, Text(), table(columns, late)]
    else:
        parts = [Text("Nothing is late.", style="green"), *parts]
    if found.unreached_count:
        rows = [(one.item_id, one.rule_id, one.chain, one.level, one.since, one.error) for one in found.unreached]
        head = Text(f"Of {found.unreached_count} items nobody could be told.", style="red")
        parts += [Text(), head, Text(), table(("item", "rule", "chain", "level", "since", "why"), rows)]
    session.emit(answer, *parts)
    return int(found.status != "success")


View = Callable[[Session, Any, Mapping[str, Any]], int | None]
BY_RESULT: dict[Any, View] = {Escalated: ran, Escalation: one, EscalationCheck: checked}
