"""Dead letters: a message that can't be applied is stored with its bytes and the reason, *then* taken off the stream.

A crash between the two buries it again under the same key, which changes nothing.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from pydantic import BaseModel

from libs.common import inbox, outbox, outcomes, series
from libs.common.cloudevents import CloudEvent, DecodeError, decode
from libs.common.columns import listed, names_of
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Event, Page
from libs.common.contracts.common import (
    DeadLetter,
    DeadLetterBuried,
    DeadLetterDecided,
    DeadLetterFilter,
    DeadLetterKey,
)
from libs.common.dispatch import Applied
from libs.common.ids import BadToken, token
from libs.common.listing import Filter, Listing, newest
from libs.common.outcomes import Ended
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Conflict, NotFound, Refusal, problem
from libs.common.pull import NAK_DELAYS_S, Delivery
from libs.common.service import CommandHandler, Connection, QueryHandler, Read, Service, Staged, Tx
from libs.common.telemetry import trace_id

ADD_ATTEMPT = """
INSERT INTO attempts (consumer, message_key, count, last_error, last_at) VALUES ($1, $2, 1, $3, $4)
ON CONFLICT (consumer, message_key)
DO UPDATE SET count = attempts.count + 1, last_error = excluded.last_error, last_at = excluded.last_at
WHERE $5::interval[] IS NULL
    OR attempts.last_at + ($5::interval[])[least(attempts.count, cardinality($5::interval[]))] <= excluded.last_at
