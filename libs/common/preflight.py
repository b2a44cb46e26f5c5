"""Preflight: a service looks at its configuration and surroundings, tells what it found, and looks again when asked.

Each check ends in one sentence that says what to do. One that can't be made, or takes too long, is in error with the
reason: what nobody could look at is not in order.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import asyncpg
import orjson

from libs.common import migrations, outbox, topology
from libs.common.bus import Bus
from libs.common.contracts import CONTRACTS, SERVICES
from libs.common.contracts.base import Event, Nothing, Query
from libs.common.contracts.preflight import Overall, PreflightCheck, PreflightReport, preflight_event, preflight_query
from libs.common.edge_checks import edge_checks
from libs.common.health import read_sync
from libs.common.migrations import owner_role
from libs.common.permissions import USER_INFO, permissions
from libs.common.service import QueryHandler, Read, Service, wall_clock
from libs.common.settings import Settings
from libs.common.telemetry import log
from libs.common.unasked import unasked

ANSWER_S, START_S = 2.0, 10.0  # for one check: who asks waits 3 s, and at a start the machine is at its busiest
OLDEST_POSTGRES = 160_000
FEW_CONNECTIONS_PERCENT = 15
LITTLE_DISK_BYTES, NO_DISK_BYTES = 2 * 1024**3, 256 * 1024**2
CLOCK_WARNING_MS, CLOCK_ERROR_MS = 1_000.0, 5_000.0

READ_SERVER = """
SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_text,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS usable,
    (SELECT count(*)::int FROM pg_stat_activity WHERE usesysid IS NOT NULL) AS used
"""
READ_CLOCK = "SELECT clock_timestamp()"
READ_ROLE = """
SELECT rolname, rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls AS may_rule,
    ARRAY(SELECT nspname::text FROM pg_namespace
        WHERE nspname = ANY ($1::text[]) AND has_schema_privilege(oid, 'USAGE') ORDER BY 1) AS foreign_schemas,
    ARRAY(SELECT owner.rolname::text FROM pg_roles AS owner
        WHERE owner.rolname = ANY ($2::text[]) AND pg_has_role(owner.oid, 'MEMBER') ORDER BY 1) AS owned
FROM pg_roles WHERE rolname = current_user
"""

Status = Literal["ok", "warning", "error"]
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the checks look at. ``wall`` is the machine's own clock, whatever clock the service goes by."""

    service: Service
    settings: Settings
    pool: asyncpg.Pool
    bus: Bus
    wall: Callable[[], datetime]


Found = tuple[Status, str]
Check = Callable[[Surroundings], Awaitable[Found]]


async def _streams(at: Surroundings) -> Found:
    await topology.compare(at.bus.js, at.bus.topology, at.service.name)
    return "ok", "streams and durables are as declared"


async def _schema(at: Surroundings) -> Found:
    await migrations.compare(at.pool, at.service.name)
    return "ok", "the schema is that of this version"


async def _nats_sync(at: Surroundings) -> Found:
    return judge_sync(await read_sync(at.settings.nats_monitor_url))


def judge_sync(sync: str) -> Found:
    """``always``, an interval, or ``unknown``."""
    if sync == "always":
        return "ok", "NATS writes each message to its disk before it acknowledges it"
    if sync == "unknown":
        return (
            "warning",
            "nobody can say whether NATS writes at once; set HEADGATE_NATS_MONITOR_URL to its monitoring page",
        )
    return (
        "error",
        f"NATS writes to disk every {sync}: a power cut loses acknowledged messages; set `sync_interval: always`",
    )


async def _nats_rights(at: Surroundings) -> Found:
    answer = await at.bus.nats.request(USER_INFO, b"", timeout=2)
    return judge_rights(orjson.loads(answer.data), *_wanted_rights(at))


def _wanted_rights(at: Surroundings) -> tuple[frozenset[str], frozenset[str]]:
    wanted = permissions(at.bus.topology, at.service.name)
    return frozenset(wanted.publish), frozenset(wanted.subscribe)


def judge_rights(answer: Mapping[str, Any], publish: frozenset[str], subscribe: frozenset[str]) -> Found:
    """What the server says of a user's rights, beside those that it needs."""
    held = answer.get("data", {}).get("permissions")
    if not isinstance(held, Mapping):
        return "warning", "the bus user may do everything; give each service its own, see docs/operations.md"
    allowed = {side: frozenset((held.get(side) or {}).get("allow") or ()) for side in ("publish", "subscribe")}
    missing = sorted((publish - allowed["publish"]) | (subscribe - allowed["subscribe"]))
    further = sorted((allowed["publish"] - publish) | (allowed["subscribe"] - subscribe))
    if ">" in further:
        return "warning", "the bus user may do everything; give each service its own, see docs/operations.md"
    if missing:
        return "error", f"the bus user lacks {_some(missing)}; write the configuration of NATS anew and reload it"
    if further:
        return (
            "warning",
            f"the bus user may also use {_some(further)}; write the configuration of NATS anew and reload it",
        )
    return "ok", "the bus user has the rights that are needed and no more"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


