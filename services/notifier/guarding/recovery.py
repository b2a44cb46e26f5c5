"""Recovery by hand: which targets fail, probing them with real requests, and what became of the probes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg

from libs.common.contracts.base import Nothing
from libs.common.contracts.notifier import guard as contract
from libs.common.contracts.notifier.guard import (
    MAX_COUNTED,
    CircuitProbed,
    Guard,
    Guarded,
    GuardFilter,
    Probe,
    Recover,
    RecoverBatch,
    Recovery,
    RecoveryAsked,
)
from libs.common.listing import Filter, Key, Listing
from libs.common.problems import Conflict, NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.notifier import intake
from services.notifier.domain.circuits import PROBE_LEASE, Policy
from services.notifier.targets import check_target, names_of_targets

MAX_PROBES = 1_000
FORGOTTEN_AFTER, TALLIES_KEPT, RECOVERIES_KEPT = timedelta(days=1), timedelta(days=35), timedelta(days=30)
PAUSED = "Nothing is sent to this target at the moment; resume it first."

LIST_CIRCUITS = Listing(
    table="circuit",
    columns=f"""target, event_name, state, failure_count, failed_at, error, opened_at, probe_at, probe_id,
    (SELECT count(*) FROM (
        SELECT FROM delivery
        WHERE delivery.target = circuit.target AND delivery.event_name = circuit.event_name
            AND delivery.state = 'suppressed' LIMIT {MAX_COUNTED}) AS held) AS suppressed_count""",  # noqa: S608
    scope={"site": "text"},
    filters={
        "target": "bigint",
        "quarantined": Filter("boolean", "(state IN ('open', 'half_open')) = {}"),
        "event_name": "text",
    },
    readings=(("target",),),
    order=(Key("target"), Key("event_name", "text")),
)
# Of these circuits: the delivery that has been held back longest, and whether anything can be sent there.
SELECT_CIRCUITS = """
SELECT circuit.target, circuit.event_name, (
        SELECT delivery_id FROM delivery LEFT JOIN subscription USING (subscription_id)
        LEFT JOIN channel ON channel.channel_id = delivery.channel_id
        WHERE delivery.target = circuit.target AND delivery.event_name = circuit.event_name
            AND delivery.state = 'suppressed' AND coalesce(subscription.status, 'active') = 'active'
            AND coalesce(channel.status, 'active') = 'active'
        ORDER BY suppressed_at, delivery_id LIMIT 1
    ) AS delivery_id,
    coalesce((SELECT status FROM subscription WHERE subscription_id = circuit.target),
        (SELECT status FROM channel WHERE channel_id = -circuit.target)) = 'active' AS living,
    probe_id
FROM circuit
WHERE circuit.site = $1 AND ($2::bigint IS NULL OR circuit.target = $2)
    AND ($3::text IS NULL OR circuit.event_name = $3)
    AND ($4::boolean IS NULL OR (circuit.state IN ('open', 'half_open')) = $4) AND circuit.state <> 'releasing'
ORDER BY circuit.target, circuit.event_name LIMIT $5 FOR UPDATE
"""
PROBE_WITH = """
UPDATE delivery SET state = CASE WHEN attempt_count > 0 THEN 'retrying' ELSE 'pending' END, due_at = $2,
    tries = tries - 1
WHERE delivery_id = ANY ($1::bigint[]) AND state = 'suppressed'
"""
BEGIN_PROBES = """
UPDATE circuit SET state = 'half_open', probe_id = probe.probe_id, probe_at = $4
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS probe (target, event_name, probe_id)
WHERE circuit.target = probe.target AND circuit.event_name = probe.event_name
"""
INSERT_SAMPLE = """
INSERT INTO delivery (subscription_id, channel_id, event_id, site, event_name, state, due_at, created_at, purpose)
VALUES (nullif(greatest($1, 0), 0), nullif(greatest(-$1, 0), 0), $2, $3, $4, 'pending', $5, $5, 'probe')
RETURNING delivery_id
"""
# A delivery that somebody has sent now is the probe of the circuit that would hold it back.
TRY_WITH = """
UPDATE circuit SET state = 'half_open', probe_id = delivery_id, probe_at = $2 FROM delivery
WHERE delivery_id = $1 AND circuit.target = delivery.target AND circuit.event_name = delivery.event_name
    AND circuit.state IN ('open', 'half_open')
