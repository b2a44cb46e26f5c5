"""The guard at work: what a turn's attempts say of circuits, and what circuits let through.

Two times in a turn of the `Sender`: `note` when results are written down, one statement if all is well, and `look` once
in a second, for what circuits hold back, probe, release and give up. All of it is in PostgreSQL, so replicas agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.common import outbox
from libs.common.columns import copied, listed, names_of
from libs.common.contracts.base import Event
from libs.common.contracts.notifier import CONTRACT
from libs.common.contracts.notifier.channels import channel_tested
from libs.common.contracts.notifier.guard import CircuitTold, circuit_closed, circuit_opened, circuit_probed
from libs.common.contracts.notifier.subscriptions import subscription_tested
from libs.common.service import Connection, Staged
from libs.common.unasked import unasked
from services.notifier.claims import Result
from services.notifier.domain.circuits import (
    BROKEN,
    MAX_SUPPRESSED,
    PROBE_LEASE,
    Circuit,
    Policy,
    Seen,
    after,
    seen,
)
from services.notifier.targets import names_of_targets

AT_ONCE = 1_000  # deliveries that one look moves
CIRCUITS_AT_ONCE = 100
MAX_CIRCUITS = 500  # of a target: more types of events than there are; what is beyond them is sent as if all were well
# Whoever asks for a sample wants to see what becomes of it: those are never held back.
SAMPLES = frozenset({subscription_tested.name, channel_tested.name, circuit_probed.name})
GIVEN_UP = "The target kept failing for 17 hours, and nothing was sent to it any more."

_CIRCUIT = names_of(Circuit)
# Counts, and finds the circuits that the attempts are about: by target and event, or as their probe.
NOTE = f"""
WITH counted AS (
    INSERT INTO tally (site, target, day, attempt_count, failed_attempt_count, delivered_count, dead_count,
        answered_count, took_ms)
    SELECT site, target, day, attempt_count, failed_attempt_count, delivered_count, dead_count, answered_count, took_ms
    FROM jsonb_to_recordset($4) AS fresh (site text, target bigint, day date, attempt_count bigint,
        failed_attempt_count bigint, delivered_count bigint, dead_count bigint, answered_count bigint,
        took_ms double precision)
    ORDER BY site, target, day
    ON CONFLICT (site, target, day) DO UPDATE SET attempt_count = tally.attempt_count + EXCLUDED.attempt_count,
        failed_attempt_count = tally.failed_attempt_count + EXCLUDED.failed_attempt_count,
        delivered_count = tally.delivered_count + EXCLUDED.delivered_count,
        dead_count = tally.dead_count + EXCLUDED.dead_count,
        answered_count = tally.answered_count + EXCLUDED.answered_count, took_ms = tally.took_ms + EXCLUDED.took_ms
),
wanted AS (
    SELECT target, event_name FROM unnest($1::bigint[], $2::text[]) AS wanted (target, event_name)
    UNION SELECT target, event_name FROM circuit WHERE probe_id = ANY ($3::bigint[])
)
SELECT {listed(_CIRCUIT)} FROM circuit JOIN wanted USING (target, event_name)
ORDER BY target, event_name FOR UPDATE OF circuit
"""  # noqa: S608 - names of our own class
KEEP = f"""
INSERT INTO circuit ({listed(_CIRCUIT)})
SELECT {listed(_CIRCUIT)} FROM jsonb_populate_recordset(NULL::circuit, $1) ORDER BY target, event_name
ON CONFLICT (target, event_name) DO UPDATE SET {copied(_CIRCUIT[2:], "EXCLUDED")}
"""  # noqa: S608
FULL_TARGETS = """
SELECT target FROM circuit WHERE target = ANY ($1::bigint[]) GROUP BY target HAVING count(*) >= $2
"""
FORGET = """
DELETE FROM circuit USING unnest($1::bigint[], $2::text[]) AS gone (target, event_name)
WHERE circuit.target = gone.target AND circuit.event_name = gone.event_name
"""
# A probe that failed is held back again, whatever its own schedule says: it stays the oldest. A sample has had its one.
HOLD_BACK = """
UPDATE delivery SET state = 'suppressed', due_at = NULL, suppressed_at = coalesce(suppressed_at, $2)
WHERE delivery_id = ANY ($1::bigint[]) AND state = 'retrying' AND purpose <> 'escalation'
"""
END_SAMPLES = """
UPDATE delivery SET state = 'dead', due_at = NULL, ended_at = $2
WHERE delivery_id = ANY ($1::bigint[]) AND state = 'retrying'
"""

ANY_WATCHED = "SELECT EXISTS (SELECT FROM circuit WHERE state <> 'closed')"
# What became due is held back, but for the probe. The circuits are locked: a success must not go by unseen meanwhile.
SUPPRESS = """
WITH broken AS MATERIALIZED (
    SELECT target, event_name, probe_id FROM circuit WHERE state IN ('open', 'half_open')
    ORDER BY target, event_name FOR UPDATE SKIP LOCKED
),
found AS (
    SELECT delivery_id FROM broken CROSS JOIN LATERAL (
        SELECT broken.target AS lane
        UNION ALL SELECT subscription_id FROM subscription WHERE channel_id = -broken.target
    ) AS way CROSS JOIN LATERAL (
        SELECT delivery_id FROM delivery
        WHERE delivery.lane = way.lane AND delivery.event_name = broken.event_name AND delivery.due_at <= $1
            AND delivery.target = broken.target AND purpose <> 'escalation' AND delivery_id IS DISTINCT FROM probe_id
        ORDER BY due_at, delivery_id LIMIT $2
    ) AS due LIMIT $2
),
locked AS MATERIALIZED (
    SELECT delivery_id FROM delivery WHERE delivery_id IN (SELECT delivery_id FROM found) AND due_at <= $1
    ORDER BY delivery_id FOR UPDATE SKIP LOCKED
)
UPDATE delivery SET state = 'suppressed', due_at = NULL, suppressed_at = coalesce(suppressed_at, $1)
FROM locked WHERE delivery.delivery_id = locked.delivery_id
"""
# The probe is what has been held back longest and may be sent. A time that lies further ahead than any wait was set by
# a clock that ran ahead.
SEND_PROBES = """
WITH ready AS MATERIALIZED (
    SELECT target, event_name FROM circuit
    WHERE state IN ('open', 'half_open') AND (probe_at <= $1 OR probe_at > $1 + $3::interval)
    ORDER BY target, event_name LIMIT $4 FOR UPDATE SKIP LOCKED
),
oldest AS MATERIALIZED (
    SELECT ready.target, ready.event_name, delivery_id FROM ready CROSS JOIN LATERAL (
        SELECT delivery_id FROM delivery LEFT JOIN subscription USING (subscription_id)
        LEFT JOIN channel ON channel.channel_id = delivery.channel_id
        WHERE delivery.target = ready.target AND delivery.event_name = ready.event_name
            AND delivery.state = 'suppressed' AND coalesce(subscription.status, 'active') = 'active'
            AND coalesce(channel.status, 'active') = 'active'
        ORDER BY suppressed_at, delivery_id LIMIT 1
    ) AS first
),
begun AS (
    UPDATE delivery SET state = CASE WHEN attempt_count > 0 THEN 'retrying' ELSE 'pending' END, due_at = $1,
        tries = tries - 1
    FROM oldest WHERE delivery.delivery_id = oldest.delivery_id
)
UPDATE circuit SET state = 'half_open', probe_id = oldest.delivery_id, probe_at = $1 + $2::interval
FROM oldest WHERE circuit.target = oldest.target AND circuit.event_name = oldest.event_name
"""
# A circuit is forgotten by the look that finds nothing more held back for it.
RELEASE = """
WITH healed AS MATERIALIZED (
    SELECT target, event_name, failure_count FROM circuit WHERE state = 'releasing'
    ORDER BY target, event_name LIMIT $3 FOR UPDATE SKIP LOCKED
),
found AS MATERIALIZED (
    SELECT target, event_name, delivery_id FROM healed CROSS JOIN LATERAL (
        SELECT delivery_id FROM delivery
        WHERE delivery.target = healed.target AND delivery.event_name = healed.event_name
            AND delivery.state = 'suppressed'
        ORDER BY suppressed_at, delivery_id LIMIT $2
    ) AS held LIMIT $2
),
sent AS (
    UPDATE delivery SET state = CASE WHEN attempt_count > 0 THEN 'retrying' ELSE 'pending' END, due_at = $1,
        suppressed_at = NULL
    FROM found WHERE delivery.delivery_id = found.delivery_id
),
empty AS (
    SELECT target, event_name, failure_count FROM healed
    WHERE NOT EXISTS (
        SELECT FROM delivery WHERE delivery.target = healed.target AND delivery.event_name = healed.event_name
            AND delivery.state = 'suppressed')
),
forgotten AS (
    DELETE FROM circuit USING empty
    WHERE circuit.target = empty.target AND circuit.event_name = empty.event_name AND empty.failure_count = 0
)
UPDATE circuit SET state = 'closed' FROM empty
WHERE circuit.target = empty.target AND circuit.event_name = empty.event_name AND empty.failure_count > 0
"""
# Only what was held back that long when an attempt failed: a clock that jumps gives nothing up before it is tried.
GIVE_UP = """
WITH found AS MATERIALIZED (
    SELECT delivery_id FROM circuit CROSS JOIN LATERAL (
        SELECT delivery_id FROM delivery
        WHERE delivery.target = circuit.target AND delivery.event_name = circuit.event_name
            AND delivery.state = 'suppressed' AND suppressed_at <= circuit.failed_at - $3::interval
        ORDER BY suppressed_at, delivery_id LIMIT $4
    ) AS held
    WHERE circuit.state = 'open' AND circuit.probes_failed > 0 LIMIT $4
),
ended AS (
    UPDATE delivery SET state = 'dead', ended_at = $1, error = $2
    FROM found WHERE delivery.delivery_id = found.delivery_id AND state = 'suppressed'
    RETURNING delivery.site, delivery.target
)
INSERT INTO tally (site, target, day, attempt_count, failed_attempt_count, delivered_count, dead_count, answered_count,
    took_ms)
