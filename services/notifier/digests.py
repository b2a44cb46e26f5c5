"""What may wait, when it is its turn: held back while it is quiet, or gathered into one message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from libs.common.service import Connection
from services.notifier.claims import Claimed
from services.notifier.paces import pace_of
from services.notifier.words.messages import MAX_ENTRIES

MAX_GATHERED = 500  # deliveries in one message

# All of a lane that may wait, in one go: what was taken is as if it had not been.
HOLD_BACK = """
WITH lanes AS (SELECT * FROM unnest($1::bigint[], $2::timestamptz[]) AS lanes (lane, until)),
taken AS (SELECT * FROM unnest($3::bigint[]) AS taken (delivery_id)),
found AS MATERIALIZED (
    SELECT delivery.delivery_id, until, taken.delivery_id IS NOT NULL AS was_taken
    FROM lanes JOIN delivery USING (lane) LEFT JOIN taken ON taken.delivery_id = delivery.delivery_id
    WHERE pace <> 'now' AND (taken.delivery_id IS NOT NULL OR due_at <= $4)
    ORDER BY delivery.delivery_id FOR UPDATE OF delivery SKIP LOCKED
)
UPDATE delivery SET due_at = until,
    state = CASE WHEN attempt_count - was_taken::integer > 0 THEN 'retrying' ELSE 'pending' END,
    attempt_count = attempt_count - was_taken::integer, tries = tries - was_taken::integer
FROM found WHERE delivery.delivery_id = found.delivery_id
"""
# What goes into the messages of those that were taken: as often tried, so that all of one message has one fate. The
# payloads of the first alone, since no more are shown.
GATHER = """
WITH heads AS (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::integer[]) AS heads (lane, tries, room)
),
found AS MATERIALIZED (
    SELECT delivery_id FROM heads CROSS JOIN LATERAL (
        SELECT delivery_id FROM delivery
        WHERE delivery.lane = heads.lane AND due_at <= $4 AND pace = 'digest' AND delivery.tries = heads.tries - 1
        ORDER BY due_at, delivery_id LIMIT heads.room FOR UPDATE SKIP LOCKED
    ) AS due
),
taken AS (
    UPDATE delivery SET state = 'delivering', due_at = $5, attempt_count = attempt_count + 1, tries = tries + 1,
        last_attempt_at = $4
    FROM found WHERE delivery.delivery_id = found.delivery_id RETURNING delivery.*
),
numbered AS (SELECT *, row_number() OVER (PARTITION BY lane, tries ORDER BY delivery_id) AS place FROM taken)
SELECT lane, delivery_id, taken.event_id, event_name, purpose, key, attempt_count, tries,
    CASE WHEN event.event_id IS NOT NULL AND place > $6 THEN ''::bytea ELSE payload END AS payload
FROM numbered AS taken LEFT JOIN event ON event.event_id = taken.event_id ORDER BY lane, tries, place
"""


async def hold_back(connection: Connection, taken: Sequence[Claimed], now: datetime) -> list[Claimed]:
    """Put off what was taken in a quiet hour, with all else in its lane that may wait; returns what may be sent."""
    sent, quiet, ids = [], {}, []
    for one in taken:
        until = pace_of(one.zone, one.quiet_hours, 0).quiet_until(now) if one.pace != "now" else now
        if until > now:
            quiet[one.lane] = until
            ids.append(one.delivery_id)
        else:
            sent.append(one)
    if quiet:
        await connection.execute(HOLD_BACK, list(quiet), list(quiet.values()), ids, now)
    return sent


async def gather(connection: Connection, taken: Sequence[Claimed], now: datetime, due_at: datetime) -> list[Claimed]:
    """Take along what goes into the same messages: ``rest`` of the first of each lane. ``due_at`` ends the lease."""
    found: list[Claimed] = []
    leading: dict[tuple[int, int], int] = {}  # place of the first by lane and tries
    for one in taken:
        place = leading.get((one.lane, one.tries)) if one.pace == "digest" else None
        if place is not None:
            found[place] = replace(found[place], rest=(*found[place].rest, one))
            continue
        if one.pace == "digest":
            leading[one.lane, one.tries] = len(found)
        found.append(one)
    if not leading:
        return found
    keys = [list(column) for column in zip(*leading, strict=True)]
    rooms = [MAX_GATHERED - 1 - len(found[place].rest) for place in leading.values()]
    along: dict[int, list[Claimed]] = {place: list(found[place].rest) for place in leading.values()}
    for row in await connection.fetch(GATHER, *keys, rooms, now, due_at, MAX_ENTRIES):
        place = leading[row["lane"], row["tries"]]
        along[place].append(replace(found[place], rest=(), **row))
    for place, rest in along.items():
        found[place] = replace(found[place], rest=tuple(rest))
    return found
