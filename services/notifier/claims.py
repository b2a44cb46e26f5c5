"""The queue of deliveries: taking what is due for a while, and writing down what became of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from libs.common import outbox
from libs.common.changes import changes_in, was
from libs.common.columns import listed, names_of
from libs.common.contracts.notifier import CONTRACT
from libs.common.contracts.notifier.channels import EVERY_SITE, ChannelChanged, ChannelView, Language, channel_disabled
from libs.common.contracts.notifier.subscriptions import SubscriptionChanged, SubscriptionView, subscription_disabled
from libs.common.service import Connection
from libs.common.unasked import unasked
from libs.common.versions import EVERYWHERE
from services.notifier.roll import RAISE_NUMBER

# Longer than an attempt can take: who has not written down by then what became of it has died.
LEASE = timedelta(seconds=45)
GONE = "The receiver answered 410 Gone: it wants no more."

# A few of each lane, the first of each before the second of any, and those first that have waited longest for their
# turn. $1 to $3: what is known of lanes here, their room and when they had their last turn. With whose eyes: those of
# the subscription's owner, or of whom a channel is; a site's own channel has none.
CLAIM = """
WITH known AS (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS known (lane, room, served)
),
ready AS (
    SELECT subscription_id AS lane FROM subscription LEFT JOIN channel USING (channel_id)
    WHERE subscription.status = 'active' AND (channel_id IS NULL OR channel.status = 'active')
    UNION ALL
    SELECT -channel_id FROM channel WHERE status = 'active'
),
due AS (
    SELECT delivery_id,
        row_number() OVER (PARTITION BY lane ORDER BY found.due_at, delivery_id) AS turn,
        coalesce(served, 0) AS served, found.due_at
    FROM ready LEFT JOIN known USING (lane) CROSS JOIN LATERAL (
        SELECT delivery_id, due_at FROM delivery
        WHERE delivery.lane = ready.lane AND delivery.due_at <= $4
            AND (purpose = 'escalation' OR NOT EXISTS (
                SELECT FROM circuit
                WHERE circuit.target = delivery.target AND circuit.event_name = delivery.event_name
                    AND circuit.state IN ('open', 'half_open') AND probe_id IS DISTINCT FROM delivery_id
            ))
        ORDER BY due_at, delivery_id LIMIT least(coalesce(room, $5), $6)
    ) AS found
),
chosen AS (SELECT delivery_id FROM due ORDER BY turn, served, due_at, delivery_id LIMIT $6),
locked AS MATERIALIZED (
    SELECT delivery_id FROM delivery WHERE delivery_id IN (SELECT delivery_id FROM chosen) AND due_at <= $4
    FOR UPDATE SKIP LOCKED
),
taken AS (
    UPDATE delivery SET state = 'delivering', due_at = $7, attempt_count = attempt_count + 1, tries = tries + 1,
        last_attempt_at = $4
    FROM locked WHERE delivery.delivery_id = locked.delivery_id
    RETURNING delivery.*
)
SELECT taken.delivery_id, taken.lane, taken.target, taken.subscription_id, taken.channel_id, taken.event_id, taken.site,
    event_name, purpose, key, attempt_count, tries, payload, coalesce(channel.kind, 'webhook') AS kind,
    coalesce(channel.name, '') AS channel_name,
    coalesce(subscription.language, channel.language, 'en') AS language,
    coalesce(subscription.template, channel.template) AS template, pace, coalesce(quiet_hours, '[]') AS quiet_hours,
    coalesce(subscription.zone, own.zone, everywhere.zone) AS zone, (SELECT number FROM roll) AS roll_number,
    coalesce(endpoint, '') AS endpoint,
    coalesce(channel.secret, subscription.secret) AS secret,
    coalesce(channel.fingerprint, subscription.fingerprint) AS fingerprint,
    previous_secret, previous_fingerprint, previous_until,
    coalesce(owner, channel.person) AS owner, eyes.role AS owner_role, eyes.own_permissions,
    active AND (purpose IN ('test', 'probe') OR sites && ARRAY['*', taken.site]) AS may_see
