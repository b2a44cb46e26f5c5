"""Judges codes at the edge: what an app shows against its sealed secret. What counts once counts in the database."""

from __future__ import annotations

import base64
import secrets
from hashlib import sha256
from typing import Any

import asyncpg

from libs.common.contracts.gateway.second_factors import RECOVERY_CODES, FactorProof
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Conflict, Forbidden, Unavailable
from libs.common.service import Clock
from libs.common.telemetry import log
from libs.common.vault import Vault, VaultError, key_of
from services.gateway.domain.second_factors import DIGITS, SECRET_BYTES, step_of, tidy, uri
from services.gateway.identity.bootstrap import digest_of
from services.gateway.seals import Sealed
from services.gateway.second_factors.keeping import AGAIN

NOBODY = ""  # no user's name
RECOVERY_BYTES = 10  # 80 bits, which nobody guesses: known by their SHA-256
CODES_ONCE = (
    "The codes were shown once, in the first answer to this Idempotency-Key. Drop the second factor, begin again."
)
SECRET_ONCE = "The secret was shown once, in the first answer to this Idempotency-Key. Begin again."  # noqa: S105
SELECT_FACTOR = "SELECT sealed, fingerprint, confirmed_at, last_step FROM second_factor WHERE username = $1"


class Factors:
    """Reads and judges."""

    def __init__(self, pool: asyncpg.Pool, vault: Vault, clock: Clock) -> None:
        self._pool, self._vault, self._clock = pool, vault, clock
        self._nobodys = ""

    def begun(self, username: str) -> Sealed:
        """A new secret: sealed for the bus, and as apps read it for the person. Raises `Unavailable` without a key."""
        secret = secrets.token_bytes(SECRET_BYTES)
        address = uri(secret, username)
        try:
            sealed = self._vault.seal(base64.b64encode(secret).decode(), place_of_factor(username))
        except VaultError as error:
            raise Unavailable(str(error)) from None
        fields = {"secret": sealed, "fingerprint": digest_of(address).hex()[:16]}
        return Sealed(fields, address, "otpauth_uri", SECRET_ONCE)

    async def confirmed(self, username: str, code: str) -> Sealed:
        """A code of what was begun; recovery codes are made. Raises `Conflict`, `Forbidden`, `Unavailable`."""
        row = await self._row(username)
        if row is None or row["confirmed_at"] is not None:
            raise Conflict("There is no second factor to be confirmed; POST /api/me/second-factor begins one.")
        proof = self._proof(username, row, code)
        if proof.step is None:
            raise Forbidden(AGAIN)
        codes = [base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode() for _ in range(RECOVERY_CODES)]
        shown = " ".join(f"{one[:4]}-{one[4:8]}-{one[8:12]}-{one[12:]}" for one in codes)
        fields = {
            "proof": proof.model_dump(),
            "fingerprint": row["fingerprint"],
            "codes_fingerprint": digest_of(shown).hex()[:16],
            "recovery_sha256s": [sha256(one.encode()).hexdigest() for one in codes],
        }
        return Sealed(fields, shown, "recovery_codes", CODES_ONCE)

    async def dropped(self, username: str, code: str) -> Sealed:
        """A last code was shown. Raises `Conflict`, `Forbidden`, `Unavailable`."""
        row = await self._row(username)
        if row is None or row["confirmed_at"] is None:
            raise Conflict("You have no second factor.")
        proof = self._proof(username, row, code)
        if proof == FactorProof():
            raise Forbidden(AGAIN)
        return Sealed({"proof": proof.model_dump()})

    async def shown(self, username: str, code: str | None) -> FactorProof | None:
        """What a code proves of who has a second factor; None: this person has none, and none is asked for."""
        row = await self._row(username)
        if row is None or row["confirmed_at"] is None:
            if code and self._vault.keys:  # as long as it takes of who has one
                self._proof(NOBODY, {"sealed": self._nobodys_secret(), "last_step": None}, code)
            return None
        return self._proof(username, row, code or "")

    def _nobodys_secret(self) -> str:
        """Sealed by the key of now: of the one before there may be nothing left."""
        if key_of(self._nobodys) != self._vault.key_ids[0]:
            secret = base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
            self._nobodys = self._vault.seal(secret, place_of_factor(NOBODY))
        return self._nobodys

    def _proof(self, username: str, row: Any, code: str) -> FactorProof:
        """Empty: what was shown is nothing. A recovery code is looked up where it is used up."""
        said = tidy(code)
        if len(said) != DIGITS:
            return FactorProof(recovery_sha256=sha256(said.encode()).hexdigest()) if said else FactorProof()
        try:
            secret = base64.b64decode(self._vault.open(row["sealed"], place_of_factor(username)))
        except VaultError as error:  # it is answered as a wrong code is, so the reason must stand somewhere
            log.error("the secret of a second factor can't be opened", username=username, error=str(error))
            return FactorProof()
        return FactorProof(step=step_of(secret, said, self._clock().timestamp(), row["last_step"]))

    async def _row(self, username: str) -> asyncpg.Record | None:
        try:
            return await self._pool.fetchrow(SELECT_FACTOR, username, timeout=5)
        except UNREACHABLE as error:
            raise Unavailable("Codes can't be checked now: the database can't be reached. Try again.") from error


def place_of_factor(username: str) -> str:
    """To whom the vault binds a secret."""
    return f"second-factor/{username}"
