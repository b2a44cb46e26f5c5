"""The first start: one user ``owner`` with one token, so that somebody can get in.

Counts only while there are no users. A ``HEADGATE_BOOTSTRAP_TOKEN`` that is changed later is ignored with a warning:
issue and revoke tokens with ``POST /api/tokens`` and ``DELETE /api/tokens/{token_id}`` instead.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from datetime import datetime, timedelta
from pathlib import Path

from libs.common import outbox
from libs.common.contracts.gateway.tokens import TokenView, token_issued
from libs.common.contracts.gateway.users import UserTold, user_created
from libs.common.running import Running
from libs.common.service import Connection
from libs.common.telemetry import log
from libs.common.unasked import unasked
from libs.judge.token_text import ALPHABET, BODY_LENGTH, PREFIX, could_be_token, with_checksum
from services.gateway.domain.scope import ALL
from services.gateway.identity import tokens, users

OWNER = "owner"
LIFETIME = timedelta(days=3650)
_LOCK = 0x424F4F54  # "BOOT": two gateways that start at once make one owner

SELECT_ANY_USER = "SELECT true FROM users LIMIT 1"
SELECT_KNOWN = "SELECT true FROM tokens WHERE secret_sha256 = $1"


class BootstrapError(RuntimeError):
    """The first owner can't be made; the message says what to change."""


def make_secret(prefix: str = PREFIX) -> str:
    """A token's secret: 256 random bits with their checksum; see `token_text`."""
    return with_checksum(random_text(), prefix)


def random_text() -> str:
    """256 random bits, as what is behind the beginning of a token has them."""
    return "".join(secrets.choice(ALPHABET) for _ in range(BODY_LENGTH))


def digest_of(secret: str) -> bytes:
    """SHA-256: enough for 256 random bits, which nobody can guess; slow hashes are for passwords."""
    return hashlib.sha256(secret.encode()).digest()


async def bootstrap(running: Running) -> None:
    """Make the first owner if there are no users. Raises `BootstrapError` if the given token has another form."""
    given = running.settings.bootstrap_token.get_secret_value() if running.settings.bootstrap_token else None
    if given is not None and not could_be_token(given):
        raise BootstrapError(
            "HEADGATE_BOOTSTRAP_TOKEN must be hg_ and 20 to 200 of the characters A-Z a-z 0-9 _ - (43 random ones are "
            "best), or hg_t_ with a checksum that is right; change it, or unset it and one will be made."
        )
    async with running.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        if await connection.fetchval(SELECT_ANY_USER):
            if given is not None and not await connection.fetchval(SELECT_KNOWN, digest_of(given)):
                log.warning("HEADGATE_BOOTSTRAP_TOKEN is ignored: users exist already, and it counts at first start")
            return
        path = running.settings.data_dir / "bootstrap-token"
        # The file comes first: if the process dies before the commit, the next start takes the same token from it.
        secret = given or _kept_secret(path)
        await _insert_owner(connection, digest_of(secret), running.clock())
    running.relay.nudge()
    if given is None:
        sys.stdout.write(f"\nHeadgate: the first owner's token (shown once, kept in {path}):\n  {secret}\n\n")
        sys.stdout.flush()


def _kept_secret(path: Path) -> str:
    """The secret of a start that died half-way, or a new one in a file that only this user can read."""
    try:
        kept = path.read_text().strip()
        if could_be_token(kept):
            return kept
    except FileNotFoundError:
        pass
    except OSError as error:
        raise BootstrapError(f"{path} can't be read: {error.strerror}; mend its permissions or delete it.") from error
    secret = make_secret()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # never write through a link that somebody laid there
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret + "\n")
    except OSError as error:
        raise BootstrapError(
            f"{path} can't be written: {error.strerror}; set HEADGATE_DATA_DIR to a folder that can, or give a token "
            "in HEADGATE_BOOTSTRAP_TOKEN."
        ) from error
    return secret


async def _insert_owner(connection: Connection, digest: bytes, now: datetime) -> None:
    tx = unasked("gateway", connection, now)
    user = await connection.fetchrow(users.INSERT_USER, OWNER, "owner", [ALL], "First owner", now, None)
    token = await connection.fetchrow(
        tokens.INSERT_TOKEN, digest, OWNER, "bootstrap", [ALL], now, now + LIFETIME, True, *tokens.UNBOUND
    )
    if user is None or token is None:
        raise BootstrapError("The first owner exists already, made at this very moment; start again.")
    tx.emit(user_created, UserTold(**user), subject=OWNER)
    tx.emit(token_issued, TokenView(**token), subject=str(token["token_id"]))
    await outbox.stage(connection, tx.staged)
