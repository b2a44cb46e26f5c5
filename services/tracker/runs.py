"""A gate's verdict reaches the board: items are opened, updated, reopened and resolved, a whole run at a time."""

from __future__ import annotations

from collections import Counter

from libs.common.contracts.governance.runs import CountedStatus, GateDecided, RuleResult, gate_decided
from libs.common.service import Table, Tx
from services.tracker.board import reopen_board
from services.tracker.changes import write
from services.tracker.domain import item as domain
from services.tracker.domain.deadlines import Terms
from services.tracker.domain.episodes import judge, wants_terms
from services.tracker.domain.plan import Options, Run, Verdict
from services.tracker.requests import RunRequest, count_request, lock_for_run
from services.tracker.retirement import revive, stays_retired
from services.tracker.terms import terms_of

# Only those of which the run speaks: a board may hold hundreds that it can't change.
LOAD_ITEMS = """
SELECT * FROM item WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4 AND rule_id = ANY ($5::text[])
"""
ADVANCE_BOARD = """
UPDATE board SET run_number = $5, run_id = $6, version = $7, decision = $8, decided_at = $9
WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4
"""
CHECK_BOARD = "UPDATE board SET last_checked_at = $5 WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4"


async def on_gate_decided(tx: Tx, data: GateDecided) -> None:
    """Bring the board in line with a run. A run number that the board has reached or passed changes nothing."""
    head, request = await lock_for_run(tx, data.gate, data.subject, data.line, tx.message.causationid)
    if request is not None and request.purpose == "complete":
        await tx.connection.execute(CHECK_BOARD, *head.key, tx.now)
    if data.run_number <= head.run_number:
        return
    if stays_retired(head, data, request):
        await _advance(tx, data, *head.key)
        return
    await revive(tx, head, data)
    rows = await tx.connection.fetch(LOAD_ITEMS, *head.key, [rule.id for rule in data.rules])
    items = {row["rule_id"]: domain.to_item(dict(row)) for row in rows}
    options = Options(request.include_warnings, request.max_items) if request is not None else Options()
    run = _run(tx, data, request)
    terms = await terms_of(tx.connection, tx.site) if wants_terms(items, run) else Terms()
    changes = await write(tx, judge(items, run, options, terms), run_id=data.run_id)
    await _advance(tx, data, *head.key)
    kinds = Counter(change.kind for change in changes)
    reopened_count = kinds["reopened"] + kinds["refused"]
    if request is not None:
        await count_request(tx, request, kinds["opened"], reopened_count, kinds["resolved"])
    if kinds["opened"] + reopened_count:
        await reopen_board(tx, head, f"Run {data.run_id} found work to do.")


async def _advance(tx: Tx, data: GateDecided, *key: str) -> None:
    await tx.connection.execute(
        ADVANCE_BOARD, *key, data.run_number, data.run_id, data.version, data.decision, data.decided_at
    )


def _run(tx: Tx, data: GateDecided, request: RunRequest | None) -> Run:
    return Run(
        run_id=data.run_id,
        gate=data.gate,
        site=tx.site,
        subject=data.subject,
        line=data.line,
        version=data.version,
        decided_at=data.decided_at,
        actor=request.actor if request is not None else tx.actor,
        now=tx.now,
        # Of a rule that is waived or in shadow there is no news unless it passes: what is open stays open, and nothing
        # is opened.
        verdicts=tuple(_verdict(rule) for rule in data.rules if rule.passed or rule.status not in ("waived", "shadow")),
    )


def _verdict(rule: RuleResult) -> Verdict:
    status: CountedStatus
    if rule.status == "shadow":
        status = "pass" if rule.passed else "fail"
    elif rule.status == "waived":
        status = "fail"
    else:
        # A result that contradicts itself has not passed.
        status = "fail" if rule.passed != (rule.status == "pass") else rule.status
    return Verdict(
        rule_id=rule.id,
        status=status,
        required=rule.required,
        reason=rule.message,
        detail=rule.detail,
        owner_role=rule.owner_role,
        sla_hours=rule.sla_hours,
        action=rule.action,
    )


TABLE = Table(events={gate_decided: on_gate_decided})