SELECT site, target, ($1::timestamptz AT TIME ZONE 'UTC')::date, 0, 0, 0, count(*), 0, 0
FROM ended GROUP BY site, target ORDER BY site, target
ON CONFLICT (site, target, day) DO UPDATE SET dead_count = tally.dead_count + EXCLUDED.dead_count
"""


@dataclass(slots=True)
class _Tally:
    site: str
    target: int
    day: str
    attempt_count: int = 0
    failed_attempt_count: int = 0
    delivered_count: int = 0
    dead_count: int = 0
    answered_count: int = 0
    took_ms: float = 0.0


class Guard:
    """The guard of a process, by its policy."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    async def note(self, connection: Connection, results: Sequence[Result], now: datetime) -> bool:
        """Take in what a turn's attempts say, in its transaction; returns whether events were put into the outbox."""
        if not results:
            return False
        samples = {one.delivery_id: one for one in results if one.purpose == "probe"}
        said = seen(one for one in results if one.event_name not in SAMPLES)
        rows = await connection.fetch(
            NOTE, [key[0] for key in said], [key[1] for key in said], list(samples), tallies(results)
        )
        known = {(row["target"], row["event_name"]): Circuit(**row) for row in rows}
        for key, circuit in known.items():
            if circuit.probe_id in samples and samples[circuit.probe_id].well is not None:
                said.setdefault(key, Seen(*key, circuit.site)).add(samples[circuit.probe_id])
        changed = {key: after(known.get(key), one, now, self.policy) for key, one in said.items()}
        await _keep(connection, known, changed)
        await self._hold_back(connection, known, said, samples, now)
        return await _tell(connection, known, changed, now)

    @staticmethod
    async def _hold_back(
        connection: Connection,
        known: dict[tuple[int, str], Circuit],
        said: dict[tuple[int, str], Seen],
        samples: dict[int, Result],
        now: datetime,
    ) -> None:
        failed = [one.delivery_id for one in samples.values() if one.state == "retrying"]
        if failed:
            await connection.execute(END_SAMPLES, failed, now)
        probes = [
            circuit.probe_id
            for key, circuit in known.items()
            if circuit.probe_id is not None
            and key in said
            and said[key].failed
            and circuit.probe_id in said[key].delivery_ids
            and circuit.probe_id not in samples
        ]
        if probes:
            await connection.execute(HOLD_BACK, probes, now)

    async def look(self, connection: Connection, now: datetime) -> bool:
        """Hold back, probe, release and give up, in the caller's transaction; whether there may be more to do now."""
        if not await connection.fetchval(ANY_WATCHED):
            return False
        longest = max(self.policy.longest_wait, PROBE_LEASE) + timedelta(minutes=1)
        held = await connection.execute(SUPPRESS, now, AT_ONCE)
        await connection.execute(GIVE_UP, now, GIVEN_UP, MAX_SUPPRESSED, AT_ONCE)
        await connection.execute(SEND_PROBES, now, PROBE_LEASE, longest, CIRCUITS_AT_ONCE)
        await connection.execute(RELEASE, now, AT_ONCE, CIRCUITS_AT_ONCE)
        return held == f"UPDATE {AT_ONCE}"


