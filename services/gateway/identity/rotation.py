"""Rotation: a new token in the place of an old one, which works on for a while."""

from __future__ import annotations

from datetime import timedelta

from libs.common.contracts.changes import stated
from libs.common.contracts.gateway import tokens as contract
from libs.common.contracts.gateway.token_policy import TOKEN_POLICY
from libs.common.contracts.gateway.tokens import (
    TokenIssued,
    TokenRotated,
    TokenRotateSealed,
    TokenView,
    token_issued,
    token_rotated,
)
from libs.common.problems import Conflict, NotFound
from libs.common.service import Table, Tx
from libs.common.versions import EVERYWHERE, current
from services.gateway.domain.scope import narrow
from services.gateway.domain.token_lives import ends
from services.gateway.identity import keeper
from services.gateway.identity.token_ends import require_working
from services.gateway.identity.token_lives import life_in, rules_of
from services.gateway.identity.tokens import COLUMNS, life_of, reachable
from services.gateway.identity.users import SELECT_USER

SELECT_LIFE = """
SELECT created_at, expires_at, greatest(idle_from, last_used_at) AS active_at, standing FROM tokens WHERE token_id = $1
"""
INSERT_SUCCESSOR = f"""
INSERT INTO tokens (secret_sha256, username, label, sites, created_at, idle_from, expires_at, standing, permissions,
    subjects, cidrs)
SELECT $2, username, label, $3, $4, $4, $5, standing, permissions, subjects, cidrs FROM tokens WHERE token_id = $1
ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
MARK_ROTATED = """
UPDATE tokens SET rotated_to = $2, expires_at = least(expires_at, $3) WHERE token_id = $1 RETURNING expires_at
"""


async def rotate_token(tx: Tx, body: TokenRotateSealed) -> TokenIssued:
    """Replace a token that still works, of oneself or, as for revoking, of somebody else.

    The new one has the label and scope of the old one, as far as the caller's own reaches, and by itself its length of
    life; so rotating gives nobody more than issuing would. Raises `NotFound`, `Forbidden`, `Conflict` and `Invalid`.
    """
    old = await reachable(tx, body.token_id, body)
    await require_working(tx, body)
    policy = (await current(tx.connection, TOKEN_POLICY, EVERYWHERE)).content
    row = await tx.connection.fetchrow(SELECT_LIFE, body.token_id)
    assert row is not None  # noqa: S101  it is locked
    life = life_in(row)
    if (old["username"], old["label"]) == (keeper.USER, keeper.LABEL):
        raise Conflict("The keeper's token is made of the cluster secret; change that instead (docs/operations.md).")
    if old["rule"] is not None:
        raise Conflict(
            f"The token {body.token_id} was given by the rule {old['rule']} for minutes; log in again instead."
        )
    if old["rotated_to"] is not None:
        raise Conflict(f"The token {body.token_id} was rotated already: {old['rotated_to']} came in its place.")
    if old["revoked_at"] is not None or ends(life, rules_of(policy))[0] <= tx.now:
        raise Conflict(f"The token {body.token_id} works no more, so there is nothing to replace; issue a new one.")
    user = await tx.connection.fetchrow(SELECT_USER, old["username"])
    if user is None:
        raise NotFound(f"There is no user {old['username']}.")
    if not user["active"]:
        raise Conflict(f"{old['username']} is not active, or who answers for it is not.")
    lifetime = life_of(policy, body.expires_in_hours)
    if body.expires_in_hours is None:
        lifetime = min(old["expires_at"] - old["created_at"], timedelta(days=policy.max_ttl_days))
    row = await tx.connection.fetchrow(
        INSERT_SUCCESSOR,
        body.token_id,
        bytes.fromhex(body.secret_sha256),
        list(narrow(old["sites"], body.caller_sites)),
        tx.now,
        tx.now + lifetime,
    )
    if row is None:
        raise Conflict("This secret is in use already; ask again.")
    overlap_end = tx.now + timedelta(minutes=body.overlap_minutes)
    works_until = await tx.connection.fetchval(MARK_ROTATED, body.token_id, row["token_id"], overlap_end)
    given = {"token_id": body.token_id, "username": old["username"], "new_token_id": row["token_id"]}
    changes = stated(dict(old), {"rotated_to": row["token_id"], "expires_at": works_until})
    told = TokenRotated(**given, works_until=works_until, changes=changes)
    tx.emit(token_rotated, told, subject=str(body.token_id))
    tx.emit(token_issued, TokenView(**row), subject=str(row["token_id"]))
    return TokenIssued(**row, replaces=old["fingerprint"])


TABLE = Table(commands={contract.rotate_token: rotate_token})
