"""Judges passwords at the edge: what is shown against the sealed hash, and what is chosen against the rules.

Names that there are not, that are not active or have no password cost and answer the same: as many statements, one
opening of the vault, one hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from libs.common.contracts.gateway.passwords import Tries
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Invalid, Unavailable, errors_in
from libs.common.telemetry import log
from libs.common.vault import Vault, VaultError, key_of
from services.gateway.domain.passwords import normal, weakness
from services.gateway.passwords.breached import BreachedList
from services.gateway.passwords.hashing import NOBODYS, Hashing
from services.gateway.passwords.tries import Shown, TryCounter

NOBODY = ""  # no user's name
AWAY = "Nobody can sign in now: the database can't be reached. Try again."

SELECT_KNOWN = """
SELECT password.sealed, password.revision FROM password JOIN users USING (username)
WHERE username = $1 AND users.active AND users.owner IS NULL
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """``revision`` of the password that was shown; None: it was not the one. ``tries``: how it was counted."""

    revision: int | None
    tries: Tries


class Checker:
    """Judges. Without a key in the vault nobody has a password here."""

    def __init__(
        self, pool: asyncpg.Pool, hashing: Hashing, tries: TryCounter, breached: BreachedList, vault: Vault
    ) -> None:
        self._pool, self._hashing, self._tries, self._breached = pool, hashing, tries, breached
        self._vault = vault
        self._nobodys = ""

    def stop_when_crowded(self, place: str) -> None:
        """Before a request is counted and read: raises `TooMany` where too many wait, so that a storm costs little."""
        self._hashing.stop_when_crowded(place)

    async def judge(self, username: str, password: str, place: str, shown: Sequence[Shown]) -> Judged:
        """Whether it is the user's password. Raises `TooMany` where one must wait first, and `Unavailable`.

        ``place`` is where one comes from, ``shown`` by what it is counted.
        """
        if not self._vault.keys:
            raise Unavailable("No password is known here without a key: set HEADGATE_VAULT_KEY_FILE, then restart.")
        async with self._hashing.turn(place):
            tries = await self._tries.count(shown)
            if key_of(self._nobodys) != self._vault.key_ids[0]:  # the key before may be gone by the next time
                self._nobodys = self._vault.seal(NOBODYS, place_of_password(NOBODY))
            try:
                row = await self._pool.fetchrow(SELECT_KNOWN, username, timeout=5)
            except UNREACHABLE as error:
                raise Unavailable(AWAY) from error
            name, sealed = (NOBODY, self._nobodys) if row is None else (username, row["sealed"])
            try:
                phc = self._vault.open(sealed, place_of_password(name))
            except VaultError as error:  # it is answered as a wrong one is, so the reason must stand somewhere
                log.error("the hash of a password can't be opened", username=name, error=str(error))
                row, phc = None, NOBODYS
            right = await self._hashing.fits(normal(password), phc)
        return Judged(row["revision"] if right and row is not None else None, tries)

    async def chosen(self, username: str, password: str, place: str) -> str:
        """The sealed hash of a password that a person has chosen. Raises `Invalid` saying why it is not taken."""
        said = normal(password)
        why = weakness(said, username)
        if why is None:
            async with self._hashing.turn(place):
                try:
                    listed = await self._hashing.run(lambda: self._breached.holds(said))
                except OSError as error:
                    log.error("the list of breached passwords can't be read", error=repr(error))
                    raise Unavailable(
                        "The list of lost passwords can't be read; an administrator must see to it."
                    ) from None
                if not listed:
                    try:
                        return self._vault.seal(await self._hashing.hashed(said), place_of_password(username))
                    except VaultError as error:
                        raise Unavailable(str(error)) from None
            why = "This password is known from a breach elsewhere; take another one."
        raise Invalid(why, errors=errors_in("password", [why]))


def place_of_password(username: str) -> str:
    """To whom the vault binds a hash: copied to somebody else it does not open."""
    return f"password/{username}"
