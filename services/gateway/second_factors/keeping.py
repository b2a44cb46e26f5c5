"""Second factors as rows: begun, confirmed, shown, gone. What was shown is judged at the edge; here it counts once.

Crash here means: nothing; a code or a recovery code is used up only together with what it was shown for.
"""

from __future__ import annotations

from libs.common.contracts.gateway import second_factors as contract
from libs.common.contracts.gateway.second_factors import (
    FactorBegin,
    FactorBegun,
    FactorConfirm,
    FactorGone,
    FactorKey,
    FactorProof,
    FactorRecovered,
    FactorRemove,
    FactorTold,
    FactorView,
    factor_confirmed,
    factor_recovered,
    factor_removed,
)
from libs.common.problems import Conflict, Forbidden, NotFound
from libs.common.service import Table, Tx
from services.gateway.identity.below import lock_lesser
from services.gateway.identity.requiring import NOTE_ONE
from services.gateway.identity.session_ends import end, open_of

AGAIN = "This code is wrong, or was used already; wait for the next one that the app shows."
LOCK_CONFIRMED = "SELECT confirmed_at FROM second_factor WHERE username = $1 AND confirmed_at IS NOT NULL FOR UPDATE"
UPSERT_BEGUN = """
INSERT INTO second_factor (username, sealed, fingerprint, begun_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (username) DO UPDATE SET sealed = excluded.sealed, fingerprint = excluded.fingerprint,
    begun_at = excluded.begun_at
WHERE second_factor.confirmed_at IS NULL RETURNING true
"""
CONFIRM = """
UPDATE second_factor SET confirmed_at = $3, last_step = $4
WHERE username = $1 AND fingerprint = $2 AND confirmed_at IS NULL RETURNING true
"""
USE_STEP = """
UPDATE second_factor SET last_step = $2 WHERE username = $1 AND confirmed_at IS NOT NULL AND last_step < $2
RETURNING true
"""
USE_RECOVERY = "DELETE FROM recovery_code WHERE username = $1 AND code_sha256 = $2 RETURNING true"
COUNT_RECOVERY = "SELECT count(*) FROM recovery_code WHERE username = $1"
INSERT_RECOVERY = "INSERT INTO recovery_code (username, code_sha256) SELECT $1, unnest($2::bytea[])"
DELETE_RECOVERY = "DELETE FROM recovery_code WHERE username = $1"
# A factor that is gone vouches for nothing that comes later.
FORGET_SHOWN = "UPDATE sessions SET factor_at = NULL WHERE username = $1 AND ended_at IS NULL"
DELETE_FACTOR = "DELETE FROM second_factor WHERE username = $1 RETURNING confirmed_at"


async def begin(tx: Tx, body: FactorBegin) -> FactorBegun:
    """Keep a secret that counts nowhere yet. Raises `Conflict` for who has a second factor already."""
    given = (tx.actor, body.secret, body.fingerprint, tx.now)
    if not await tx.connection.fetchval(UPSERT_BEGUN, *given):
        raise Conflict("You have a second factor already; POST /api/me/second-factor/drop takes it away with a code.")
    return FactorBegun(username=tx.actor, fingerprint=body.fingerprint)


async def confirm(tx: Tx, body: FactorConfirm) -> FactorView:
    """From now on a code is asked for. Raises `Conflict` if another was begun, or confirmed, meanwhile."""
    if not await tx.connection.fetchval(CONFIRM, tx.actor, body.fingerprint, tx.now, body.proof.step):
        raise Conflict("This second factor was begun anew meanwhile, or is confirmed already; begin again if need be.")
    codes = [bytes.fromhex(one) for one in body.recovery_sha256s]
    await tx.connection.execute(DELETE_RECOVERY, tx.actor)
    await tx.connection.execute(INSERT_RECOVERY, tx.actor, codes)
    tx.emit(factor_confirmed, FactorTold(username=tx.actor, confirmed_at=tx.now), subject=tx.actor)
    return FactorView(
        username=tx.actor, confirmed_at=tx.now, recovery_codes_left=len(codes), fingerprint=body.codes_fingerprint
    )


async def drop(tx: Tx, body: FactorRemove) -> FactorView:
    """Take one's own away. Raises `Forbidden` for a code that was used."""
    if not await shown(tx, body.proof):
        raise Forbidden(AGAIN)
    await _remove(tx, tx.actor)
    tx.emit(factor_removed, FactorGone(username=tx.actor, by="person"), subject=tx.actor)
    return FactorView(username=tx.actor)


async def reset(tx: Tx, body: FactorKey) -> FactorView:
    """Take a user's away, also one that was only begun. Raises `NotFound`, `Forbidden` for who holds more."""
    await lock_lesser(tx, body.username, body)
    if not await _remove(tx, body.username):
        raise NotFound(f"{body.username} has no second factor.")
    await end(tx, await open_of(tx.connection, body.username), "password")
    tx.emit(factor_removed, FactorGone(username=body.username, by="administrator"), subject=body.username)
    return FactorView(username=body.username)


async def shown(tx: Tx, proof: FactorProof | None) -> bool:
    """Whether the actor has shown a second factor that counts; it counts no second time."""
    if proof is not None and proof.step is not None:
        return await tx.connection.fetchval(USE_STEP, tx.actor, proof.step) is not None
    if proof is None or proof.recovery_sha256 is None:
        return False
    if not await tx.connection.fetchval(USE_RECOVERY, tx.actor, bytes.fromhex(proof.recovery_sha256)):
        return False
    left = await tx.connection.fetchval(COUNT_RECOVERY, tx.actor)
    tx.emit(factor_recovered, FactorRecovered(username=tx.actor, recovery_codes_left=left), subject=tx.actor)
    return True


async def needs_one(tx: Tx) -> bool:
    """Whether the actor has a second factor, so that a password alone is not enough."""
    return await tx.connection.fetchval(LOCK_CONFIRMED, tx.actor) is not None


async def _remove(tx: Tx, username: str) -> bool:
    await tx.connection.execute(DELETE_RECOVERY, username)
    await tx.connection.execute(FORGET_SHOWN, username)
    rows = await tx.connection.fetch(DELETE_FACTOR, username)
    # Who had one and must have one knows it already: no hours of grace begin.
    for row in rows:
        if row["confirmed_at"] is not None:
            await tx.connection.execute(NOTE_ONE, username, row["confirmed_at"])
    return bool(rows)


TABLE = Table(
    commands={
        contract.begin_factor: begin,
        contract.confirm_factor: confirm,
        contract.drop_factor: drop,
        contract.reset_factor: reset,
    }
)
