"""How many parts a kind may have. Senders name parts, and a gate run reads the facts of all, so they are bounded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from libs.common.problems import Invalid
from libs.common.service import Tx
from libs.judge.facts import MAX_PARTS

ALERTS = "alert.alertmanager"
RESOLVED_KEPT = timedelta(days=7)

# Only groups that no verdict depends on: nothing fires in them, nothing was left out, no heartbeat.
DROP_RESOLVED = """
DELETE FROM facts USING signals
WHERE facts.site = $1 AND facts.subject = ANY ($2::text[]) AND facts.kind = $3 AND facts.time < $4
    AND signals.signal_id = facts.signal_id AND signals.valid AND signals.data ->> 'status' = 'resolved'
    AND NOT signals.data -> 'alerts' @> '[{"status": "firing"}]'
    AND signals.data -> 'truncated_alerts' = '0' AND signals.data -> 'watchdog' = 'false'
"""
# LIMIT inside, so that the number of rows read is bounded, too.
SELECT_CROWDED = """
SELECT asked.subject, asked.version, asked.kind
FROM unnest($2::text[], $3::text[], $4::text[]) AS asked (subject, version, kind)
CROSS JOIN LATERAL (
    SELECT count(*) AS parts FROM (
        SELECT 1 FROM facts WHERE facts.site = $1 AND facts.subject = asked.subject
            AND facts.version = asked.version AND facts.kind = asked.kind AND facts.voice = ''
        LIMIT $5 + 1
    ) AS found
) AS counted
WHERE counted.parts > $5 LIMIT 1
"""


async def refuse_too_many(tx: Tx, opened: Iterable[tuple[str, str, str]]) -> None:
    """Raise `Invalid` if one of these (subject, version, kind), to which parts were added, now has too many.

    The caller's transaction is seen, others that are not yet committed are not: commands that open parts at one
    moment in several instances may pass the limit, each by at most ``MAX_PARTS``.
    """
    groups = sorted(set(opened))
    alerting = sorted({subject for subject, _version, kind in groups if kind == ALERTS})
    if alerting:
        await tx.connection.execute(DROP_RESOLVED, tx.site, alerting, ALERTS, tx.now - RESOLVED_KEPT)
    subjects, versions, kinds = ([group[place] for group in groups] for place in range(3))
    crowded = await tx.connection.fetchrow(SELECT_CROWDED, tx.site, subjects, versions, kinds, MAX_PARTS)
    if crowded is not None:
        of_version = f" version {crowded['version']}" if crowded["version"] else ""
        raise Invalid(
            f"{crowded['kind']} of {crowded['subject']}{of_version} would have more than {MAX_PARTS} parts; use the "
            "same part names again in each report instead of new ones. Nothing of this request was stored.",
            max_parts=MAX_PARTS,
        )
