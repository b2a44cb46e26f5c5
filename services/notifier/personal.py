"""What is kept of a person here: their own channels, which go when the person's data are erased."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from libs.common import outcomes
from libs.common.columns import listed, names_of
from libs.common.contracts.gateway.personal import user_erased
from libs.common.contracts.notifier import personal as contract
from libs.common.contracts.notifier.personal import OwnPlace, OwnPlaces, PersonWanted
from libs.common.service import Connection, Read, Table
from services.notifier.roll import RAISE_NUMBER

ERASED = user_erased.type
SELECT_PLACES = f"""
SELECT {listed(names_of(OwnPlace))}, (address_shown <> '' OR secret <> '') AS is_left
FROM channel WHERE person = $1 ORDER BY channel_id
"""  # noqa: S608 - our own text
# In the order of their numbers, as all that changes many rows does. What it was called is the person's, too.
ERASE_CHANNELS = """
UPDATE channel SET status = 'removed', status_reason = '', name = 'erased-' || channel_id, address_shown = '',
    secret = '', fingerprint = '', changed_at = $2
WHERE channel_id IN (SELECT channel_id FROM channel WHERE person = ANY ($1::text[]) ORDER BY channel_id FOR UPDATE)
RETURNING channel_id
"""
# What commands over one's own channels came to: an address, a name, and refusals that name a channel.
TOLD_BY = tuple(f"notifier.own_channel.{verb}" for verb in ("create", "change", "disable", "enable", "test", "remove"))
TOLD_FIELDS = ("address_shown", "name", "detail")
# What their servers answered may say an address, too, each time, and what was sent to them whom it was for.
FORGET_ANSWERS = """
UPDATE delivery SET error = CASE WHEN due_at IS NULL AND error IS NULL THEN error ELSE 'The channel was removed.' END,
    answer_head = NULL, answer_headers = NULL, request_headers = NULL, attempts = '[]', note = NULL,
    ended_at = coalesce(ended_at, $2), due_at = NULL,
    state = CASE WHEN due_at IS NOT NULL OR state = 'suppressed' THEN 'dead' ELSE state END
WHERE lane = ANY ($1::bigint[])
"""
COUNT_ANSWERS = """
SELECT count(*) FROM delivery WHERE lane = ANY (ARRAY(SELECT -channel_id FROM channel WHERE person = $1))
    AND (answer_head IS NOT NULL OR answer_headers IS NOT NULL OR request_headers IS NOT NULL OR note IS NOT NULL
        OR attempts <> '[]')
"""


async def erase(connection: Connection, usernames: Sequence[str], now: datetime) -> None:
    """Remove the own channels of these people with all that says where they lead. A repeat changes nothing."""
    rows = await connection.fetch(ERASE_CHANNELS, sorted(usernames), now)
    if rows:
        await connection.execute(FORGET_ANSWERS, [-row["channel_id"] for row in rows], now)
    await outcomes.cut(connection, TOLD_BY, sorted(usernames), TOLD_FIELDS)
    await connection.execute(RAISE_NUMBER)


async def get_places(read: Read, wanted: PersonWanted) -> OwnPlaces:
    """The own channels of a person."""
    rows = await read.pool.fetch(SELECT_PLACES, wanted.username)
    told = await outcomes.count_saying(read.pool, TOLD_BY, wanted.username, TOLD_FIELDS)
    answered = await read.pool.fetchval(COUNT_ANSWERS, wanted.username)
    left = sum(row["is_left"] for row in rows) + told + answered
    return OwnPlaces(channels=[OwnPlace(**row) for row in rows], left_count=left)


TABLE = Table(queries={contract.own_places: get_places})
