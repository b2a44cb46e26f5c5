"""Passwords as rows: codes for choosing one, setting, changing and removing it, and the session that it opens.

What is kept is sealed; what is judged was judged at the edge (`checking`), of the very revision that is named here.
Crash here means: nothing; a code counts as used only if the password that was chosen with it is stored.
"""

from __future__ import annotations

from datetime import timedelta

from libs.common.contracts.base import MOST_ROWS
from libs.common.contracts.changes import FieldChange
from libs.common.contracts.gateway import passwords as contract
from libs.common.contracts.gateway.passwords import (
    PasswordChanged,
    PasswordChangeSealed,
    PasswordCodeMade,
    PasswordEntered,
    PasswordFilter,
    PasswordGone,
    PasswordInvited,
    PasswordInviteSealed,
    PasswordKey,
    PasswordSetSealed,
    PasswordView,
    password_changed,
    password_invited,
    password_removed,
)
from libs.common.contracts.gateway.sessions import SessionOpened
from libs.common.contracts.roles import KEEPER
from libs.common.problems import Conflict, NotFound, Unauthorized
from libs.common.service import Read, Table, Tx
from services.gateway.identity.below import lock_lesser
from services.gateway.identity.session_ends import end, open_of
from services.gateway.passwords.tries import forgive
from services.gateway.second_factors.keeping import needs_one, shown
from services.gateway.sessions.keeping import LOCK_PERSON, store

WRONG = (
    "Name, password or the code of your second factor is wrong, or you may not come in here. Ask an administrator if "
    "you have forgotten or lost one."
)
WRONG_CODE = (
    "The code is wrong, was used, or is over, or you may not come in here. Ask an administrator for another one."
)

UPSERT_CODE = """
INSERT INTO password_code (username, code_sha256, expires_at) VALUES ($1, $2, $3)
ON CONFLICT (username) DO UPDATE SET code_sha256 = excluded.code_sha256, expires_at = excluded.expires_at
"""
USE_CODE = """
DELETE FROM password_code WHERE username = $1 AND code_sha256 = $2 AND expires_at > $3 RETURNING true
"""
UPSERT_HASH = """
INSERT INTO password (username, sealed, set_at) VALUES ($1, $2, $3)
ON CONFLICT (username) DO UPDATE SET sealed = excluded.sealed, set_at = excluded.set_at,
    revision = password.revision + 1
RETURNING set_at
"""
REPLACE_HASH = """
UPDATE password SET sealed = $3, set_at = $4, revision = revision + 1 WHERE username = $1 AND revision = $2
RETURNING set_at
"""
DELETE_HASH = "DELETE FROM password WHERE username = $1 RETURNING true"
DELETE_CODE = "DELETE FROM password_code WHERE username = $1 RETURNING true"
IS_REVISION = "SELECT true FROM password WHERE username = $1 AND revision = $2 FOR SHARE"
OPEN_BY_NOTHING_ELSE = """
SELECT session_id FROM sessions WHERE username = $1 AND ended_at IS NULL AND token_id IS NULL AND provider IS NULL
ORDER BY session_id
"""
SELECT_ALL = """
SELECT username, set_at, CASE WHEN expires_at > $1 THEN expires_at END AS code_until, EXISTS (
    SELECT FROM second_factor WHERE confirmed_at IS NOT NULL AND second_factor.username = users.username
) AS second_factor
FROM users LEFT JOIN password USING (username) LEFT JOIN password_code USING (username)
WHERE username > coalesce($3::text, '') AND ($4::text IS NULL OR username = $4)
    AND (set_at IS NOT NULL OR expires_at > $1)
ORDER BY username LIMIT $2
"""


async def invite(tx: Tx, body: PasswordInviteSealed) -> PasswordInvited:
    """Keep a code; one that was out before is no longer good. The password that is there is, until it is used.

    Raises `NotFound`, `Forbidden` for who holds more than the caller, and `Conflict` for the keeper, who is no person.
    """
    if await lock_lesser(tx, body.username, body) == KEEPER:
        raise Conflict(f"{body.username} is a process of this installation, and has no password.")
    expires_at = tx.now + timedelta(hours=body.expires_in_hours)
    await tx.connection.execute(UPSERT_CODE, body.username, bytes.fromhex(body.secret_sha256), expires_at)
    told = PasswordCodeMade(username=body.username, expires_at=expires_at)
    tx.emit(password_invited, told, subject=body.username)
    return PasswordInvited(username=body.username, expires_at=expires_at, fingerprint=body.secret_sha256[:16])


