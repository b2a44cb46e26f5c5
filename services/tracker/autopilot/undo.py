"""A run of the autopilot is taken back: what it gave and began, where nobody has worked on it since."""

from __future__ import annotations

from datetime import timedelta

from libs.common.changes import changes_in
from libs.common.contracts.changes import stated
from libs.common.contracts.tracker import autopilot as contract
from libs.common.contracts.tracker.autopilot import UndoBody, Undone, autopilot_undone
from libs.common.contracts.tracker.escalation import EscalationChanged, escalation_snoozed
from libs.common.problems import Conflict, NotFound
from libs.common.service import Table, Tx
from services.tracker.proposals import LOCK_BOARDS_OF, undo_assignments

# What was told can't be untold. It rests for so long, and not for ever: an undo that everybody forgets loses no duty.
RESTS = timedelta(days=1)

LOCK_RUN = "SELECT * FROM autopilot_run WHERE run_id = $1 AND site = $2 FOR UPDATE"
MARK_UNDONE = "UPDATE autopilot_run SET undone_at = $2, undone_by = $3, undone_reason = $4 WHERE run_id = $1"
# Items that are as the run left them: open, and no person has changed them or said a word to their escalation.
SELECT_UNTOUCHED = """
SELECT item.id FROM item LEFT JOIN escalation ON escalation.item = item.id AND escalation.episode = item.episode
WHERE item.site = $1 AND item.id = ANY ($2::bigint[]) AND item.is_active AND item.status <> 'done'
    AND escalation.acknowledged_at IS NULL AND escalation.snoozed_by IS NULL AND escalation.reason IS NULL
    AND NOT EXISTS (
        SELECT FROM item_change AS later
        WHERE later.item = item.id AND later.at > $3 AND later.kind NOT IN ('updated', 'recounted')
    )
"""
REST_BEGUN = """
UPDATE escalation SET snoozed_until = $3, snoozed_by = $4, reason = $5,
    look_at = CASE WHEN look_at IS NOT NULL THEN greatest(look_at, $3) END
FROM (
    SELECT item AS the_item, episode AS the_episode, snoozed_until AS was_snoozed_until, snoozed_by AS was_snoozed_by,
        reason AS was_reason
    FROM escalation
    WHERE item = ANY ($1::bigint[]) AND started_at = $2 AND acknowledged_at IS NULL AND snoozed_by IS NULL
    ORDER BY item FOR UPDATE
) AS was
WHERE item = the_item AND episode = the_episode RETURNING item, episode, snoozed_until, snoozed_by, reason, was.*
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
    given, begun, at = row["given_ids"], row["begun_ids"], row["ran_at"]
    every = sorted({*given, *begun})
    await tx.connection.execute(LOCK_BOARDS_OF, tx.site, every)
    untouched = {one["id"] for one in await tx.connection.fetch(SELECT_UNTOUCHED, tx.site, every, at)}
    released = await undo_assignments(tx, [item for item in given if item in untouched], at)
    reason, until = f"Undid the autopilot's run {body.run_id}: {body.reason}"[:500], tx.now + RESTS
    rests = [item for item in begun if item in untouched]
    resting = await tx.connection.fetch(REST_BEGUN, rests, at, until, tx.actor, reason)
    for one in resting:
        changes = changes_in(one)
        changed = EscalationChanged(
            item_id=one["item"], episode=one["episode"], reason=reason, until=until, changes=changes
        )
        tx.emit(escalation_snoozed, changed, subject=str(one["item"]))
    await tx.connection.execute(MARK_UNDONE, body.run_id, tx.now, tx.actor, body.reason)
    undone = Undone(
        run_id=body.run_id,
        undone_at=tx.now,
        undone_by=tx.actor,
        reason=body.reason,
        changes=stated({}, {"undone_at": tx.now, "undone_by": tx.actor}),
        released_ids=[change.item.id for change in released],
        snoozed_ids=sorted(one["item"] for one in resting),
        left_ids=[item for item in every if item not in untouched],
    )
    tx.emit(autopilot_undone, undone, subject=str(body.run_id))
    return undone


TABLE = Table(commands={contract.undo_run: undo})