FROM taken LEFT JOIN subscription USING (subscription_id) LEFT JOIN channel ON channel.channel_id = taken.channel_id
LEFT JOIN person AS eyes ON eyes.username = coalesce(owner, channel.person)
LEFT JOIN event ON event.event_id = taken.event_id
LEFT JOIN site_zone AS own ON own.site = taken.site LEFT JOIN site_zone AS everywhere ON everywhere.site = 'global'
"""
# Not worth waiting for the disk: a result that a crash of PostgreSQL loses only sends a message once more, under the
# same webhook-id. Only by who still has the lease: where it has ended, another has taken the delivery over, or somebody
# decided anew.
STORE = """
WITH lazily AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
result AS (SELECT * FROM jsonb_to_recordset($1) AS result (
    delivery_id bigint, attempt_count integer, state text, due_at timestamptz, at timestamptz, ended_at timestamptz,
    http_status integer, took_ms real, error text, note text,
    request_headers jsonb, answer_headers jsonb, answer_head text
)),
locked AS MATERIALIZED (
    SELECT delivery_id FROM delivery WHERE delivery_id IN (SELECT delivery_id FROM result)
    ORDER BY delivery_id FOR UPDATE
)
UPDATE delivery SET state = result.state, due_at = result.due_at, ended_at = result.ended_at,
    http_status = result.http_status, took_ms = result.took_ms, error = result.error, note = result.note,
    request_headers = result.request_headers, answer_headers = result.answer_headers, answer_head = result.answer_head,
    attempts = CASE WHEN jsonb_array_length(attempts) < 20 THEN attempts ELSE attempts - 0 END || jsonb_build_object(
        'at', result.at, 'http_status', result.http_status, 'took_ms', result.took_ms, 'error', result.error)
FROM locked, result, lazily
WHERE delivery.delivery_id = locked.delivery_id AND result.delivery_id = locked.delivery_id
    AND delivery.state = 'delivering' AND delivery.attempt_count = result.attempt_count
RETURNING delivery.delivery_id
"""
# What was taken and not begun: as if it had not been taken.
GIVE_BACK = """
UPDATE delivery SET state = CASE WHEN delivery.attempt_count > 1 THEN 'retrying' ELSE 'pending' END, due_at = $3,
    attempt_count = delivery.attempt_count - 1, tries = tries - 1
FROM unnest($1::bigint[], $2::integer[]) AS back (delivery_id, attempt_count)
WHERE delivery.delivery_id = back.delivery_id AND state = 'delivering'
    AND delivery.attempt_count = back.attempt_count