async def set_by_code(tx: Tx, body: PasswordSetSealed) -> PasswordView:
    """Take the password that was chosen with a code, once. Who had another one before may have lost it to somebody:
    all sessions end. Raises `Unauthorized`.
    """
    person = await tx.connection.fetchval(LOCK_PERSON, tx.actor)
    code = bytes.fromhex(body.code_sha256)
    if person is None or not await tx.connection.fetchval(USE_CODE, tx.actor, code, tx.now):
        raise Unauthorized(WRONG_CODE)
    set_at = await tx.connection.fetchval(UPSERT_HASH, tx.actor, body.password, tx.now)
    await end(tx, await open_of(tx.connection, tx.actor), "password")
    _tell(tx, "code")
    return PasswordView(username=tx.actor, set_at=set_at)


async def change(tx: Tx, body: PasswordChangeSealed) -> PasswordView:
    """Take another password of a person who knew the present one; their other sessions end. Raises `Conflict`."""
    given = (tx.actor, body.revision, body.password, tx.now)
    set_at = await tx.connection.fetchval(REPLACE_HASH, *given)
    if set_at is None:
        raise Conflict("Your password was changed at this very moment; try again with the one that is good now.")
    await forgive(tx.connection, body.tries, tx.now)
    open_ = await open_of(tx.connection, tx.actor)
    await end(tx, [number for number in open_ if number != body.caller_session_id], "password")
    _tell(tx, "change")
    return PasswordView(username=tx.actor, set_at=set_at)


async def remove(tx: Tx, body: PasswordKey) -> PasswordView:
    """Take password and code away, and end what was opened with it. Raises `NotFound` if there is neither."""
    await lock_lesser(tx, body.username, body)
    gone = [await tx.connection.fetchval(sql, body.username) for sql in (DELETE_HASH, DELETE_CODE)]
    if not any(gone):
        raise NotFound(f"{body.username} has no password, and no code for one.")
    open_ = await tx.connection.fetch(OPEN_BY_NOTHING_ELSE, body.username)
    await end(tx, [row["session_id"] for row in open_], "password")
    tx.emit(password_removed, PasswordGone(username=body.username), subject=body.username)
    return PasswordView(username=body.username)


async def enter(tx: Tx, body: PasswordEntered) -> SessionOpened:
    """Open a session for who knew the password; what was counted is taken off again. Raises `Unauthorized`."""
    person = await tx.connection.fetchval(LOCK_PERSON, tx.actor)
    if person is None or not await tx.connection.fetchval(IS_REVISION, tx.actor, body.revision):
        raise Unauthorized(WRONG)
    proven = await shown(tx, body.proof)
    if not proven and await needs_one(tx):
        raise Unauthorized(WRONG)
    await forgive(tx.connection, body.tries, tx.now)
    return await store(tx, body, tx.actor, factor_at=tx.now if proven else None)


async def list_passwords(read: Read, params: PasswordFilter) -> list[PasswordView]:
    """Who has one, or a code for one, by name, from behind the cursor on."""
    rows = await read.pool.fetch(SELECT_ALL, read.now, params.limit or MOST_ROWS, params.cursor, params.username)
    return [PasswordView(**row) for row in rows]


def _tell(tx: Tx, by: contract.How) -> None:
    changes = [FieldChange(field="password", masked=True)]
    tx.emit(password_changed, PasswordChanged(username=tx.actor, by=by, changes=changes), subject=tx.actor)


TABLE = Table(
    commands={
        contract.invite_password: invite,
        contract.set_password: set_by_code,
        contract.change_password: change,
        contract.remove_password: remove,
        contract.enter_by_password: enter,
    },
    queries={contract.list_passwords: list_passwords},
)