async def _postgres_durable(at: Surroundings) -> Found:
    row = await at.pool.fetchrow(READ_SERVER)
    return judge_durable(row["fsync"], row["synchronous_commit"]) if row else ("error", "PostgreSQL said nothing")


def judge_durable(fsync: str, synchronous_commit: str) -> Found:
    """PostgreSQL's own words for its two settings."""
    off = [name for name, value in (("fsync", fsync), ("synchronous_commit", synchronous_commit)) if value == "off"]
    if off:
        return (
            "error",
            f"PostgreSQL runs with {' and '.join(off)} off: a power cut loses what was accepted; switch it on",
        )
    return "ok", f"fsync is on, synchronous_commit is {synchronous_commit}"


async def _postgres_version(at: Surroundings) -> Found:
    row = await at.pool.fetchrow(READ_SERVER)
    if row is None or row["version"] < OLDEST_POSTGRES:
        return "error", f"PostgreSQL 16 or newer is needed, this one is {row['version_text'] if row else 'unknown'}"
    return "ok", f"PostgreSQL {row['version_text']}"


async def _postgres_connections(at: Surroundings) -> Found:
    row = await at.pool.fetchrow(READ_SERVER)
    return judge_connections(row["usable"], row["used"]) if row else ("error", "PostgreSQL said nothing")


def judge_connections(usable: int, used: int) -> Found:
    """Connections that ordinary users may have, and those that are there."""
    free = max(usable - used, 0)
    if free * 100 < usable * FEW_CONNECTIONS_PERCENT:
        return "warning", f"only {free} of {usable} connections of PostgreSQL are free; raise its max_connections"
    return "ok", f"{free} of {usable} connections of PostgreSQL are free"


async def _postgres_rights(at: Surroundings) -> Found:
    others = [name for name in SERVICES if name != at.service.name]
    row = await at.pool.fetchrow(READ_ROLE, others, [owner_role(name) for name in SERVICES])
    if row is None:
        return "error", "the database role is not known; run `headgate migrate`"
    return judge_role(row["rolname"], row["may_rule"], [*row["foreign_schemas"], *row["owned"]])


def judge_role(role: str, may_rule: bool, further: list[str]) -> Found:
    """Whether a login role is no more than the login of one service."""
    if may_rule:
        return (
            "error",
            f"the database role {role} may rule over others; give the service the role that `headgate migrate` made",
        )
    if further:
        return "error", f"the database role {role} also reaches {_some(further)}; revoke that"
    return "ok", f"the database role {role} has its own schema and no more"


async def _disk_space(at: Surroundings) -> Found:
    places = {_existing(at.settings.data_dir.absolute()), Path(tempfile.gettempdir())}
    free = {str(place): shutil.disk_usage(place).free for place in sorted(places)}
    return judge_disk(free)


def judge_disk(free_bytes: Mapping[str, int]) -> Found:
    """Free bytes of each folder that the process writes to."""
    place, free = min(free_bytes.items(), key=lambda pair: pair[1])
    shown = f"{free // 1024**2} MiB are free at {place}"
    if free < NO_DISK_BYTES:
        return "error", f"only {shown}; make space"
    return ("warning", f"only {shown}; make space soon") if free < LITTLE_DISK_BYTES else ("ok", shown)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def judge_clock(offset_ms: float | None) -> Found:
    """How far this process's clock runs ahead of the database's."""
    if offset_ms is None:
        return "error", "the database's clock could not be read"
    shown = (
        f"this machine's clock is {abs(offset_ms):.0f} ms {'ahead of' if offset_ms >= 0 else 'behind'} the database's"
    )
    if abs(offset_ms) >= CLOCK_ERROR_MS:
        return "error", f"{shown}; synchronise both (NTP)"
    return ("warning", f"{shown}; synchronise both (NTP)") if abs(offset_ms) >= CLOCK_WARNING_MS else ("ok", shown)


async def clock_offset_ms(at: Surroundings) -> float:
    """How far ahead this process's clock is, off by at most half of a round trip."""
    before = at.wall()
    there: datetime = await at.pool.fetchval(READ_CLOCK)
    after = at.wall()
    return (before + (after - before) / 2 - there) / timedelta(milliseconds=1)


def _given(settings: Settings, name: str) -> bool:
    """Whether a name of the environment is set, one of ours also where it came another way."""
    field = name.removeprefix("HEADGATE_").lower()
    if name.startswith("HEADGATE_") and field in Settings.model_fields:
        value = getattr(settings, field)
        shown = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        return shown is not None and shown != ""
    return bool(os.environ.get(name))


def _settings_checks(service: Service, settings: Settings) -> Iterable[PreflightCheck]:
    for name in settings.preflight_required_env:
        there = _given(settings, name)
        said = f"{name} is set" if there else f"{name} is not set; set it and start the service again"
        yield _check(f"required_env_{name.lower()}", "error", "ok" if there else "error", said)
    for key, fields in service.keys:
        names = [f"HEADGATE_{field.upper()}" for field in fields]
        there = any(_given(settings, name) for name in names)
        said = f"there is a key ({key})" if there else f"there is no key ({key}); set {' or '.join(names)}"
        yield _check(f"key_{key}", "error", "ok" if there else "error", said)


