"""What the notifier answers for a step of an escalation: whom it reached. A level that reached nobody goes on at once.

Each key is answered once; a step takes the first answer and no other.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from libs.common.contracts.notifier.escalations import EscalationAnswer, escalation_delivered, escalation_failed
from libs.common.contracts.tracker.escalation import EscalationUnreached, escalation_unreached
from libs.common.listing import Source
from libs.common.problems import Refusal
from libs.common.service import Table, Tx
from libs.common.telemetry import log
from services.tracker.chains import rules_of, thaw
from services.tracker.ladder import advance

# A level that was reached after all, by a telling again, is not to be told of any more.
KEEP_DELIVERED = """
WITH step AS (
    UPDATE escalation_step SET dispatched = true, answer = $2, answered_at = $3
    WHERE key = $1 AND answered_at IS NULL RETURNING item, episode, level
)
UPDATE escalation SET reached = true FROM step
WHERE escalation.item = step.item AND escalation.episode = step.episode AND escalation.level = step.level
    AND NOT reached
"""
KEEP_FAILED = """
UPDATE escalation_step SET dispatched = false, answer = $2, answered_at = $3
WHERE key = $1 AND answered_at IS NULL RETURNING item, episode, level
"""
# Behind a level that reached nobody the next has nothing to wait for (`domain.escalation.next_step`). What rests or has
# come to its end stays so; who acknowledged or snoozed finds it due when the escalation goes on.
UNREACH = """
UPDATE escalation SET reached = false,
    look_at = CASE WHEN look_at IS NOT NULL THEN greatest($4, snoozed_until) END
FROM item, frozen_chain
WHERE escalation.item = $1 AND escalation.episode = $2 AND escalation.level = $3
    AND item.id = escalation.item AND digest = chain_digest
    AND NOT EXISTS (
        SELECT FROM escalation_step AS other
        WHERE other.item = $1 AND other.episode = $2 AND other.level = $3 AND other.dispatched
    )
RETURNING rule_id, content,
    acknowledged_at IS NULL AND (snoozed_until IS NULL OR snoozed_until <= $4) AND item.episode = escalation.episode
        AND is_active AND status <> 'done' AND paused_at IS NULL AS present
"""
COUNT_ANSWERS = """
SELECT count(*) AS raised, count(*) FILTER (WHERE dispatched) AS dispatched,
    count(*) FILTER (WHERE NOT dispatched) AS failed, min(answer->>'error') FILTER (WHERE NOT dispatched) AS error
FROM escalation_step WHERE cause = $1 AND outcome = 'raised'
"""
COUNT_CHANNELS = """
SELECT channel AS target, count(*) FILTER (WHERE state = 'delivered') AS delivered_count,
    count(*) FILTER (WHERE state = 'failed') AS failed_count,
    count(*) FILTER (WHERE state = 'pending') AS pending_count,
    min(error) FILTER (WHERE state = 'failed') AS error
FROM escalation_step, jsonb_to_recordset(answer->'deliveries') AS one (channel text, state text, error text)
WHERE cause = $1 AND outcome = 'raised'
GROUP BY channel ORDER BY channel LIMIT 200
"""


async def on_delivered(tx: Tx, answer: EscalationAnswer) -> None:
    """Note that a step was told."""
    await tx.connection.execute(KEEP_DELIVERED, answer.key, _kept(answer), tx.now)


async def on_failed(tx: Tx, answer: EscalationAnswer) -> None:
    """Note that a step reached nobody. If nothing of its level did, the next is told; of the last this is told."""
    step = await tx.connection.fetchrow(KEEP_FAILED, answer.key, _kept(answer), tx.now)
    if step is None:
        return
    at = (step["item"], step["episode"], step["level"])
    row = await tx.connection.fetchrow(UNREACH, *at, tx.now)
    if row is None or not row["present"]:
        return
    chain = thaw(row["content"])
    if chain is not None and step["level"] < len(chain.levels):
        await _go_on(tx)
        return
    told = EscalationUnreached(
        key=answer.key,
        item_id=step["item"],
        episode=step["episode"],
        rule_id=row["rule_id"],
        level=step["level"],
        chain=chain.name if chain is not None else None,
        error=answer.error or "",
    )
    tx.emit(escalation_unreached, told, subject=str(step["item"]))


async def _go_on(tx: Tx) -> None:
    """Take what is due at the site now. If its documents can't be read, the ladder does it when they are mended."""
    try:
        rules = await rules_of(tx.connection, tx.site, tx.now)
    except Refusal as error:
        log.warning("escalation waits", site=tx.site, error=error.detail)
        return
    if rules.settings.enabled and rules.settings.notify_enabled:
        await advance(tx, {tx.site: rules})


def _kept(answer: EscalationAnswer) -> dict[str, Any]:
    return answer.model_dump(mode="json", include={"deliveries", "without_channel", "error"})


async def notified(source: Source, cause: UUID) -> dict[str, Any]:
    """The fields ``notify_*`` of a run, as far as is known now; ``cause`` is the message that made it."""
    (counted,) = await source.fetch(COUNT_ANSWERS, cause)
    raised, failed = counted["raised"], counted["failed"]
    channels = await source.fetch(COUNT_CHANNELS, cause)
    return {
        "notify_attempted": raised > 0,
        "notify_dispatched": counted["dispatched"] > 0,
        "notify_error": f"{failed} of {raised} reached nobody. {counted['error'] or ''}".rstrip() if failed else None,
        "notify_channels": [
            {**row, "success": row["delivered_count"] > 0 and not row["failed_count"]} for row in channels
        ],
        "notify_pending_count": raised - counted["dispatched"] - failed,
    }


TABLE = Table(events={escalation_delivered: on_delivered, escalation_failed: on_failed})
