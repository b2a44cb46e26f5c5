"""The job that tells of people who should sign in with their provider again, before their tokens are refused.

The edge refuses these at the very request (`services.gateway.identity.callers`), and takes them again after a sign-in:
nothing is revoked. Whoever was removed at the provider can't sign in, so no token outlives that for long.
"""

from __future__ import annotations

import math
from datetime import timedelta

from libs.common import versions
from libs.common.contracts.gateway.sign_in import PersonDue, person_due
from libs.common.contracts.gateway.token_policy import TOKEN_POLICY
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx
from libs.common.versions import EVERYWHERE

AT_A_TIME = 500

# Once each time, and only whom it concerns: who has a token that would work. What did not fit goes with the next run.
NOTE_DUE = """
UPDATE sign_in_link SET told_at = $1
FROM (
    SELECT link.username FROM sign_in_link AS link JOIN users USING (username)
    WHERE link.told_at IS NULL AND link.seen_at <= $2 AND users.active AND EXISTS (
        SELECT FROM tokens WHERE tokens.username = link.username AND revoked_at IS NULL AND expires_at > $1
            AND NOT standing
    )
    ORDER BY link.username LIMIT $3 FOR UPDATE OF link
) AS due
WHERE sign_in_link.username = due.username
RETURNING sign_in_link.username, provider, seen_at
"""


async def watch(tx: Tx) -> JobDone | None:
    """Tell of those whose last sign-in is nearly as long ago as it may be, each once."""
    policy = (await versions.current(tx.connection, TOKEN_POLICY, EVERYWHERE)).content
    within, lead = timedelta(days=policy.max_days_without_sign_in), timedelta(days=policy.sign_in_warning_days)
    rows = await tx.connection.fetch(NOTE_DUE, tx.now, tx.now - within + lead, AT_A_TIME)
    for row in sorted(rows, key=lambda one: str(one["username"])):
        at = row["seen_at"] + within
        told = PersonDue(
            username=row["username"],
            provider=row["provider"],
            at=at,
            left_days=max(0, math.ceil((at - tx.now) / timedelta(days=1))),
            action=f"Sign in at /api/sign-in/{row['provider']}; until then the tokens are refused from that moment on.",
        )
        tx.emit(person_due, told, subject=row["username"])
    return JobDone(detail={"told_count": len(rows)}) if rows else None


JOBS = Table(jobs=(Job("sign_in_watch", Schedule("37 * * * *"), watch, looks=True),))