def _check(name: str, severity: Severity, status: Status, message: str) -> PreflightCheck:
    return PreflightCheck(id=name, severity=severity, status=status, message=message)


CHECKS: Mapping[str, tuple[Severity, Check]] = {
    "schema": ("error", _schema),
    "streams": ("error", _streams),
    "nats_sync": ("error", _nats_sync),
    "nats_rights": ("error", _nats_rights),
    "postgres_durable": ("error", _postgres_durable),
    "postgres_version": ("error", _postgres_version),
    "postgres_connections": ("warning", _postgres_connections),
    "postgres_rights": ("error", _postgres_rights),
    "disk_space": ("error", _disk_space),
}


async def _made(name: str, severity: Severity, check: Check, at: Surroundings, timeout_s: float) -> PreflightCheck:
    try:
        async with asyncio.timeout(timeout_s):
            status, message = await check(at)
    except TimeoutError:
        status, message = "error", f"no answer within {timeout_s:g} s; see whether its server is overloaded"
    except Exception as error:
        log.warning("preflight check failed", check=name, error=repr(error))
        status, message = "error", str(error) or type(error).__name__
    # A check that can only warn still fails when nobody could look.
    return _check(name, severity, status, message[:500])


async def look(at: Surroundings, instance: str, now: datetime, timeout_s: float) -> PreflightReport:
    """Make all checks, at once; raises nothing that a server does."""
    try:
        async with asyncio.timeout(timeout_s):
            offset: float | None = await clock_offset_ms(at)
    except Exception as error:
        log.warning("preflight can't read the database's clock", error=repr(error))
        offset = None
    looked = await asyncio.gather(
        *(_made(name, severity, one, at, timeout_s) for name, (severity, one) in CHECKS.items())
    )
    clock = _check("clock", "error", *judge_clock(offset))
    checks = [*_settings_checks(at.service, at.settings), *looked, clock]
    if at.service.name == "gateway":
        checks += [_check(name, "warning", word, said) for name, word, said in await edge_checks(at.settings, now)]
    errors, warnings = (sum(one.status == word for one in checks) for word in ("error", "warning"))
    return PreflightReport(
        service=at.service.name,
        instance=instance,
        headgate_version=metadata.version("headgate"),
        checked_at=now,
        fail_on_error=at.settings.preflight_fail_on_error,
        overall_status=overall(errors, warnings),
        error_count=errors,
        warning_count=warnings,
        check_count=len(checks),
        clock_offset_ms=None if offset is None else round(offset, 1),
        settings_given=sorted(at.settings.model_fields_set),
        checks=checks,
    )


def overall(errors: int, warnings: int) -> Overall:
    """The word for so many checks in error and in warning."""
    return "critical" if errors else "warning" if warnings else "ok"


class Lookout:
    """A process's preflight: `bind` it to what was connected, then `look` and `tell`."""

    def __init__(self, service: Service, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._service, self._settings, self._clock = service, settings, clock
        self._at: Surroundings | None = None
        self._instance = ""

    def bind(self, pool: asyncpg.Pool, bus: Bus, instance: str) -> None:
        """From now on it can look."""
        self._at = Surroundings(self._service, self._settings, pool, bus, wall_clock)
        self._instance = instance

    async def look(self, timeout_s: float = ANSWER_S) -> PreflightReport:
        """What is found now."""
        if self._at is None:
            raise RuntimeError("the service is not connected yet")
        return await look(self._at, self._instance, self._clock(), timeout_s)

    async def tell(self) -> PreflightReport:
        """Look, and put the event that says what was found into the outbox."""
        report = await self.look(START_S)
        assert self._at is not None  # noqa: S101 - it has looked
        name = self._service.name
        event = CONTRACTS[name].by_name[preflight_event(name).name]
        assert isinstance(event, Event)  # noqa: S101 - every contract declares it
        tx = unasked(name, None, self._clock(), about="process.start")
        tx.emit(event, report, subject=self._instance, site="global")
        async with self._at.pool.acquire() as connection, connection.transaction():
            await outbox.stage(connection, tx.staged)
        return report

    def handlers(self) -> dict[Query, QueryHandler]:
        """The handler of the question that every service answers in the same way."""

        async def get(_read: Read, _params: Nothing) -> PreflightReport:
            return await self.look()

        return {preflight_query(self._service.name): get}


def sentence(report: PreflightReport) -> str:
    """Why a start ends: the ids of the checks in error, each with what to do."""
    found = "; ".join(f"{one.id}: {one.message}" for one in report.checks if one.status == "error")
    return f"the preflight is in error, and HEADGATE_PREFLIGHT_FAIL_ON_ERROR is set: {found}"
