"""Answers which tokens somebody should look at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from libs.common.contracts.gateway import token_survey as contract
from libs.common.contracts.gateway.token_policy import TOKEN_POLICY
from libs.common.contracts.gateway.token_survey import MAX_NAMED, Named, NamedToken, SurveyWanted, TokenSurvey
from libs.common.contracts.roles import KEEPER
from libs.common.service import Read, Table
from libs.common.versions import EVERYWHERE, current
from services.gateway.identity.requiring import lacking, policy_of
from services.gateway.identity.users import WORKS

LOOKS = ("expiring", "stale", "rotate_overdue", "never_rotated", "dormant", "wildcard", "wildcard_non_owner", "shared")

# No networks, or one so wide that it binds to nothing: half of the internet is two of them.
UNBOUND_BY_CIDRS = """(cidrs IS NULL OR EXISTS (
    SELECT FROM unnest(cidrs) AS one WHERE masklen(one::cidr) < CASE family(one::cidr) WHEN 4 THEN 8 ELSE 16 END
))"""
# What is said of each live token; the keeper's follows the cluster secret and is nobody's to look after. A token that
# reaches all sites does so by its user, too. $1 now, $2 to $6 the moments, $7 how many addresses, $8 whose.
_LIVE = f"""
live AS (
    SELECT token_id, username, label, tokens.created_at, expires_at, last_used_at, users.role,
        coalesce(last_used_at, tokens.created_at) AS active_at,
        token_id IN (SELECT rotated_to FROM tokens WHERE rotated_to IS NOT NULL) AS succeeds,
        '*' = ANY (tokens.sites) AND '*' = ANY (users.sites) AND permissions IS NULL AND subjects IS NULL
            AND {UNBOUND_BY_CIDRS} AS wildcard,
        (SELECT count(*) FROM token_address
         WHERE token_address.token_id = tokens.token_id AND token_address.last_used_at >= $6) AS address_count
    FROM tokens JOIN users USING (username)
    WHERE revoked_at IS NULL AND expires_at > $1 AND rotated_to IS NULL AND rule IS NULL AND {WORKS}
        AND users.role <> $9 AND ($8::text IS NULL OR username = $8)
), judged AS (
    SELECT *, expires_at <= $2 AS is_expiring, active_at <= $3 AS is_stale, created_at <= $4 AS is_rotate_overdue,
        created_at <= $4 AND NOT succeeds AS is_never_rotated,
        active_at <= $5 AS is_dormant, wildcard AS is_wildcard, wildcard AND role <> 'owner' AS is_wildcard_non_owner,
        address_count >= $7 AS is_shared
    FROM live
)
"""  # noqa: S608  only a constant of ours is put in
COUNT_TOKENS = f"""
WITH {_LIVE}
SELECT count(*) AS active_tokens, {", ".join(f"count(*) FILTER (WHERE is_{one}) AS {one}" for one in LOOKS)} FROM judged
"""  # noqa: S608  names of our own
NAME_TOKENS = f"""
WITH {_LIVE}
{
    " UNION ALL ".join(
        f"(SELECT '{one}' AS look, {', '.join(NamedToken.model_fields)} FROM judged WHERE is_{one} "
        f"ORDER BY token_id LIMIT {MAX_NAMED})"
        for one in LOOKS
    )
}
"""  # noqa: S608  names of our own
COUNT_USERS = """
SELECT count(*) AS total_users, count(*) FILTER (WHERE active) AS active_users FROM users
WHERE role <> $2 AND (owner IS NULL AND $1::text IS NULL OR username = $1)
"""
LIST_WITHOUT = """
SELECT username FROM users WHERE active AND role <> $3 AND owner IS NULL AND ($2::text IS NULL OR username = $2)
    AND NOT EXISTS (
    SELECT FROM tokens WHERE tokens.username = users.username AND revoked_at IS NULL AND expires_at > $1
) AND NOT EXISTS (SELECT FROM sign_in_link WHERE sign_in_link.username = users.username)
    AND NOT EXISTS (SELECT FROM password WHERE password.username = users.username)
ORDER BY username LIMIT 1000
"""


async def survey(read: Read, wanted: SurveyWanted) -> TokenSurvey:
    """Of all tokens, or of one user's."""
    rotate_after = (await current(read.pool, TOKEN_POLICY, EVERYWHERE)).content.rotate_after_days
    values = (
        read.now,
        read.now + timedelta(days=wanted.expiring_days),
        read.now - timedelta(days=wanted.stale_days),
        read.now - timedelta(days=rotate_after),
        read.now - timedelta(days=wanted.dormant_days),
        read.now - timedelta(days=wanted.shared_days),
        wanted.shared_addresses,
        wanted.username,
        KEEPER,
    )
    counts = await read.pool.fetchrow(COUNT_TOKENS, *values)
    rows = await read.pool.fetch(NAME_TOKENS, *values)
    users = await read.pool.fetchrow(COUNT_USERS, wanted.username, KEEPER)
    without = await read.pool.fetch(LIST_WITHOUT, read.now, wanted.username, KEEPER)
    assert counts is not None  # noqa: S101 - a count has one row
    assert users is not None  # noqa: S101 - and this one, too
    found: dict[str, Any] = {look: _named(counts[look], look, rows) for look in LOOKS}
    found["active_users_without_token"] = [row["username"] for row in without]
    found["users_without_second_factor"] = await lacking(read.pool, read.now, wanted.username)
    policy = await policy_of(read.pool)
    found["tokens_pass_step_up"] = wanted.username is None and bool(policy.step_up) and policy.tokens == "allowed"
    return TokenSurvey(active_tokens=counts["active_tokens"], **dict(users), **found)


def _named(count: int, look: str, rows: Sequence[Any]) -> Named:
    mine = [dict(row) for row in rows if row["look"] == look]
    return Named(count=count, items=[NamedToken(**{k: v for k, v in one.items() if k != "look"}) for one in mine])


TABLE = Table(queries={contract.survey_tokens: survey})
