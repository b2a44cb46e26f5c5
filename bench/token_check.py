"""What the edge's check of a caller costs, beside the least that any would do: hash the secret, and look it up."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
from starlette.requests import Request

from bench.figures import Figure, Report
from bench.lab import PASSWORDS, Lab, Space
from libs.common import admin
from libs.common.migrations import login_role
from libs.common.postgres import make_pool
from services.gateway.access import Access
from services.gateway.context import KEY, Context
from services.gateway.domain.rates import RATES
from services.gateway.identity.callers import Identity
from services.gateway.identity.session_callers import Sessions
from services.gateway.limits.counting import Limits
from services.gateway.limits.nats_store import NatsStore
from services.gateway.second_factors.demands import Demands

CHECKS, ROUNDS = 4_000, 7
PER_MINUTE = 100_000_000
INSERT_USER = """
INSERT INTO gateway.users (username, role, sites, created_at, own_permissions) VALUES ($1, $2, '{*}', $3, $4)
"""
INSERT_TOKEN = """
INSERT INTO gateway.tokens (secret_sha256, username, label, sites, created_at, idle_from, expires_at, permissions)
VALUES ($1, $2, 'bench', '{*}', $3, $3, $4, $5) RETURNING token_id
"""
INSERT_SESSION = """
INSERT INTO gateway.sessions (secret_sha256, username, opened_at, last_seen_at, idle_minutes, ends_at, address, agent)
VALUES ($1, $2, $3, $3, 600, $4, '127.0.0.1', 'bench')
"""
Check = Callable[[], Awaitable[object]]


def _clock() -> datetime:
    return datetime.now(UTC)


class Callers:
    """Rows of callers in the gateway's tables; each answers the header that it comes with."""

    def __init__(self, database: asyncpg.Connection) -> None:
        self._database, self._now = database, _clock()
        self._ends = self._now + timedelta(days=9)

    async def user(self, name: str, role: str, own: list[str] | None = None) -> None:
        """A user, perhaps with a role of the installation's own."""
        await self._database.execute(INSERT_USER, name, role, self._now, own)

    async def token(self, name: str, bound: list[str] | None = None) -> tuple[str, str]:
        """A token, perhaps bound to operations."""
        secret = f"hg_{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(secret.encode()).digest()
        await self._database.execute(INSERT_TOKEN, digest, name, self._now, self._ends, bound)
        return "authorization", f"Bearer {secret}"

    async def session(self, name: str) -> tuple[str, str]:
        """A session of a browser on this machine."""
        secret = secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).digest()
        await self._database.execute(INSERT_SESSION, digest, name, self._now, self._ends)
        return "cookie", f"headgate-session={secret}"


def _check(access: Access, header: tuple[str, str]) -> Check:
    name, value = header

    async def check() -> None:
        context = Context("", "00-" + "0" * 32, _clock(), 0.0, "127.0.0.1")
        headers = [(b"host", b"localhost:8080"), (name.encode(), value.encode())]
        scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": headers, KEY: context}
        await access.admit(Request(scope), "gate:read")
        for done in context.at_end:
            done()

    return check


def _floor(secret: str) -> Check:
    known = {hashlib.sha256(secret.encode()).digest(): True}

    async def check() -> None:
        assert known[hashlib.sha256(secret.encode()).digest()]

    return check


async def _took_us(check: Check) -> float:
    """Microseconds of the processor for one check, of this process alone."""
    began = time.process_time()
    for _ in range(CHECKS):
        await check()
    return (time.process_time() - began) / CHECKS * 1e6


async def run(lab: Lab, report: Report) -> None:
    """Callers who are remembered: tokens, narrow ones, roles of one's own, sessions; counted in memory and in NATS."""
    async with lab.space() as space:
        url = admin.service_url(space.database_url, login_role("gateway"), PASSWORDS["gateway"])
        pool = await make_pool(url, schema="gateway", size=2, application="bench")
        try:
            await _measure(space, pool, report)
        finally:
            await pool.close()


async def _measure(space: Space, pool: asyncpg.Pool, report: Report) -> None:
    callers = Callers(space.database)
    await callers.user("ann", "operator")
    await callers.user("bob", "lead", ["gate:read", "gate:run"])
    token, session = await callers.token("ann"), await callers.session("ann")
    narrow, own = await callers.token("ann", ["gate:read"]), await callers.token("bob")
    per_minute = dict.fromkeys(RATES, PER_MINUTE)
    identity, sessions = Identity(pool, _clock), Sessions(pool, _clock)
    demands = Demands(pool, _clock)
    alone = Access(identity, sessions, Limits(per_minute), demands)
    together = Access(identity, sessions, Limits(per_minute, NatsStore(space.bus)), demands)
    checks = {
        "token, counted in memory": _check(alone, token),
        "token, counted in NATS": _check(together, token),
        "narrow token, counted in NATS": _check(together, narrow),
        "token of a role of one's own, in NATS": _check(together, own),
        "session, counted in NATS": _check(together, session),
    }
    floor, floors = _floor(token[1]), []
    took: dict[str, list[float]] = {name: [] for name in checks}
    for number in range(ROUNDS + 1):  # the first one warms up
        base = await _took_us(floor)
        found = {name: await _took_us(check) for name, check in checks.items()}
        await asyncio.sleep(0)
        if number:
            floors.append(base)
            for name, value in found.items():
                took[name].append(value)
    for name, rounds in took.items():
        report.figures.append(
            Figure("token_check", name, "µs", tuple(rounds), "hash and look up", tuple(floors), lower_is_better=True)
        )
    worst = max(sorted(rounds)[len(rounds) // 2] for rounds in took.values())
    report.notes.append(f"a caller's check costs at most {worst:.0f} µs; aim 60")