RETURNING count
"""
PRUNE_ATTEMPTS = "DELETE FROM attempts WHERE last_at < $1"
FORGET_ATTEMPTS = "DELETE FROM attempts WHERE consumer = $1 AND message_key = ANY ($2::text[])"
BURY = """
INSERT INTO dead_letters (consumer, message_key, message_id, message_type, subject, site, payload, headers, reason,
    attempts, buried_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (consumer, message_key) DO UPDATE SET state = 'held', reason = excluded.reason,
    attempts = excluded.attempts, buried_at = excluded.buried_at
WHERE dead_letters.state = 'waiting' RETURNING letter_id
"""
COLUMNS = listed(names_of(DeadLetter, without=("payload",)))
LIST_LETTERS = Listing(
    table="dead_letters",
    columns=COLUMNS,
    filters={"state": "text", "sites": Filter("text[]", "site = ANY ({})")},
    order=newest("letter_id"),
)
SELECT_ONE = f"""
SELECT {COLUMNS}, payload FROM dead_letters WHERE letter_id = $1 AND ($2 OR site = ANY ($3::text[]))
"""  # noqa: S608
SELECT_FOR_UPDATE = """
SELECT letter_id, consumer, message_id, subject, payload, headers, state FROM dead_letters
WHERE letter_id = $1 FOR UPDATE
"""
DECIDE = f"""
UPDATE dead_letters SET state = $2, decided_by = $3, decided_at = $4 WHERE letter_id = $1 RETURNING {COLUMNS}
"""  # noqa: S608
COUNT_OPEN = """
SELECT count(*) FILTER (WHERE state = 'held') AS held, count(*) FILTER (WHERE state = 'waiting') AS waiting
FROM dead_letters WHERE state IN ('held', 'waiting')
"""

PAUSES = [timedelta(seconds=seconds) for seconds in NAK_DELAYS_S]  # after the first failed attempt, after the second…
# Of a command's envelope, of the record of one, of a session; and of who was counted.
_CLIENT = re.compile(r'("(?:client_?)?(?:address|agent)"\s*:\s*)"(?:[^"\\]|\\.)*"')
_STRANGER = re.compile(r'"address:[^"]*"')
AGAIN: tuple[type[BaseException], ...] = (
    *UNREACHABLE,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
Replay = Callable[[Connection, str, CloudEvent, bytes, datetime, Applied], Awaitable[None]]


def _event(service: str, verb: str) -> Event:
    declared = CONTRACTS[service].by_name[f"{service}.deadletter.{verb}"]
    if not isinstance(declared, Event):
        raise TypeError(declared.name)
    return declared


def _tell(service: str, message: CloudEvent, verb: str, data: BaseModel, letter_id: int, now: datetime) -> Staged:
    tx = Tx(service, None, message, now)
    tx.emit(_event(service, verb), data, subject=str(letter_id))
    return tx.staged[0]


def clean(text: str, limit: int) -> str:
    """Text that Postgres takes: poison may hold NUL or broken surrogates, and burying it must never fail."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()[:limit]


def masked(text: str) -> str:
    """A message's text as it is shown: where its sender was, and with which program, is for the audit log alone.

    The stored bytes stay as they are, and are what is replayed. A text that is no JSON is masked as far as it looks so.
    """
    return _STRANGER.sub('"address:masked"', _CLIENT.sub(r'\1"masked"', text))


async def count_attempt(connection: Connection, consumer: str, delivery: Delivery, error: str, now: datetime) -> int:
    """Count one failed attempt; returns how many there were.

    A message on a stream is with one process at a time. A letter that waits may be tried by two replicas at the same
    moment, which counts once: 0 for the second.
    """
    pauses = None if delivery.reply else PAUSES
    return int(await connection.fetchval(ADD_ATTEMPT, consumer, delivery.key, clean(error, 2000), now, pauses) or 0)


async def bury(
    connection: Connection, service: str, consumer: str, delivery: Delivery, reason: str, attempts: int, now: datetime
) -> Ended | None:
    """Store a message that can't be applied and say so with an event, in the open transaction.

    A command gets an outcome that names the dead letter; it is returned, so that the waiting caller can be told.
    """
    try:
        message = decode(delivery.payload, delivery.headers)
    except DecodeError:
        message = CloudEvent(id="", source="", type="")
    letter_id = await connection.fetchval(
        BURY,
        consumer,
        delivery.key,
        clean(message.id, 200),
        clean(message.type, 200),
        clean(delivery.subject, 500),
        clean(message.site, 40),
        delivery.payload,
        {clean(name, 200): clean(value, 2000) for name, value in delivery.headers.items()},
        clean(reason, 2000),
        attempts,
        now,
    )
    await connection.execute(FORGET_ATTEMPTS, consumer, [delivery.key])
    if letter_id is None:  # buried before a crash; its event is in the outbox already
        return None
    series.DEAD_LETTERS.labels(service, consumer).inc()
    try:
        site = token(message.site)
    except BadToken:
        site = "global"
    cause = CloudEvent(
        id=message.id, source="", type="", site=site, actor=f"service:{service}", correlationid=message.correlationid
    )
    data = DeadLetterBuried(
        letter_id=letter_id,
        consumer=consumer,
        message_id=clean(message.id, 200),
        message_type=clean(message.type, 200),
        reason=clean(reason, 2000),
        attempts=attempts,
    )
    await outbox.stage(connection, [_tell(service, cause, "buried", data, letter_id, now)])
    if not consumer.endswith("-commands") or not outcomes.is_uuid(message.id):
        return None
    detail = f"The request could not be applied and lies as dead letter {letter_id}; an operator can replay or drop it."
    body = problem(500, "buried", "The request could not be applied", detail, trace_id(message.traceparent))
    ended = Ended(message, 500, body)
    await outcomes.store(connection, [ended], now)
    return ended


def handlers(service: Service, replay: Replay) -> tuple[dict[Any, CommandHandler], dict[Any, QueryHandler]]:
    """The handlers of the dead-letter contracts, which every service answers in the same way."""
    name = service.name
    by_name = service.contract.by_name

    async def list_letters(read: Read, params: DeadLetterFilter) -> Page[DeadLetter]:
        every, sites = _scope(read)
        given = {"state": params.state, "sites": None if every else sites}
        found = await LIST_LETTERS.page(read.pool, given, limit=params.limit, cursor=params.cursor)
        items = [DeadLetter(**row) for row in found.rows]
        return Page[DeadLetter](items=items, next_cursor=found.next_cursor)

    async def show_letter(read: Read, params: DeadLetterKey) -> DeadLetter:
        row = await read.pool.fetchrow(SELECT_ONE, params.letter_id, *_scope(read))
        if row is None:
            raise NotFound(f"{name} has no dead letter {params.letter_id}.")
        return DeadLetter(**{**row, "payload": masked(row["payload"].decode(errors="backslashreplace"))})

    async def decide(tx: Tx, letter_id: int, state: str, verb: str) -> DeadLetter:
        row = await tx.connection.fetchrow(DECIDE, letter_id, state, tx.actor, tx.now)
        if row is None:
            raise NotFound(f"{name} has no dead letter {letter_id}.")
        letter = DeadLetter(**row)
        data = DeadLetterDecided(letter_id=letter_id, consumer=letter.consumer, message_id=letter.message_id)
        tx.emit(_event(name, verb), data, subject=str(letter_id))
        return letter

    async def held(tx: Tx, letter_id: int) -> asyncpg.Record:
        row = await tx.connection.fetchrow(SELECT_FOR_UPDATE, letter_id)
        if row is None:
            raise NotFound(f"{name} has no dead letter {letter_id}.")
        if row["state"] not in ("held", "waiting"):
            raise Conflict(f"Dead letter {letter_id} was already {row['state']}.")
        return row

    async def replay_letter(tx: Tx, params: DeadLetterKey) -> DeadLetter:
        row = await held(tx, params.letter_id)
        applied = Applied()
        try:
            message = decode(row["payload"], row["headers"])
            fresh = await inbox.claim(tx.connection, row["consumer"], [uuid.UUID(message.id)], [message.digest])
            if fresh:
                await replay(tx.connection, row["consumer"], message, row["payload"], tx.now, applied)
        except AGAIN:
            raise  # nothing is wrong with the letter: the loop tries the replay again
        except Refusal as refusal:
            raise Conflict(f"It was refused again: {refusal.detail}") from refusal
        except (ValueError, TypeError, KeyError, LookupError, asyncpg.PostgresError) as error:
            raise Conflict(f"It still can't be applied: {error!r:.500}") from error
        tx.staged += applied.staged
        await outcomes.store(tx.connection, applied.ended, tx.now)
        return await decide(tx, params.letter_id, "replayed", "replayed")

    async def drop_letter(tx: Tx, params: DeadLetterKey) -> DeadLetter:
        await held(tx, params.letter_id)
        return await decide(tx, params.letter_id, "dropped", "dropped")

    commands: dict[Any, CommandHandler] = {
        by_name[f"{name}.deadletter.replay"]: replay_letter,
        by_name[f"{name}.deadletter.drop"]: drop_letter,
    }
    queries: dict[Any, QueryHandler] = {
        by_name[f"{name}.deadletters.list"]: list_letters,
        by_name[f"{name}.deadletters.show"]: show_letter,
        by_name[f"{name}.outcomes.get"]: outcomes.get,
    }
    return commands, queries


def _scope(read: Read) -> tuple[bool, list[str]]:
    """Whether the asker may see all sites, and else which."""
    return "*" in read.sites, list(read.sites)