"""
_STATUS = ("status", "status_reason")
DISABLE = f"""
UPDATE subscription SET status = 'disabled', status_reason = $2, changed_by = $3, changed_at = $4
FROM {was("subscription", _STATUS, "subscription_id", "subscription_id = $1 AND status = 'active'")}
RETURNING {listed(names_of(SubscriptionView))}, was.*
"""  # noqa: S608 - names of our own class
DISABLE_CHANNEL = f"""
UPDATE channel SET status = 'disabled', status_reason = $2, changed_by = $3, changed_at = $4
FROM {was("channel", _STATUS, "channel_id", "channel_id = $1 AND status = 'active'")}
RETURNING {listed(names_of(ChannelView))}, was.*
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process sends, until its lease ends. ``payload`` None: its event is kept no more.

    ``kind`` is ``webhook``, or that of the channel, whose ``secret`` is where it leads. ``owner`` empty: nobody's eyes
    are asked, since it goes straight to a channel of the site.
    """

    claimed_at: datetime
    delivery_id: int
    lane: int
    target: int
    subscription_id: int | None
    channel_id: int | None
    event_id: uuid.UUID
    site: str
    event_name: str
    purpose: str
    key: uuid.UUID | None
    attempt_count: int
    tries: int
    payload: bytes | None
    kind: str
    channel_name: str
    language: Language
    endpoint: str
    secret: str
    fingerprint: str
    previous_secret: str | None
    previous_fingerprint: str | None
    previous_until: datetime | None
    owner: str
    owner_role: str | None
    may_see: bool | None
    template: str | None = None
    pace: str = "now"
    quiet_hours: Sequence[Mapping[str, Any]] = ()
    zone: str | None = None
    roll_number: int = 0
    own_permissions: list[str] | None = None
    rest: tuple[Claimed, ...] = ()

    @property
    def all(self) -> tuple[Claimed, ...]:
        """Itself and what is sent in the same message."""
        return (self, *self.rest)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an attempt; the fields are those of the row.

    ``key`` is what an answer for it is told under. ``follows``: another result tells of the same attempt. ``well``:
    whether the ``target`` did well, as known at ``known_at``; None: the attempt says nothing of it.
    """

    delivery_id: int
    attempt_count: int
    target: int
    event_name: str
    site: str
    purpose: str
    state: str
    at: datetime
    known_at: datetime
    well: bool | None
    key: uuid.UUID | None = None
    due_at: datetime | None = None
    ended_at: datetime | None = None
    http_status: int | None = None
    took_ms: float | None = None
    error: str | None = None
    request_headers: Mapping[str, str] | None = None
    answer_headers: Mapping[str, str] | None = None
    answer_head: str | None = None
    note: str | None = None
    follows: bool = False

    def of(self, other: Claimed) -> Result:
        """The same for another delivery that was sent in the same message."""
        mine: dict[str, Any] = {
            "delivery_id": other.delivery_id,
            "attempt_count": other.attempt_count,
            "event_name": other.event_name,
        }
        return replace(self, **mine, follows=True)


_RESULT = names_of(
    Result, without=("target", "event_name", "site", "purpose", "known_at", "well", "follows", "key")
)  # which no attempt changes


async def claim(
    connection: Connection, lanes: Sequence[tuple[int, int, int]], now: datetime, *, room: int, limit: int
) -> list[Claimed]:
    """Take up to ``limit`` deliveries that are due, at most ``room`` of a lane that is not in ``lanes``.

    ``lanes``: the lane's number, how many of it may be taken, and when it last had a turn.
    """
    known = [list(column) for column in zip(*lanes, strict=True)] or [[], [], []]
    rows = await connection.fetch(CLAIM, *known, now, room, limit, now + LEASE)
    return [Claimed(now, **row) for row in rows]


async def store(connection: Connection, results: Sequence[Result]) -> list[Result]:
    """Write down what became of attempts, in the caller's transaction; returns those whose leases still held."""
    if not results:
        return []
    written = {row["delivery_id"] for row in await connection.fetch(STORE, [_row(result) for result in results])}
    return [result for result in results if result.delivery_id in written]


async def give_back(connection: Connection, unbegun: Sequence[Claimed], now: datetime) -> None:
    """Let others, or a later turn, take what was not begun."""
    if unbegun:
        ordered = sorted((each for one in unbegun for each in one.all), key=lambda one: one.delivery_id)
        ids, counts = [one.delivery_id for one in ordered], [one.attempt_count for one in ordered]
        await connection.execute(GIVE_BACK, ids, counts, now)


def _row(result: Result) -> dict[str, Any]:
    return {name: getattr(result, name) for name in _RESULT}


async def disable(connection: Connection, target: int, now: datetime) -> None:
    """Send a subscription, or below zero a channel, nothing more, and tell it; in the caller's transaction."""
    actor = f"service:{CONTRACT.service}"
    await connection.execute(RAISE_NUMBER)
    row = await connection.fetchrow(DISABLE if target > 0 else DISABLE_CHANNEL, abs(target), GONE, actor, now)
    if row is None:
        return
    site = EVERYWHERE if row["site"] == EVERY_SITE else row["site"]
    tx = unasked(CONTRACT.service, connection, now, about="delivery.answered", site=site)
    if target > 0:
        tx.emit(subscription_disabled, SubscriptionChanged(**row, changes=changes_in(row)), subject=str(target))
    else:
        tx.emit(channel_disabled, ChannelChanged(**row, changes=changes_in(row)), subject=str(-target))
    await outbox.stage(connection, tx.staged)