"""
# Where it leads, or whether it may be called, has changed: its circuits are tried anew.
PROBE_SOON = "UPDATE circuit SET probe_at = $2 WHERE target = $1 AND state = 'open'"
FORGET_TARGET = "DELETE FROM circuit WHERE target = $1"
INSERT_RECOVERY = """
INSERT INTO recovery (site, asked_by, asked_at, probes) VALUES ($1, $2, $3, $4) RETURNING recovery_id
"""
LATEST_RECOVERY = """
SELECT recovery_id, site, asked_by, asked_at, probes FROM recovery WHERE site = $1 ORDER BY recovery_id DESC LIMIT 1
"""
SELECT_PROBES = """
SELECT delivery_id, state, attempt_count, http_status, error FROM delivery WHERE delivery_id = ANY ($1::bigint[])
"""
ATTEMPTS_OF = "SELECT delivery_id, attempt_count FROM delivery WHERE delivery_id = ANY ($1::bigint[])"


PRUNE_CIRCUITS = """
DELETE FROM circuit WHERE failed_at < $1 AND NOT EXISTS (
    SELECT FROM delivery WHERE delivery.target = circuit.target AND delivery.event_name = circuit.event_name
        AND delivery.state = 'suppressed')
"""
PRUNE_TALLIES = "DELETE FROM tally WHERE day < $1"
PRUNE_RECOVERIES = "DELETE FROM recovery WHERE asked_at < $1"
# There should be none: whatever ends a circuit sends what it held back.
RELEASE_ORPHANS = """
UPDATE delivery SET state = CASE WHEN attempt_count > 0 THEN 'retrying' ELSE 'pending' END, due_at = $1,
    suppressed_at = NULL
WHERE state = 'suppressed' AND NOT EXISTS (
    SELECT FROM circuit
    WHERE circuit.target = delivery.target AND circuit.event_name = delivery.event_name AND circuit.state <> 'closed')
"""


async def show_guard(policy: Policy, read: Read, wanted: GuardFilter) -> Guard:
    """A page of the site's circuits. Raises `Invalid`."""
    given = {
        "site": read.site,
        "target": wanted.target,
        "quarantined": None if wanted.state is None else wanted.state == "quarantined",
        "event_name": wanted.event_type,
    }
    found = await LIST_CIRCUITS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    names = await names_of_targets(read.pool, {row["target"] for row in found.rows})
    return Guard(
        generated_at=read.now,
        failure_threshold=policy.failures,
        quarantine_minutes=policy.longest_wait.total_seconds() / 60,
        items=[_guarded(row, names) for row in found.rows],
        next_cursor=found.next_cursor,
    )


def _guarded(row: asyncpg.Record, names: Mapping[int, str]) -> Guarded:
    return Guarded(
        target=row["target"],
        name=names[row["target"]],
        event_type=row["event_name"],
        state="quarantined" if row["state"] in ("open", "half_open") else "warning",
        circuit=row["state"],
        consecutive_failures=row["failure_count"],
        last_failure_at=row["failed_at"],
        error=row["error"],
        opened_at=row["opened_at"],
        quarantined_until=row["probe_at"],
        probe_delivery_id=row["probe_id"],
        suppressed_count=row["suppressed_count"],
    )


