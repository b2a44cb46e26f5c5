"""Outcomes of commands: stored with the effect, told to the gateway that waits, and read again by anyone who asks."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import nats.errors
import orjson

from libs.common import outbox, records, series
from libs.common.bus import Bus
from libs.common.cloudevents import CloudEvent, decode
from libs.common.contracts.common import Outcome, OutcomeKey
from libs.common.listing import Source
from libs.common.problems import Invalid, NotFound, TimedOut
from libs.common.service import Closing, Connection, Deferred, Read, Staged
from libs.common.telemetry import log, trace_id

INSERT = """
INSERT INTO outcomes (command_id, operation, actor, site, digest, http_status, body, created_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bytea[],
    $8::timestamptz[])
ON CONFLICT (command_id) DO UPDATE SET http_status = excluded.http_status, body = excluded.body,
    created_at = excluded.created_at, digest = excluded.digest
WHERE outcomes.http_status = 500 OR outcomes.digest = ''
"""
# Both in one round trip, which is what most commands end with.
INSERT_BOTH = f"""
WITH stored AS ({INSERT})
INSERT INTO outbox (message_id, kind, name, site, payload)
SELECT * FROM unnest($9::uuid[], $10::text[], $11::text[], $12::text[], $13::bytea[])
"""  # noqa: S608 - a constant of ours
_AFTER_BOTH = 13  # parameters of `INSERT_BOTH`
SELECT_MANY = "SELECT command_id, digest, http_status, body FROM outcomes WHERE command_id = ANY ($1::uuid[])"
SELECT_ONE = """
SELECT command_id, operation, actor, site, digest, http_status, body, created_at FROM outcomes WHERE command_id = $1
"""
SELECT_WAITING = "SELECT envelope, deadline FROM deferred WHERE command_id = $1 LIMIT 1"
INSERT_DEFERRED = """
INSERT INTO deferred (cause_id, command_id, event_type, envelope, state, deadline)
SELECT cause, $2, $3, $4, $5, $6 FROM unnest($1::uuid[]) AS cause
"""
SELECT_DUE = """
SELECT cause_id, command_id, event_type, envelope, state FROM deferred WHERE cause_id = ANY ($1::uuid[]) FOR UPDATE
"""
DELETE_DEFERRED = "DELETE FROM deferred WHERE command_id = ANY ($1::uuid[])"
DELETE_EXPIRED = "DELETE FROM deferred WHERE deadline < $1 RETURNING command_id, envelope"
PRUNE = "DELETE FROM outcomes WHERE created_at < $1"
# What a command came to, where its body says something of these people: of whom it is, or of who asked for it.
# $1: operations, $2: usernames, $3: fields.
_SAYING = """kept AS MATERIALIZED (
    SELECT command_id, actor, convert_from(body, 'UTF8')::jsonb AS said
    FROM outcomes WHERE operation = ANY ($1::text[]) AND body <> ''
), saying AS (
    SELECT command_id, said, (SELECT jsonb_object_agg(field, '') FROM unnest($3::text[]) AS field
        WHERE said ->> field <> '') AS blank
    FROM kept WHERE coalesce(said ->> 'username', said ->> 'person', actor) = ANY ($2::text[])
)
"""
CUT = f"""WITH {_SAYING}
UPDATE outcomes SET body = convert_to((said || blank)::text, 'UTF8') FROM saying
WHERE outcomes.command_id = saying.command_id AND blank IS NOT NULL
"""  # noqa: S608 - a constant of ours
COUNT_SAYING = f"WITH {_SAYING} SELECT count(*) FROM saying WHERE blank IS NOT NULL"  # noqa: S608 - the same


_PARAMETER = re.compile(r"\$(\d+)")
REFUSED = ".command.refused.v1"
KEY_USED = "This Idempotency-Key was already used with another body; use a new key."


@dataclass(frozen=True, slots=True)
class Ended:
    """How one command ended, before it is stored. ``body`` is the result or a problem document.

    ``not_yet``: nothing was done, and the same command may come again and be applied. It is stored without a digest, so
    that it uses up no Idempotency-Key, and what comes of it then takes its place.
    """

    command: CloudEvent
    http_status: int
    body: bytes
    not_yet: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A deferred command whose event has come."""

    command: CloudEvent
    state: dict[str, Any]
    event_type: str


@cache
def closed_by(closing: Closing) -> str:
    """`INSERT_BOTH` with a closing change before it; the change's parameters come after those of `INSERT_BOTH`."""
    steps = _PARAMETER.sub(lambda match: f"${int(match[1]) + _AFTER_BOTH}", closing.steps)
    return INSERT_BOTH.replace("WITH stored", f"WITH {steps.strip()}, stored", 1)


async def store(
    connection: Connection,
    ended: Sequence[Ended],
    now: datetime,
    staged: Sequence[Staged] = (),
    closing: tuple[Closing, tuple[Any, ...]] | None = None,
) -> None:
    """Keep outcomes and stage what leaves with them, in the open transaction; make the closing change with them.

    With each outcome leaves its record for the audit log.
    """
    told = (records.record(e.command, e.http_status, e.body, now, not_yet=e.not_yet) for e in ended)
    staged = [*staged, *told]
    if closing is not None and ended:
        values = (*_columns(ended, now), *outbox.columns(staged), *closing[1])
        await connection.execute(closed_by(closing[0]), *values)
        return
    if closing is not None:
        await connection.execute(closing[0].alone, *closing[1])
    if not ended:
        await outbox.stage(connection, staged)
    else:
        await connection.execute(INSERT_BOTH, *_columns(ended, now), *outbox.columns(staged))


