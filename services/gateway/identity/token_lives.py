"""The policy of tokens at work: what it says as durations, and the job that tells of what is due and ends what is over.

The edge refuses what is over at the very request (`services.gateway.identity.callers`); the job makes it visible.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from functools import lru_cache

import asyncpg
from pydantic import ValidationError

from libs.common import versions
from libs.common.contracts.gateway.token_policy import TOKEN_POLICY, TokenPolicy
from libs.common.contracts.gateway.tokens import TokenDue, token_aging, token_expiring, token_idling
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx
from libs.common.telemetry import log
from libs.common.versions import EVERYWHERE
from services.gateway.domain.token_lives import Due, Life, Rules, Told, due, own_end
from services.gateway.identity import keeper
from services.gateway.identity.token_ends import end_tokens
from services.gateway.identity.users import WORKS

PAGE = 500
MAX_PAGES = 200  # 100,000 live tokens, more than there may be of 100 users

# Of a token that was rotated there is nothing more to tell, nor of the keeper's, which follows the cluster secret.
SELECT_LIVES = f"""
SELECT token_id, username, label, tokens.created_at, expires_at, standing,
    greatest(idle_from, last_used_at) AS active_at, told_expiry_days, told_rotation, told_idle_at
FROM tokens JOIN users USING (username)
WHERE tokens.revoked_at IS NULL AND tokens.token_id > $1 AND tokens.expires_at > $2 AND {WORKS}
    AND tokens.rotated_to IS NULL AND tokens.rule IS NULL AND (username <> $4 OR label <> $5)
ORDER BY token_id LIMIT $3
"""  # noqa: S608  only a constant of ours is put in
NOTE_TOLD = """
UPDATE tokens SET told_expiry_days = coalesce(told.expiry_days, told_expiry_days),
    told_rotation = greatest(told.rotation, told_rotation), told_idle_at = coalesce(told.idle_at, told_idle_at)
FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::timestamptz[])
    AS told (token_id, expiry_days, rotation, idle_at)
WHERE tokens.token_id = told.token_id
"""


def rules_of(policy: TokenPolicy) -> Rules:
    """The policy as durations."""
    return Rules(
        rotate_after=timedelta(days=policy.rotate_after_days),
        rotate_lead=timedelta(days=policy.rotate_warning_days),
        rotation_required=policy.rotation_required,
        max_idle=timedelta(days=policy.max_idle_days),
        idle_lead=timedelta(days=policy.idle_warning_days),
        expiry_leads=tuple(timedelta(days=days) for days in policy.expiry_warning_days),
        max_life=timedelta(days=policy.max_ttl_days),
        sign_in_within=timedelta(days=policy.max_days_without_sign_in),
    )


@lru_cache(maxsize=4)
def rules_in(content: str | None) -> Rules:
    """The rules of a stored policy; those of the default if there is none, or none that this version can read.

    Not to let anybody in would lock out those who could mend it.
    """
    try:
        return rules_of(TokenPolicy.model_validate_json(content) if content else TOKEN_POLICY.default)
    except ValidationError as error:
        log.error("the policy of tokens can't be read; the default holds", error=repr(error))
        return rules_of(TOKEN_POLICY.default)


def life_in(row: asyncpg.Record) -> Life:
    """What a row says of a token's life."""
    signed_in_at = row.get("signed_in_at")  # only where callers are looked up: that nobody signed in ends no token
    return Life(row["created_at"], row["expires_at"], row["active_at"], row["standing"], signed_in_at)


async def watch(tx: Tx) -> JobDone | None:
    """Tell of tokens that end, are due for rotation or idle soon, each once; end those that are over by the policy."""
    policy = (await versions.current(tx.connection, TOKEN_POLICY, EVERYWHERE)).content
    rules, after, counts = (
        rules_of(policy),
        0,
        {"expiring": 0, "aging": 0, "idling": 0, "idle": 0, "rotation": 0, "age": 0},
    )
    for _ in range(MAX_PAGES):
        rows = await tx.connection.fetch(SELECT_LIVES, after, tx.now, PAGE, keeper.USER, keeper.LABEL)
        told: list[tuple[int, int | None, int, datetime | None]] = []
        for row in rows:
            found = due(life_in(row), _told(row), rules, tx.now)
            if found.ended in ("idle", "rotation", "age"):
                counts[found.ended] += len(await end_tokens(tx, [row["token_id"]], found.ended))
            elif found != Due():
                _tell(tx, row, found, rules, counts)
                lead = None if found.lead is None else found.lead.days
                told.append((row["token_id"], lead, found.rotation, tx.now if found.idle else None))
        if told:
            await tx.connection.execute(NOTE_TOLD, *(list(column) for column in zip(*told, strict=True)))
        if len(rows) < PAGE:
            break
        after = rows[-1]["token_id"]
    else:
        log.warning("not all tokens were looked at", looked_at=PAGE * MAX_PAGES)
    return JobDone(detail=counts) if any(counts.values()) else None


def _told(row: asyncpg.Record) -> Told:
    days = row["told_expiry_days"]
    return Told(None if days is None else timedelta(days=days), row["told_rotation"], row["told_idle_at"])


def _tell(tx: Tx, row: asyncpg.Record, found: Due, rules: Rules, counts: dict[str, int]) -> None:
    number = row["token_id"]
    rotate = f"Rotate it: headgate tokens rotate {number}"
    if found.lead is not None:
        over_at = own_end(life_in(row), rules)
        _emit(tx, row, "expiring", over_at, f"{rotate}; or let it end, if nobody needs it.", counts)
    if found.rotation:
        consequence = "; from then on it is refused." if rules.rotation_required and not row["standing"] else "."
        _emit(tx, row, "aging", row["created_at"] + rules.rotate_after, rotate + consequence, counts)
    if found.idle:
        action = f"Use it, or revoke it: headgate tokens revoke {number}."
        _emit(tx, row, "idling", row["active_at"] + rules.max_idle, action, counts)


def _emit(tx: Tx, row: asyncpg.Record, what: str, at: datetime, action: str, counts: dict[str, int]) -> None:
    event = {"expiring": token_expiring, "aging": token_aging, "idling": token_idling}[what]
    left_days = max(0, math.ceil((at - tx.now) / timedelta(days=1)))
    given = {name: row[name] for name in ("token_id", "username", "label")}
    tx.emit(event, TokenDue(**given, at=at, left_days=left_days, action=action), subject=str(row["token_id"]))
    counts[what] += 1


JOBS = Table(jobs=(Job("token_watch", Schedule("23 * * * *"), watch, looks=True),))
POLICY = versions.table(TOKEN_POLICY)
