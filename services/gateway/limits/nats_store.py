"""Requests that several gateways count together in NATS: they borrow portions of a limit from a counter.

A counter (NATS ADR-49) of each caller and minute says how much of the limit was lent, to all gateways together. Whoever
borrows adds to it and reads the sum in the same answer, so nothing is compared and tried again; what is more than the
limit is given back and not spent. A request is counted in memory against what was lent before, and borrows only when
that is used up: near the limit one at a time.

Crash here means: what was lent and not spent is lost to its caller until the minute ends, at most 2 % of the limit.
Never more than the limit passes, but for what gateways whose clocks differ lend at the turn of a minute, and for what
a NATS server forgets in a power cut (counters are not synced to disk).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass, field

import orjson

from libs.common.buckets import LIMITS, counter_place
from libs.common.bus import NATS_ERRORS, Bus
from libs.common.telemetry import log
from services.gateway.domain.rates import WINDOW_S, Rate, granted, portion, reset_s, weighed
from services.gateway.limits.allowance import Allowance

ANSWER_S = 1.0
AWAY_S = 5.0  # so long it is not asked again
FULL_S = 1.0  # so long a caller who got nothing is refused without asking
# Beyond this number the one that was not used for the longest time is forgotten; its counter in NATS is not.
MAX_ACCOUNTS = 10_000
FAILURES: tuple[type[BaseException], ...] = (*NATS_ERRORS, ValueError)


@dataclass(slots=True)
class Account:
    """What one caller was lent in a minute: to this gateway and not yet spent (``left``), and to all (``lent``).

    ``before`` is what all were lent in the minute before, None while nobody has read it. Until ``full_until`` (a
    reading of the monotonic clock) whoever needs ``full_cost`` or more gets nothing.
    """

    name: str
    minute: int
    left: int = 0
    lent: int = 0
    before: int | None = None
    full_until: float = 0.0
    full_cost: int = 0
    borrowing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def turn(self, minute: int) -> None:
        """Begin a minute; a clock that steps back begins none."""
        if minute > self.minute:
            self.minute, self.left, self.lent, self.before, self.full_until = minute, 0, 0, None, 0.0

    def spend(self, cost: int) -> bool:
        """Whether there was enough at hand; then it is spent."""
        enough = self.left >= cost
        self.left -= cost if enough else 0
        return enough

    def full(self, cost: int) -> bool:
        """Whether asking again is too early."""
        return cost >= self.full_cost and time.monotonic() < self.full_until


class NatsStore:
    """The counters of this installation."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._stream, self._subject = counter_place(bus.topology.namespace, LIMITS)
        self._accounts: dict[tuple[Rate, str], Account] = {}
        self._away_until = 0.0

    async def hit(self, rate: Rate, per_minute: int, key: str, cost: int) -> Allowance | None:
        """Count one request; None: NATS does not answer."""
        account = self._account(rate, key)
        allowed = account.spend(cost)
        if not allowed and not account.full(cost):
            async with account.borrowing:
                account.turn(int(time.time() // WINDOW_S))
                allowed = account.spend(cost)
                if not allowed and not account.full(cost):
                    if not await self._borrow(account, per_minute, cost):
                        return None
                    allowed = account.spend(cost)
        elapsed_s, before = _elapsed_s(account), account.before or 0
        rest = per_minute - weighed(min(before, per_minute), elapsed_s) - account.lent + account.left
        return Allowance(allowed, per_minute, max(0, rest), reset_s(before, elapsed_s), "nats")

    async def close(self) -> None:
        """Nothing is held but the bus, which is not ours."""

    def _account(self, rate: Rate, key: str) -> Account:
        minute = int(time.time() // WINDOW_S)
        account = self._accounts.pop((rate, key), None)
        if account is None:
            while len(self._accounts) >= MAX_ACCOUNTS:
                del self._accounts[next(iter(self._accounts))]
            # A name that shows nobody's address, and is a token of a subject.
            name = hashlib.blake2b(f"{rate} {key}".encode(), digest_size=16).hexdigest()
            account = Account(name, minute)
        self._accounts[rate, key] = account
        account.turn(minute)
        return account

    async def _borrow(self, account: Account, per_minute: int, cost: int) -> bool:
        """Borrow what ``cost`` needs and some more, and keep what is granted; False: NATS does not answer."""
        if time.monotonic() < self._away_until or not self._bus.connected:
            return False
        minute = account.minute
        needed = cost - account.left
        free = per_minute - weighed(min(account.before or 0, per_minute), _elapsed_s(account))
        asked = portion(per_minute, max(0, free - account.lent), needed)
        try:
            async with asyncio.timeout(ANSWER_S):
                if account.before is None:
                    before, total = await asyncio.gather(
                        self._read(account.name, minute - 1), self._add(account.name, minute, asked)
                    )
                else:
                    before, total = account.before, await self._add(account.name, minute, asked)
        except FAILURES as error:
            self._away_until = time.monotonic() + AWAY_S
            log.warning("requests can't be counted in NATS", error=repr(error))
            return False
        if account.minute != minute:
            return True  # it began while NATS was asked: what was lent is of the minute before
        account.before = before
        free = per_minute - weighed(min(before, per_minute), _elapsed_s(account))
        kept = granted(asked, total, free)
        account.left, account.lent = account.left + kept, total - (asked - kept)
        if kept < needed:
            account.full_until, account.full_cost = time.monotonic() + FULL_S, cost
        if kept < asked:
            with suppress(*FAILURES):  # then it is lost to this caller until the minute ends
                await self._add(account.name, minute, kept - asked)
        return True

    async def _add(self, name: str, minute: int, count: int) -> int:
        """Add to a counter; the sum after it. Raises NATS errors, and `ValueError` for an answer without a sum."""
        answer = await self._bus.js.publish(
            f"{self._subject}.{name}.{minute}", b"", timeout=ANSWER_S, headers={"Nats-Incr": f"{count:+d}"}
        )
        return int(answer.val or "")

    async def _read(self, name: str, minute: int) -> int:
        """A counter's sum; 0 for one that nobody has added to."""
        subject = f"{self._subject}.{name}.{minute}"
        answer = await self._bus.nats.request(f"$JS.API.DIRECT.GET.{self._stream}.{subject}", b"", timeout=ANSWER_S)
        if (answer.headers or {}).get("Status", "").startswith("404"):
            return 0
        return int(orjson.loads(answer.data)["val"])


def _elapsed_s(account: Account) -> float:
    """Seconds of the account's minute that are over; 0 while the clock is behind it."""
    return min(float(WINDOW_S), max(0.0, time.time() - account.minute * WINDOW_S))
