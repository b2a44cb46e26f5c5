"""What a gate run does to a board: open, update, reopen, refuse a claim, resolve.

The rule that everything rests on: only a pass of that very rule ends an episode. A rule that a run does not name, or
that a filtered plan leaves out, stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from services.tracker.domain.changes import Change, ChangeKind, change
from services.tracker.domain.item import Item, add_note
from services.tracker.domain.plan import Options, Planned, Run, Verdict, make_plan, worst


def judge(items: Mapping[str, Item], run: Run, options: Options) -> list[Change]:
    """The changes that a run makes to a board's items (keyed by rule id), in the order of the plan, passes last."""
    verdicts = worst(run.verdicts)
    changes = []
    for planned in make_plan(verdicts.values(), run.decided_at, options):
        before = items.get(planned.verdict.rule_id)
        if before is not None and before.is_active:
            changes.append(_fail_again(before, planned, run))
        elif planned.opens:
            changes.append(_open(planned, run) if before is None else _reopen(before, planned, run))
    for verdict in verdicts.values():
        before = items.get(verdict.rule_id)
        if verdict.status == "pass" and before is not None and before.is_active:
            changes.append(_resolve(before, verdict, run))
    return changes


def _open(planned: Planned, run: Run) -> Change:
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
        sla_hours=planned.sla_hours,
        due_at=planned.due_at,
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


def _fail_again(before: Item, planned: Planned, run: Run) -> Change:
    after = _follow(before, planned, run)
    if claim_is_refuted(before, run.decided_at):
        text = (
            f"Claim refused: run {run.run_id} does not pass {before.rule_id}. {planned.verdict.reason[:300]}".rstrip()
        )
        after = replace(
            after,
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


def _reopen(before: Item, planned: Planned, run: Run) -> Change:
    text = f"Reopened: run {run.run_id} does not pass {before.rule_id}. {planned.verdict.reason[:300]}".rstrip()
    after = replace(
        _follow(before, planned, run),
        sla_hours=planned.sla_hours,
        due_at=planned.due_at,
        opened_at=run.decided_at,
        episode=before.episode + 1,
        status="pending",
        completion_checked=False,
        completed_at=None,
        verified_at=None,
        responded_at=None,
        is_active=True,
        completion_note=add_note(before.completion_note, run.decided_at, text),
    )
    return _change("reopened", before, after, run)


def _resolve(before: Item, verdict: Verdict, run: Run) -> Change:
    after = replace(
        before,
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


def _change(kind: ChangeKind, before: Item, after: Item, run: Run) -> Change:
    found = change(kind, before, after, run.actor, run.now)
    return found if found.changed else replace(found, kind="judged")
