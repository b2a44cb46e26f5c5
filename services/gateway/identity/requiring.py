"""Who must have a second factor by the policy and has none: noted once, told once, so that the grace has a beginning.

Crash here means: nothing; the job notes whom the publication did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from libs.common import versions
from libs.common.contracts.gateway.second_factor_policy import SECOND_FACTOR_POLICY, SecondFactorPolicy
from libs.common.contracts.gateway.second_factors import FactorDue, factor_due
from libs.common.contracts.roles import KEEPER, ROLES
from libs.common.listing import Source
from libs.common.problems import Conflict
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx
from libs.common.versions import EVERYWHERE

AT_A_TIME = 500

# Whom the policy means. $1: roles, $2: permissions of the installation's own roles, $3: now.
_MEANT = f"""users.active AND users.owner IS NULL AND users.role <> '{KEEPER}' AND (
    users.role = ANY ($1::text[]) OR users.own_permissions && $2::text[] OR EXISTS (
        SELECT FROM held_power WHERE held_power.username = users.username
            AND (held_power.role = ANY ($1::text[]) OR held_power.permissions && $2::text[])
            AND (held_power.ends_at IS NULL OR held_power.ends_at > $3::timestamptz)))"""
# Of those who have none. $4, $5: what a provider says of a sign-in that is enough (amr, acr).
_LACKING = f"""{_MEANT}
    AND NOT EXISTS (SELECT FROM second_factor WHERE second_factor.username = users.username
        AND confirmed_at IS NOT NULL)
    AND NOT EXISTS (SELECT FROM sessions WHERE sessions.username = users.username
        AND (sessions.amr && $4::text[] OR sessions.acr = ANY ($5::text[])))"""  # noqa: S608  only a constant of ours is put in
NOTE_LACKING = f"""
INSERT INTO second_factor_due (username, since) SELECT username, $3 FROM users WHERE {_LACKING}
    AND NOT EXISTS (SELECT FROM second_factor_due AS known WHERE known.username = users.username)
ORDER BY username LIMIT $6 ON CONFLICT DO NOTHING RETURNING username
"""  # noqa: S608  only constants of ours are put in
FORGET_OTHERS = f"""
DELETE FROM second_factor_due USING users WHERE users.username = second_factor_due.username AND ({_MEANT}) IS NOT TRUE
"""  # noqa: S608  only constants of ours are put in
LIST_LACKING = f"""
SELECT username FROM users WHERE {_LACKING} AND ($6::text IS NULL OR username = $6) ORDER BY username LIMIT 1000
"""  # noqa: S608  only constants of ours are put in
IS_MEANT = f"SELECT true FROM users WHERE username = $4 AND {_MEANT}"  # noqa: S608  the same
HAS_FACTOR = "SELECT true FROM second_factor WHERE username = $1 AND confirmed_at IS NOT NULL"
NOTE_ONE = "INSERT INTO second_factor_due (username, since) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true"


async def policy_of(source: Source) -> SecondFactorPolicy:
    """The policy in force."""
    return (await versions.current(source, SECOND_FACTOR_POLICY, EVERYWHERE)).content


def meant_by(policy: SecondFactorPolicy) -> tuple[list[str], list[str]]:
    """Roles that the policy means, also by what they hold, and permissions for the installation's own roles."""
    permissions = {name for name in policy.required_of if ":" in name}
    roles = set(policy.required_of) - permissions | {role for role, held in ROLES.items() if held & permissions}
    return sorted(roles), sorted(permissions)


def vouched(policy: SecondFactorPolicy, amr: Sequence[str], acr: str | None) -> bool:
    """Whether the provider has said enough of how a person came in."""
    return bool(set(amr) & set(policy.provider_amr)) or (acr is not None and acr in policy.provider_acr)


async def note_at_sign_in(tx: Tx, username: str, amr: Sequence[str], acr: str | None) -> None:
    """A session is being opened: if its person must have a second factor and shows none, the grace begins here.

    Not while the policy can't be read: whoever is to publish another one must come in. The job notes it after that.
    """
    try:
        policy = await policy_of(tx.connection)
    except Conflict:
        return
    if not policy.required_of or vouched(policy, amr, acr):
        return
    if not await tx.connection.fetchval(IS_MEANT, *meant_by(policy), tx.now, username):
        return
    if await tx.connection.fetchval(HAS_FACTOR, username):
        return
    if await tx.connection.fetchval(NOTE_ONE, username, tx.now):
        _tell(tx, policy, username)


async def note_all(tx: Tx, policy: SecondFactorPolicy) -> int:
    """Note who lacks one now, 500 at a time; how many were new. Who is not meant any more is forgotten."""
    roles, permissions = meant_by(policy)
    await tx.connection.execute(FORGET_OTHERS, roles, permissions, tx.now)
    if not policy.required_of:
        return 0
    rows = await tx.connection.fetch(
        NOTE_LACKING, roles, permissions, tx.now, policy.provider_amr, policy.provider_acr, AT_A_TIME
    )
    for row in rows:
        _tell(tx, policy, row["username"])
    return len(rows)


async def lacking(source: Source, now: datetime, username: str | None) -> list[str]:
    """The names of those who must have one and have none, at most 1,000; or only this one's."""
    policy = await policy_of(source)
    if not policy.required_of:
        return []
    given: tuple[Any, ...] = (*meant_by(policy), now, policy.provider_amr, policy.provider_acr, username)
    return [row["username"] for row in await source.fetch(LIST_LACKING, *given)]


async def watch(tx: Tx) -> JobDone | None:
    """Note who has come to be meant since: by another role, a grant or a team."""
    count = await note_all(tx, await policy_of(tx.connection))
    return JobDone(detail={"due_count": count}) if count else None


def _tell(tx: Tx, policy: SecondFactorPolicy, username: str) -> None:
    until = tx.now + timedelta(hours=policy.grace_hours)
    tx.emit(factor_due, FactorDue(username=username, until=until), subject=username)


JOBS = Table(jobs=(Job("second_factor_watch", Schedule("*/10 * * * *"), watch, looks=True),))