async def recover_target(tx: Tx, body: Recover) -> Recovery:
    """Probe one target. Raises `NotFound`; `Conflict` if nothing fails there, or nothing can be sent there."""
    await check_target(tx.connection, body.target, tx.site)
    rows = await tx.connection.fetch(SELECT_CIRCUITS, tx.site, body.target, body.event_type, None, MAX_PROBES)
    if not rows:
        what = f" at {body.event_type}" if body.event_type else ""
        raise Conflict(
            f"The target {body.target} does not fail{what}; GET {contract.BASE}/channels/guard lists what does."
        )
    if not any(row["living"] for row in rows):
        raise Conflict(PAUSED)
    return await begin(tx, rows)


async def recover_batch(tx: Tx, body: RecoverBatch) -> Recovery:
    """Probe many targets."""
    return await recover_many(tx, body.state, body.max_targets)


async def recover_many(tx: Tx, state: contract.Wanted, max_targets: int) -> Recovery:
    """Probe the first targets of the site that are in this state."""
    return await begin(tx, await failing(tx, state, max_targets))


async def failing(tx: Tx, state: contract.Wanted, max_targets: int) -> list[asyncpg.Record]:
    """The circuits of the first targets of the site that are in this state, held, for `begin`."""
    quarantined = None if state == "all" else state == "quarantined"
    rows = await tx.connection.fetch(SELECT_CIRCUITS, tx.site, None, None, quarantined, MAX_PROBES)
    targets = sorted({row["target"] for row in rows})[:max_targets]
    return [row for row in rows if row["target"] in targets]


async def begin(tx: Tx, circuits: Sequence[asyncpg.Record]) -> Recovery:
    """Send the probes of these circuits, rows of `SELECT_CIRCUITS`, and keep what was asked."""
    names = await names_of_targets(tx.connection, {row["target"] for row in circuits})
    living = [row for row in circuits if row["living"]]
    probes = {(row["target"], row["event_name"]): row["delivery_id"] for row in living}
    sampled = await _samples(tx, [row for row in living if row["delivery_id"] is None])
    probes |= sampled
    if probes:
        await tx.connection.execute(PROBE_WITH, list(probes.values()), tx.now)
        keys = sorted(probes)
        await tx.connection.execute(
            BEGIN_PROBES, [key[0] for key in keys], [key[1] for key in keys], [probes[key] for key in keys],
            tx.now + PROBE_LEASE,
        )  # fmt: skip
    before = {row["delivery_id"]: row["attempt_count"] for row in
              await tx.connection.fetch(ATTEMPTS_OF, list(probes.values()))}  # fmt: skip
    kept = [
        {"target": row["target"],
            "name": names[row["target"]], "event_type": row["event_name"], "delivery_id": found,
         "sample": (row["target"], row["event_name"]) in sampled, "attempt_count": before.get(found, 0)}
        for row in circuits
        for found in [probes.get((row["target"], row["event_name"]))]
    ]  # fmt: skip
    recovery_id = await tx.connection.fetchval(INSERT_RECOVERY, tx.site, tx.actor, tx.now, kept)
    told = RecoveryAsked(recovery_id=recovery_id, targets=sorted({key[0] for key in probes}), probe_count=len(probes))
    tx.emit(contract.recovery_asked, told, subject=str(recovery_id))
    return await _shown(
        tx.connection, {"recovery_id": recovery_id, "site": tx.site, "asked_by": tx.actor, "asked_at": tx.now,
                        "probes": kept}
    )  # fmt: skip


async def _samples(tx: Tx, circuits: Iterable[asyncpg.Record]) -> dict[tuple[int, str], int]:
    """One sample for each target, which is the probe of all its circuits at which nothing is held back."""
    by_target: dict[int, list[str]] = {}
    for row in circuits:
        by_target.setdefault(row["target"], []).append(row["event_name"])
    made: dict[tuple[int, str], int] = {}
    for target, event_names in by_target.items():
        told = CircuitProbed(target=target, event_types=event_names, asked_by=tx.actor)
        event_id = tx.emit(contract.circuit_probed, told, subject=str(target))
        delivery_id = await _sample(tx, target, event_id)
        made |= {(target, name): delivery_id for name in event_names}
    return made


