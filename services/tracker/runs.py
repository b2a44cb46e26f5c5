"""A gate's verdict reaches the board: items are opened, updated, reopened and resolved, a whole run at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from libs.common.columns import copied, listed
from libs.common.contracts.base import Event
from libs.common.contracts.governance.runs import GateDecided, RuleResult, gate_decided
from libs.common.contracts.tracker.items import (
    Item,
    ItemChanged,
    item_opened,
    item_reopened,
    item_resolved,
    item_updated,
)
from libs.common.service import Table, Tx
from services.tracker.board import Head, reopen_board
from services.tracker.domain import item as domain
from services.tracker.domain.episodes import Change, ChangeKind, judge
from services.tracker.domain.plan import Options, Run, Verdict
from services.tracker.requests import RunRequest, count_request, lock_for_run

LOAD_ITEMS = "SELECT * FROM item WHERE site = $1 AND gate = $2 AND subject = $3"
# The columns are the item's fields: its id is the table's to give.
_NEW = listed(name for name in domain.COLUMNS if name != "id")
INSERT_ITEMS = f"""
INSERT INTO item ({_NEW})
SELECT {_NEW} FROM jsonb_populate_recordset(NULL::item, $1) ORDER BY item_id
RETURNING rule_id, id
"""  # noqa: S608 - names of our own class
UPDATE_ITEMS = f"""
UPDATE item SET {copied(domain.set_by("run"))}
FROM jsonb_populate_recordset(NULL::item, $1) AS new WHERE item.id = new.id
"""  # noqa: S608
INSERT_EPISODES = """
INSERT INTO item_episode (item, episode, opened_at, due_at, opened_by_run)
SELECT id, episode, opened_at, due_at, gate_run_id FROM jsonb_populate_recordset(NULL::item, $1)
"""
END_EPISODES = """
UPDATE item_episode SET resolved_at = new.verified_at, resolved_by_run = new.gate_run_id
FROM jsonb_populate_recordset(NULL::item, $1) AS new
WHERE item_episode.item = new.id AND item_episode.episode = new.episode
"""
ADVANCE_BOARD = """
UPDATE board SET run_number = $4, run_id = $5, version = $6, decision = $7, decided_at = $8
WHERE site = $1 AND gate = $2 AND subject = $3
"""
CHECK_BOARD = "UPDATE board SET last_checked_at = $4 WHERE site = $1 AND gate = $2 AND subject = $3"

_EVENTS: dict[ChangeKind, Event] = {
    "opened": item_opened,
    "updated": item_updated,
    "reopened": item_reopened,
    "refused": item_reopened,
    "resolved": item_resolved,
}


async def on_gate_decided(tx: Tx, data: GateDecided) -> None:
    """Bring the board in line with a run. A run number that the board has reached or passed changes nothing."""
    head, request = await lock_for_run(tx, data.gate, data.subject, tx.message.causationid)
    if request is not None and request.purpose == "complete":
        await tx.connection.execute(CHECK_BOARD, head.site, head.gate, head.subject, tx.now)
    if data.run_number <= head.run_number:
        return
    key = (head.site, head.gate, head.subject)
    rows = await tx.connection.fetch(LOAD_ITEMS, *key)
    items = {row["rule_id"]: domain.to_item(dict(row)) for row in rows}
    options = Options(request.include_warnings, request.max_items) if request is not None else Options()
    changes = await _store(tx, judge(items, _run(tx, data, request), options))
    await tx.connection.execute(
        ADVANCE_BOARD, *key, data.run_number, data.run_id, data.version, data.decision, data.decided_at
    )
    kinds = Counter(change.kind for change in changes)
    reopened_count = kinds["reopened"] + kinds["refused"]
    if request is not None:
        await count_request(tx, request, kinds["opened"], reopened_count, kinds["resolved"])
    await _tell(tx, head, data, changes)


async def _store(tx: Tx, changes: list[Change]) -> list[Change]:
    """Write the changes with one statement per table and kind; returns them with the ids of new items."""
    new = [change.item for change in changes if change.kind == "opened"]
    if new:
        ids = {row["rule_id"]: row["id"] for row in await tx.connection.fetch(INSERT_ITEMS, new)}
        changes = [
            replace(change, item=replace(change.item, id=ids[change.item.rule_id]))
            if change.kind == "opened"
            else change
            for change in changes
        ]
    if old := [change.item for change in changes if change.kind != "opened"]:
        await tx.connection.execute(UPDATE_ITEMS, old)
    if begun := [change.item for change in changes if change.kind in ("opened", "reopened")]:
        await tx.connection.execute(INSERT_EPISODES, begun)
    if ended := [change.item for change in changes if change.kind == "resolved"]:
        await tx.connection.execute(END_EPISODES, ended)
    return changes


async def _tell(tx: Tx, head: Head, data: GateDecided, changes: list[Change]) -> None:
    for change in changes:
        event = _EVENTS.get(change.kind)
        if event is not None:
            item = Item.model_validate(change.item, from_attributes=True)
            tx.emit(event, ItemChanged(item=item, changed=list(change.changed)), subject=str(item.id))
    if any(change.kind in ("opened", "reopened", "refused") for change in changes):
        await reopen_board(tx, head, f"Run {data.run_id} found work to do.")


def _run(tx: Tx, data: GateDecided, request: RunRequest | None) -> Run:
    return Run(
        run_id=data.run_id,
        gate=data.gate,
        site=tx.site,
        subject=data.subject,
        version=data.version,
        decided_at=data.decided_at,
        actor=request.actor if request is not None else tx.actor,
        now=tx.now,
        verdicts=tuple(_verdict(rule) for rule in data.rules),
    )


def _verdict(rule: RuleResult) -> Verdict:
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
