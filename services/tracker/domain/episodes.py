"""What a gate run does to a board: open, update, reopen, refuse a claim, resolve.

The rule that everything rests on: only a pass of that very rule ends an episode. A rule that a run does not name, or
that a filtered plan leaves out, stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from services.tracker.domain.changes import Change, ChangeKind, change
from services.tracker.domain.deadlines import Terms, due_at, raised, resumed
from services.tracker.domain.item import Item, add_note
from services.tracker.domain.plan import Options, Planned, Run, Verdict, make_plan, priority, worst


def wants_terms(items: Mapping[str, Item], run: Run) -> bool:
    """Whether `judge` may set a deadline. Most runs find nothing new, and nobody need look up the site's terms."""
    return any(_wants_terms(items.get(verdict.rule_id), verdict) for verdict in run.verdicts)


def _wants_terms(item: Item | None, verdict: Verdict) -> bool:
    if item is None or not item.is_active:
        return verdict.status != "pass"
    ends_pause = item.paused_at is not None and (verdict.status == "pass" or item.status == "done")
    return ends_pause or (verdict.status != "pass" and priority(verdict.status, verdict.required) < item.priority)


def judge(items: Mapping[str, Item], run: Run, options: Options, terms: Terms) -> list[Change]:
    """The changes that a run makes to a board's items (keyed by rule id), in the order of the plan, passes last.

    ``terms`` are the site's; any will do where `wants_terms` says no.
    """
    verdicts = worst(run.verdicts)
    changes = []
    for planned in make_plan(verdicts.values(), options):
        before = items.get(planned.verdict.rule_id)
        if before is not None and before.is_active:
            changes.append(_fail_again(before, planned, run, terms))
        elif planned.opens:
            changes.append(_open(planned, run, terms) if before is None else _reopen(before, planned, run, terms))
    for verdict in verdicts.values():
        before = items.get(verdict.rule_id)
        if verdict.status == "pass" and before is not None and before.is_active:
            changes.append(_resolve(before, verdict, run, terms))
    return changes


def _hours(planned: Planned, run: Run, terms: Terms) -> int | None:
    return terms.sla_hours(run.site, run.subject, planned.verdict.rule_id, planned.priority, planned.sla_hours)


def _open(planned: Planned, run: Run, terms: Terms) -> Change:
    sla_hours = _hours(planned, run, terms)
    item = Item(
        id=0,
        item_id=planned.item_id,
        gate=run.gate,
        site=run.site,
        subject=run.subject,
        version=run.version,
        rule_id=planned.verdict.rule_id,
        rule_status=planned.verdict.status,
        required=planned.verdict.required,
        priority=planned.priority,
        owner_role=planned.owner_role,
        sla_hours=sla_hours,
        due_at=due_at(terms.calendar, run.decided_at, sla_hours),
        action=planned.action,
        reason=planned.verdict.reason,
        detail=planned.verdict.detail,
        assignee=None,
        status="pending",
        completion_checked=False,
        completion_note="",
        completed_at=None,
        verified_at=None,
        is_active=True,
        episode=1,
        opened_at=run.decided_at,
        gate_generated_at=run.decided_at,
        gate_run_id=run.run_id,
        created_by=run.actor,
        updated_by=run.actor,
        created_at=run.now,
        updated_at=run.now,
        line=run.line,
    )
    return Change("opened", None, item, ())


def _follow(before: Item, planned: Planned, run: Run) -> Item:
    """The item with what the plan says now; its episode, with due time and SLA, is left alone."""
    return replace(
        before,
        item_id=planned.item_id,
        version=run.version,
        rule_status=planned.verdict.status,
        required=planned.verdict.required,
        priority=planned.priority,
        owner_role=planned.owner_role,
        action=planned.action,
        reason=planned.verdict.reason,
        detail=planned.verdict.detail,
        gate_generated_at=run.decided_at,
        gate_run_id=run.run_id,
    )


def _fail_again(before: Item, planned: Planned, run: Run, terms: Terms) -> Change:
    after = _follow(before, planned, run)
    if planned.priority < before.priority:
        after = raised(after, _hours(planned, run, terms), terms.calendar)
    if claim_is_refuted(before, run.decided_at):
        text = (
            f"Claim refused: run {run.run_id} does not pass {before.rule_id}. {planned.verdict.reason[:300]}".rstrip()
        )
        after = replace(
            resumed(after, terms.calendar, run.decided_at),
            status="pending",
            completion_checked=False,
            completed_at=None,
            completion_note=add_note(before.completion_note, run.decided_at, text),
        )
        return _change("refused", before, after, run)
    return _change("updated", before, after, run)


def claim_is_refuted(item: Item, decided_at: datetime) -> bool:
    """A claim falls only by a run decided after it: an older run still under way says nothing about the work since."""
    return item.status == "done" and (item.completed_at is None or decided_at > item.completed_at)


def _reopen(before: Item, planned: Planned, run: Run, terms: Terms) -> Change:
    sla_hours = _hours(planned, run, terms)
    text = f"Reopened: run {run.run_id} does not pass {before.rule_id}. {planned.verdict.reason[:300]}".rstrip()
    after = replace(
        _follow(before, planned, run),
        sla_hours=sla_hours,
        due_at=due_at(terms.calendar, run.decided_at, sla_hours),
        due_by_hand=False,
        due_reason="",
        paused_at=None,
        pause_reason="",
        pauses=[],
        opened_at=run.decided_at,
        episode=before.episode + 1,
        status="pending",
        completion_checked=False,
        completed_at=None,
        verified_at=None,
        retired_at=None,
        responded_at=None,
        is_active=True,
        completion_note=add_note(before.completion_note, run.decided_at, text),
    )
    return _change("reopened", before, after, run)


def _resolve(before: Item, verdict: Verdict, run: Run, terms: Terms) -> Change:
    after = replace(
        resumed(before, terms.calendar, run.decided_at),
        version=run.version,
        rule_status=verdict.status,
        reason=verdict.reason,
        detail=verdict.detail,
        gate_generated_at=run.decided_at,
        gate_run_id=run.run_id,
        status="done",
        completion_checked=True,
        completed_at=before.completed_at or run.decided_at,
        verified_at=run.decided_at,
        is_active=False,
        completion_note=add_note(
            before.completion_note, run.decided_at, f"Resolved: run {run.run_id} passes {before.rule_id}."
        ),
    )
    return _change("resolved", before, after, run)


def retire(items: Iterable[Item], terms: Terms, actor: str, now: datetime) -> list[Change]:
    """What the retirement of their subject does to active items: they are work no longer, and nothing is verified.

    A pause ends with it, as with a resolution.
    """
    return [
        change(
            "retired",
            item,
            replace(resumed(item, terms.calendar, now), is_active=False, retired_at=now),
            actor,
            now,
        )
        for item in items
        if item.is_active
    ]


def _change(kind: ChangeKind, before: Item, after: Item, run: Run) -> Change:
    found = change(kind, before, after, run.actor, run.now)
    return found if found.changed else replace(found, kind="judged")