async def _sample(tx: Tx, target: int, event_id: uuid.UUID) -> int:
    event = contract.circuit_probed.name
    payload = tx.staged[-1].payload
    await tx.connection.execute(intake.INSERT_EVENTS, [event_id], [tx.site], [event], [tx.now], [payload], tx.now)
    delivery_id: int = await tx.connection.fetchval(INSERT_SAMPLE, target, event_id, tx.site, event, tx.now)
    return delivery_id


async def try_with(connection: Connection, delivery_id: int, now: datetime) -> None:
    """Let a delivery that somebody has sent through the circuit that would hold it back, as its probe."""
    await connection.execute(TRY_WITH, delivery_id, now + PROBE_LEASE)


async def latest_recovery(read: Read, _: Nothing) -> Recovery:
    """The newest recovery of the site, as it stands now. Raises `NotFound`."""
    row = await read.pool.fetchrow(LATEST_RECOVERY, read.site)
    if row is None:
        raise NotFound(
            f"Nobody has had anything probed in this site; POST {contract.BASE}/channels/guard/recover does."
        )
    return await _shown(read.pool, row)


async def _shown(source: Any, row: Any) -> Recovery:
    ids = [one["delivery_id"] for one in row["probes"] if one["delivery_id"] is not None]
    sent = {found["delivery_id"]: found for found in await source.fetch(SELECT_PROBES, ids)}
    probes = [_probe(one, sent.get(one["delivery_id"])) for one in row["probes"]]
    count = {state: sum(probe.state == state for probe in probes) for state in
             ("probing", "recovered", "failed", "skipped")}  # fmt: skip
    return Recovery(
        **{name: row[name] for name in ("recovery_id", "site", "asked_by", "asked_at")},
        target_count=len({probe.target for probe in probes}),
        **{f"{state}_count": number for state, number in count.items()},  # type: ignore[arg-type]
        probes=probes,
    )


def _probe(one: Mapping[str, Any], sent: asyncpg.Record | None) -> Probe:
    """A probe as it stands: what its delivery has become since."""
    about = {name: one[name] for name in ("target", "name", "event_type", "delivery_id", "sample")}
    if one["delivery_id"] is None:
        return Probe(**about, state="skipped", error=PAUSED)
    if sent is None:
        return Probe(**about, state="failed", error="Its delivery is kept no more.")
    if sent["state"] == "delivered":
        return Probe(**about, state="recovered", http_status=sent["http_status"])
    if sent["state"] == "delivering" or sent["attempt_count"] <= one["attempt_count"]:
        over = sent["state"] in ("dead", "suppressed")
        return Probe(**about, state="failed" if over else "probing", error=sent["error"] if over else None)
    return Probe(**about, state="failed", http_status=sent["http_status"], error=sent["error"])


async def prune(tx: Tx) -> JobDone | None:
    """Forget circuits at which nothing happened for a day, old sums and recoveries; send what nothing holds back."""
    before = {
        "circuit_count": tx.now - FORGOTTEN_AFTER, "tally_count": (tx.now - TALLIES_KEPT).date(),
        "recovery_count": tx.now - RECOVERIES_KEPT, "released_count": tx.now,
    }  # fmt: skip
    statements = (PRUNE_CIRCUITS, PRUNE_TALLIES, PRUNE_RECOVERIES, RELEASE_ORPHANS)
    done = {
        name: int((await tx.connection.execute(sql, moment)).rpartition(" ")[2])
        for sql, (name, moment) in zip(statements, before.items(), strict=True)
    }
    return JobDone(detail=done) if any(done.values()) else None


def table(policy: Policy) -> Table:
    """What this module answers; ``policy`` is the guard's."""
    return Table(
        commands={contract.recover_target: recover_target, contract.recover_batch: recover_batch},
        queries={contract.show_guard: partial(show_guard, policy), contract.latest_recovery: latest_recovery},
        jobs=(Job("prune_guard", Schedule("41 * * * *"), prune),),
    )
