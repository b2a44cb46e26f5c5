"""A run of the autopilot is taken back: what it gave and began, where nobody has worked on it since."""

from __future__ import annotations

from libs.common.contracts.tracker import autopilot as contract
from libs.common.contracts.tracker.autopilot import UndoBody, Undone, autopilot_undone
from libs.common.contracts.tracker.escalation import EscalationChanged, escalation_acknowledged
from libs.common.problems import Conflict, NotFound
from libs.common.service import Table, Tx
from services.tracker.proposals import undo_assignments

LOCK_RUN = "SELECT * FROM autopilot_run WHERE run_id = $1 AND site = $2 FOR UPDATE"
MARK_UNDONE = "UPDATE autopilot_run SET undone_at = $2, undone_by = $3, undone_reason = $4 WHERE run_id = $1"
# What was told can't be untold, but nobody else is; whom a person has calmed already stays theirs.
ACKNOWLEDGE_BEGUN = """
UPDATE escalation SET acknowledged_at = $3, acknowledged_by = $4, reason = $5
FROM item
WHERE item.id = escalation.item AND item.episode = escalation.episode AND item.is_active AND item.status <> 'done'
    AND escalation.item = ANY ($1::bigint[]) AND escalation.started_at = $2 AND escalation.acknowledged_at IS NULL
    AND (escalation.snoozed_until IS NULL OR escalation.snoozed_until <= $3)
RETURNING escalation.item, escalation.episode
"""


async def undo(tx: Tx, body: UndoBody) -> Undone:
    """Take back what a run did. Raises `NotFound`, and `Conflict` for a run that did nothing or was undone before."""
    row = await tx.connection.fetchrow(LOCK_RUN, body.run_id, tx.site)
    if row is None:
        raise NotFound(f"There is no run {body.run_id} of the autopilot at this site.")
    if not row["executed"]:
        raise Conflict(f"Run {body.run_id} did nothing that could be taken back.")
    if row["undone_at"] is not None:
        raise Conflict(f"{row['undone_by']} undid run {body.run_id} at {row['undone_at']:%Y-%m-%d %H:%M} UTC already.")
    released = [change.item.id for change in await undo_assignments(tx, row["given_ids"], row["ran_at"])]
    reason = f"Undid the autopilot's run {body.run_id}: {body.reason}"[:500]
    calmed = await tx.connection.fetch(ACKNOWLEDGE_BEGUN, row["begun_ids"], row["ran_at"], tx.now, tx.actor, reason)
    for one in calmed:
        changed = EscalationChanged(item_id=one["item"], episode=one["episode"], reason=reason)
        tx.emit(escalation_acknowledged, changed, subject=str(one["item"]))
    await tx.connection.execute(MARK_UNDONE, body.run_id, tx.now, tx.actor, body.reason)
    acknowledged = sorted(one["item"] for one in calmed)
    every = {*row["given_ids"], *row["begun_ids"]}
    undone = Undone(
        run_id=body.run_id,
        undone_at=tx.now,
        undone_by=tx.actor,
        reason=body.reason,
        released_ids=released,
        acknowledged_ids=acknowledged,
        left_ids=sorted((every - {*released, *acknowledged}) | (set(row["given_ids"]) - set(released))),
    )
    tx.emit(autopilot_undone, undone, subject=str(body.run_id))
    return undone


TABLE = Table(commands={contract.undo_run: undo})
