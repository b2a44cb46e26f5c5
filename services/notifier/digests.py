"""What may wait, when it is its turn: held back while it is quiet, or gathered into one message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from libs.common.service import Connection
from services.notifier.claims import Claimed
from services.notifier.paces import pace_of
from services.notifier.words import MAX_ENTRIES

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
# What goes into the message of one that was taken: as often tried, so that all of it has one fate. The payloads of the
# first alone, since no more are shown.
GATHER = """
WITH found AS MATERIALIZED (
    SELECT delivery_id FROM delivery
    WHERE lane = $1 AND due_at <= $2 AND pace = 'digest' AND tries = $3
    ORDER BY due_at, delivery_id LIMIT $4 FOR UPDATE SKIP LOCKED
),
taken AS (
    UPDATE delivery SET state = 'delivering', due_at = $5, attempt_count = attempt_count + 1, tries = tries + 1,
        last_attempt_at = $2
    FROM found WHERE delivery.delivery_id = found.delivery_id RETURNING delivery.*
),
numbered AS (SELECT *, row_number() OVER (ORDER BY delivery_id) AS place FROM taken)
SELECT delivery_id, taken.event_id, event_name, purpose, key, attempt_count, tries,
    CASE WHEN event.event_id IS NOT NULL AND place > $6 THEN ''::bytea ELSE payload END AS payload
FROM numbered AS taken LEFT JOIN event ON event.event_id = taken.event_id ORDER BY place
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
    for place in leading.values():
        one = found[place]
        rows = await connection.fetch(
            GATHER, one.lane, now, one.tries - 1, MAX_GATHERED - 1 - len(one.rest), due_at, MAX_ENTRIES
        )
        found[place] = replace(one, rest=(*one.rest, *(replace(one, rest=(), **row) for row in rows)))
    return found