def tallies(results: Iterable[Result]) -> list[dict[str, Any]]:
    """What the attempts add to the sums, by site, target and day, in that order. Samples are nobody's deliveries."""
    found: dict[tuple[str, int, str], _Tally] = {}
    for one in results:
        if one.purpose == "probe":
            continue
        key = (one.site, one.target, one.known_at.astimezone(UTC).date().isoformat())
        sums = found.setdefault(key, _Tally(*key))
        if one.well is not None and not one.follows:  # what shares a message was one attempt
            sums.attempt_count += 1
            sums.failed_attempt_count += not one.well
            sums.answered_count += one.took_ms is not None
            sums.took_ms += one.took_ms or 0.0
        sums.delivered_count += one.state == "delivered"
        sums.dead_count += one.state == "dead"
    return [{part.name: getattr(found[key], part.name) for part in fields(_Tally)} for key in sorted(found)]


async def _keep(
    connection: Connection, known: dict[tuple[int, str], Circuit], changed: dict[tuple[int, str], Circuit | None]
) -> None:
    kept = [one for key, one in changed.items() if one is not None and one != known.get(key)]
    if fresh := [one.target for one in kept if (one.target, one.event_name) not in known]:
        full = {row["target"] for row in await connection.fetch(FULL_TARGETS, fresh, MAX_CIRCUITS)}
        kept = [one for one in kept if one.target not in full or (one.target, one.event_name) in known]
    if kept:
        await connection.execute(KEEP, [{name: getattr(one, name) for name in _CIRCUIT} for one in kept])
    gone = [key for key, one in changed.items() if one is None and key in known]
    if gone:
        await connection.execute(FORGET, [key[0] for key in gone], [key[1] for key in gone])


async def _tell(
    connection: Connection,
    known: dict[tuple[int, str], Circuit],
    changed: dict[tuple[int, str], Circuit | None],
    now: datetime,
) -> bool:
    """Tell of circuits that have opened or closed."""
    told: list[tuple[Event, Circuit]] = []
    for key, one in changed.items():
        before = known.get(key)
        was, is_ = before is not None and before.state in BROKEN, one is not None and one.state in BROKEN
        if one is not None and is_ and not was:
            told.append((circuit_opened, one))
        elif before is not None and was and not is_:
            told.append((circuit_closed, before))
    if not told:
        return False
    names = await names_of_targets(connection, {one.target for _, one in told})
    staged: list[Staged] = []
    for event, one in told:
        tx = unasked(CONTRACT.service, None, now, about="delivery.answered", site=one.site)
        told_of = CircuitTold(
            target=one.target, name=names.get(one.target, ""), event_name=one.event_name,
            failure_count=one.failure_count, error=one.error,
            opened_at=one.opened_at, probe_at=one.probe_at if event is circuit_opened else None,
        )  # fmt: skip
        tx.emit(event, told_of, subject=f"{one.target}/{one.event_name}")
        staged += tx.staged
    await outbox.stage(connection, staged)
    return True
