"""The policy of sessions at work: a shorter one holds for those that are open, too; and the job that ends what is over.

The edge refuses what is over at the very request (`services.gateway.identity.session_callers`); the job makes it
visible. Rows hold what counts for them, so that nobody has to look at the policy with each request.
"""

from __future__ import annotations

from datetime import timedelta

from libs.common import versions
from libs.common.contracts.gateway.session_policy import SESSION_POLICY, SessionPolicy
from libs.common.contracts.versions import Published
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx
from services.gateway.identity.session_ends import end, tell_ended
from services.gateway.sessions.keeping import limits_of, policy_of

KEPT = timedelta(days=90)
UNSTORED = timedelta(minutes=2)  # what gateways may have seen and not stored yet
AT_A_TIME = 500

# In one order, so that two gateways never wait for each other.
SHORTEN = """
UPDATE sessions SET idle_minutes = least(idle_minutes, $1), ends_at = least(ends_at, opened_at + $2)
FROM (
    SELECT session_id AS number FROM sessions
    WHERE ended_at IS NULL AND program = $3 AND (idle_minutes > $1 OR ends_at > opened_at + $2)
    ORDER BY session_id FOR UPDATE
) AS longer
WHERE session_id = number
"""
SELECT_TOO_MANY = """
SELECT session_id FROM (
    SELECT session_id, row_number() OVER (PARTITION BY username ORDER BY last_seen_at DESC, session_id DESC) AS place
    FROM sessions WHERE ended_at IS NULL
) AS ranked
WHERE place > $1 ORDER BY session_id LIMIT $2
"""
# The edge refuses them already; this makes it visible. `$3`: what gateways have seen and not stored yet.
END_WHAT_IS_OVER = """
WITH over AS (
    SELECT sessions.session_id, CASE
        WHEN NOT users.active THEN 'user'
        WHEN tokens.revoked_at IS NOT NULL OR tokens.expires_at <= $1 THEN 'token'
        WHEN sessions.ends_at <= $1 THEN 'over' ELSE 'idle' END AS reason
    FROM sessions JOIN users USING (username) LEFT JOIN tokens ON tokens.token_id = sessions.token_id
    WHERE sessions.ended_at IS NULL AND (NOT users.active OR tokens.revoked_at IS NOT NULL
        OR tokens.expires_at <= $1 OR sessions.ends_at <= $1
        OR sessions.last_seen_at + make_interval(mins => idle_minutes) + $3 <= $1)
    ORDER BY sessions.session_id LIMIT $2
)
UPDATE sessions SET ended_at = $1, ended_reason = over.reason FROM over
WHERE sessions.session_id = over.session_id AND sessions.ended_at IS NULL
RETURNING sessions.session_id, username, over.reason
"""
# Who comes with a secret of a login that has ended is refused whatever it is.
DELETE_PAST = """
DELETE FROM login_past USING sessions WHERE sessions.session_id = login_past.session_id AND ended_at IS NOT NULL
"""
DELETE_OLD = """
WITH gone AS (DELETE FROM sessions WHERE ended_at < $1 RETURNING 1) SELECT count(*) FROM gone
"""


async def watch(tx: Tx) -> JobDone | None:
    """End what is over, so that it shows in lists and in the audit log; forget what ended 90 days ago.

    The policy is held to once more: a session that was opened while it was being published knew the one before.
    """
    excess = await _hold_to(tx, await policy_of(tx.connection))
    ended = tell_ended(tx, await tx.connection.fetch(END_WHAT_IS_OVER, tx.now, AT_A_TIME, UNSTORED))
    await tx.connection.execute(DELETE_PAST)
    removed = await tx.connection.fetchval(DELETE_OLD, tx.now - KEPT)
    if not ended and not removed and not excess:
        return None
    return JobDone(detail={"ended_count": len(ended) + excess, "removed_count": removed})


async def hold_open_ones(tx: Tx, published: Published[SessionPolicy]) -> None:
    """What is open already is held to a shorter policy at once, in its own transaction; a longer one is for new ones.

    What is one too many by more than 500 goes with the job.
    """
    await _hold_to(tx, published.content)


async def _hold_to(tx: Tx, policy: SessionPolicy) -> int:
    """How many sessions ended for the quota."""
    for program in (False, True):
        idle, life = limits_of(policy, program=program)
        await tx.connection.execute(SHORTEN, int(idle.total_seconds() // 60), life, program)
    rows = await tx.connection.fetch(SELECT_TOO_MANY, policy.max_of_person, AT_A_TIME)
    return len(await end(tx, [row["session_id"] for row in rows], "quota"))


JOBS = Table(jobs=(Job("session_watch", Schedule("*/10 * * * *"), watch, looks=True),))
POLICY = versions.table(SESSION_POLICY, applied=hold_open_ones)
