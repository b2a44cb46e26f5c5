"""People and what they have to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import facts, table, when
from libs.common.contracts.tracker.assignment import AutoAssigned, Workload
from libs.common.contracts.tracker.people import PersonView


def person_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """People, one a line, with their absences that are not over."""
    rows = [
        (one.username, one.role, one.open_items, "" if one.max_open_items is None else one.max_open_items,
         f"{one.load:g}", ", ".join(f"{when(away.away_from)} to {when(away.away_to)}" for away in one.absences))
        for one in read_as(list[PersonView], answer)
    ]  # fmt: skip
    columns = ("person", "role", "open items", "at most", "load", "away")
    session.emit(answer, table(columns, rows) if rows else Text("Nobody works on the items of this site."))


def workload(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Who has how much, and who should get what nobody has."""
    found = read_as(Workload, answer)
    counts = sorted(found.assignee_open_counts.items(), key=lambda one: (-one[1], one[0]))
    unknown = set(found.unknown_assignees)
    rows = [(name, count, "no active user of the site" if name in unknown else "") for name, count in counts]
    head = facts([("open items", found.total_open_items), ("of them unassigned", found.unassigned_open_count)])
    suggested = [
        (one.id, one.rule_id, one.owner_role, one.due_at, one.recommended_assignee or "nobody", one.reason)
        for one in found.suggestions
    ]
    columns = ("item", "rule", "owner", "due", "should go to", "because")
    session.emit(answer, head, table(("assignee", "items", ""), rows), table(columns, suggested))


def given_out(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """A run that gave items out."""
    run = read_as(AutoAssigned, answer)
    told = f"Run {run.run_id}: {run.assigned_count} of {run.candidate_count} items given out"
    left = f", {run.no_candidate_count} for which nobody is free" if run.no_candidate_count else ""
    rows = [(one.id, one.assignee, one.status, one.reason) for one in run.assignments]
    dry = " (dry run: nothing was changed)" if run.dry_run else ""
    off = " (switched off by the assignment policy)" if not run.enabled else ""
    session.emit(answer, Text(told + left + dry + off), table(("item", "assignee", "status", "because"), rows))


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    list[PersonView]: person_list,
    Workload: workload,
    AutoAssigned: given_out,
}