def _columns(ended: Sequence[Ended], now: datetime) -> Iterator[list[Any]]:
    rows = (
        (
            uuid.UUID(e.command.id),
            e.command.name,
            e.command.actor,
            e.command.site,
            "" if e.not_yet else e.command.digest,
            e.http_status,
            e.body,
            now,
        )
        for e in ended
    )
    return map(list, zip(*rows, strict=True))


async def cut(
    connection: Connection, operations: Sequence[str], usernames: Sequence[str], fields: Sequence[str]
) -> None:
    """Empty these fields in what commands came to, where that is about one of these people (``username``, ``person``,
    else who asked). That it ended, and how, stays.
    """
    await connection.execute(CUT, operations, usernames, fields)


async def count_saying(source: Source, operations: Sequence[str], username: str, fields: Sequence[str]) -> int:
    """In how many outcomes about this person `cut` would empty something."""
    (row,) = await source.fetch(COUNT_SAYING, operations, [username], fields)
    return int(row["count"])


async def tell(bus: Bus, service: str, ended: Sequence[Ended]) -> None:
    """Tell the waiting gateways. Losing such a message loses nothing: the outcome is stored and can be read."""
    for one in ended:
        result = records.result_of(one.http_status)
        series.COMMANDS.labels(service, one.command.name, result).inc()
        await _send(bus, one.command.replyto, one.command.id, one.command.digest, one.http_status, one.body)


async def _send(bus: Bus, replyto: str, command_id: str, digest: str, status: int, body: bytes) -> None:
    # Only a gateway's outcome subject: a command must not make a service publish elsewhere.
    if not replyto.startswith(f"{bus.topology.namespace}.outcome."):
        return
    headers = {"Command-Id": command_id, "Status": str(status), "Digest": digest}
    try:
        await bus.nats.publish(replyto, body, headers=headers)
    except nats.errors.Error as error:
        log.warning("outcome not told", command_id=command_id, error=repr(error))


async def answer_repeats(
    connection: Connection, bus: Bus, commands: Sequence[CloudEvent], digests: dict[uuid.UUID, str]
) -> None:
    """Answer commands that were applied before: the first outcome, or 422 if the body is another one.

    A command that still waits (deferred) gets no answer here; its outcome comes when it is there.
    """
    rows = {row["command_id"]: row for row in await connection.fetch(SELECT_MANY, [uuid.UUID(c.id) for c in commands])}
    for command in commands:
        key = uuid.UUID(command.id)
        if digests.get(key, command.digest) != command.digest:
            refusal = Invalid(KEY_USED)
            body = refusal.body(trace_id(command.traceparent))
            await _send(bus, command.replyto, command.id, command.digest, refusal.status, body)
        elif row := rows.get(key):
            await _send(bus, command.replyto, command.id, command.digest, row["http_status"], row["body"])


async def defer(connection: Connection, command: CloudEvent, deferred: Deferred, now: datetime) -> None:
    """Remember that a command waits for an event."""
    await connection.execute(
        INSERT_DEFERRED,
        list(deferred.causes),
        uuid.UUID(command.id),
        deferred.on.type,
        command.encode(),
        dict(deferred.state),
        now + timedelta(seconds=deferred.timeout_s),
    )


async def due(connection: Connection, events: Sequence[CloudEvent]) -> dict[str, list[Waiting]]:
    """The waiting commands that these events cause to end, by causationid; their rows are taken away."""
    causes = [uuid.UUID(e.causationid) for e in events if is_uuid(e.causationid)]
    if not causes:
        return {}
    types = {e.causationid: e.type for e in events}
    found: dict[str, list[Waiting]] = {}
    taken = []
    for row in await connection.fetch(SELECT_DUE, causes):
        cause = str(row["cause_id"])
        if types.get(cause) == row["event_type"] or types.get(cause, "").endswith(REFUSED):
            found.setdefault(cause, []).append(Waiting(decode(row["envelope"]), row["state"], row["event_type"]))
            taken.append(row["command_id"])
    if taken:
        await connection.execute(DELETE_DEFERRED, taken)
    return found


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


async def expire(connection: Connection, now: datetime) -> list[Ended]:
    """End deferred commands whose event did not come in time with 504, in the open transaction."""
    ended = []
    for row in {row["command_id"]: row for row in await connection.fetch(DELETE_EXPIRED, now)}.values():
        command = decode(row["envelope"])
        refusal = TimedOut("A service that this needed did not answer within 60 s; look at /api/status and try again.")
        ended.append(Ended(command, refusal.status, refusal.body(trace_id(command.traceparent))))
    await store(connection, ended, now)
    return ended


async def get(read: Read, params: OutcomeKey) -> Outcome:
    """The query ``<service>.outcomes.get``."""
    if row := await read.pool.fetchrow(SELECT_ONE, params.command_id):
        return Outcome(
            command_id=row["command_id"],
            operation=row["operation"],
            state="done" if row["http_status"] < 400 else "refused",
            actor=row["actor"],
            site=row["site"],
            http_status=row["http_status"],
            result=orjson.loads(row["body"]) if row["body"] else None,
            created_at=row["created_at"],
            digest=row["digest"],
        )
    if row := await read.pool.fetchrow(SELECT_WAITING, params.command_id):
        command = decode(row["envelope"])
        return Outcome(
            command_id=params.command_id,
            operation=command.name,
            state="waiting",
            actor=command.actor,
            site=command.site,
            digest=command.digest,
        )
    raise NotFound("No command with this id has ended here.")
