"""Makes the durables of subscribers as their rows say, narrows them when an owner sees less, notes how far they are.

Every few seconds, and at once when a subscriber or a user changes; each gateway does it, since doing it twice does no
harm. Crash here means: the next look does it.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.errors import NotFoundError

from libs.common import outbox
from libs.common.bus import NATS_ERRORS
from libs.common.contracts.gateway.subscribers import (
    INACTIVE_DAYS,
    MAX_PENDING_ACKS,
    SubscriberGap,
    subscriber_created,
    subscriber_gapped,
    subscriber_removed,
)
from libs.common.contracts.gateway.users import user_changed
from libs.common.postgres import UNREACHABLE
from libs.common.running import Running
from libs.common.telemetry import log
from libs.common.topology import ACK_WAIT_S
from libs.common.unasked import unasked
from services.gateway.domain.scope import Scope, narrow
from services.gateway.hearing import Hearing
from services.gateway.subscribing.subscribers import USER_PREFIX, subjects

LOOK_EVERY_S = 5.0

SELECT_WANTED = """
SELECT subscriber_id, name, subscribers.owner, subscribers.sites, types, start, subscribers.created_at, removed_at,
    made_at, acked_seq, safe_seq, gap_after_seq, gap_before_seq, users.role, users.sites AS owner_sites, users.active,
    users.own_permissions
FROM subscribers JOIN users ON username = subscribers.owner
WHERE gone_at IS NULL AND ($1::bigint IS NULL OR subscriber_id = $1) ORDER BY subscriber_id
"""
MARK_MADE = "UPDATE subscribers SET made_at = coalesce(made_at, $2) WHERE subscriber_id = $1"
MARK_GONE = "UPDATE subscribers SET gone_at = $2 WHERE subscriber_id = $1"
NOTE_STATE = """
UPDATE subscribers SET checked_at = $2, pending_count = $3, unacked_count = $4, acked_seq = greatest(acked_seq, $5),
    safe_seq = greatest(safe_seq, $6), last_ack_at = coalesce($7, last_ack_at)
WHERE subscriber_id = $1
"""
# Of two gateways that see it, one tells.
NOTE_GAP = """
UPDATE subscribers SET gap_at = $2, gap_after_seq = $3, gap_before_seq = $4, safe_seq = $4::bigint - 1
WHERE subscriber_id = $1 AND safe_seq = $5 RETURNING subscriber_id
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A subscriber as its row and its owner's row have it now."""

    row: Any

    @property
    def user(self) -> str:
        """Its name on the bus, and that of its durable."""
        return f"{USER_PREFIX}{self.row['subscriber_id']}"

    @property
    def live(self) -> bool:
        """Whether its owner may still act."""
        return bool(self.row["removed_at"] is None and self.row["active"])

    @property
    def sites(self) -> Scope:
        """The sites whose events it sees: its own, as far as its owner may see them."""
        return narrow(self.row["sites"], self.row["owner_sites"]) if self.live else ()


async def wanted(pool: asyncpg.Pool, subscriber_id: int | None = None) -> list[Wanted]:
    """All subscribers, or that one; removed ones only while their durable may be there. Raises like the database."""
    return [Wanted(row) for row in await pool.fetch(SELECT_WANTED, subscriber_id, timeout=5)]


class Durables:
    """The durables of subscribers; ``known`` are those of the last look, by their names."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._hearing = Hearing()
        self._woken = asyncio.Event()
        self.known: dict[str, Wanted] = {}

    async def start(self) -> None:
        """Hear of what changes what a subscriber may see."""
        changes = (subscriber_created, subscriber_removed, user_changed)
        await self._hearing.start(self._running.bus, self._wake, *changes)

    async def stop(self) -> None:
        """Hear no more."""
        await self._hearing.stop()

    async def _wake(self, _message: Msg) -> None:
        self._woken.set()

    async def keep(self) -> None:
        """Look every few seconds until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_EVERY_S)
            self._woken.clear()
            await self.look()

    async def look(self) -> None:
        """Make everything as it should be, as far as database and bus can be reached."""
        try:
            found = await wanted(self._running.pool)
            self.known = {one.user: one for one in found}
            if not found:
                return
            stream = self._running.bus.topology.events_stream
            state = (await self._running.bus.js.stream_info(stream)).state
            for one in found:
                await self._settle(one, state.first_seq, state.last_seq)
        except (*UNREACHABLE, *NATS_ERRORS) as error:
            log.warning("subscribers not looked at", error=repr(error))

    async def ensure(self, one: Wanted) -> None:
        """Make one durable as it should be, before its subscriber comes in. Raises NATS errors."""
        await self._made(one)

    async def _settle(self, one: Wanted, first: int, last: int) -> None:
        """``first`` and ``last`` are what the stream held before this look."""
        bus, pool, now, number = self._running.bus, self._running.pool, self._running.clock(), one.row["subscriber_id"]
        if one.row["removed_at"] is not None:
            with contextlib.suppress(NotFoundError):
                await bus.js.delete_consumer(bus.topology.events_stream, one.user)
            await pool.execute(MARK_GONE, number, now, timeout=5)
            return
        info = await self._found(one)
        if info is None and one.row["made_at"] is not None:
            return  # nobody asked for so long that the server forgot it: made again when its subscriber comes
        info = await self._made(one, info)
        acked = info.ack_floor.stream_seq if info.ack_floor else 0
        waiting, unacked = info.num_pending or 0, info.num_ack_pending or 0
        # What had gone by age before it began was never its own.
        safe = one.row["safe_seq"] if one.row["made_at"] is not None else first - 1
        if first > safe + 1:
            # Asked before the floor is looked at: the server moves that, too, over what is gone.
            await self._gap(one, safe, first)
            safe = first - 1
        safe = max(safe, acked)
        if not waiting and not unacked:
            safe = max(safe, last)
        acked_at = info.ack_floor.last_active if info.ack_floor else None
        await pool.execute(NOTE_STATE, number, now, waiting, unacked, acked, safe, acked_at, timeout=5)

    async def _found(self, one: Wanted) -> ConsumerInfo | None:
        try:
            bus = self._running.bus
            info: ConsumerInfo = await bus.js.consumer_info(bus.topology.events_stream, one.user)
        except NotFoundError:
            return None
        return info

    async def _made(self, one: Wanted, info: ConsumerInfo | None = None) -> ConsumerInfo:
        """The durable, made or narrowed if need be."""
        bus, row = self._running.bus, one.row
        filters = subjects(bus.topology, one.sites, row["types"], row["role"], row["own_permissions"])
        info = info or await self._found(one)
        if info is None:
            config = _config(one, filters)
        elif filters_of(info.config) == filters and _told(one).items() <= (info.config.metadata or {}).items():
            return info
        else:
            metadata = (info.config.metadata or {}) | _told(one)
            config = replace(info.config, metadata=metadata, **_filtered(filters))
        made = await bus.js.add_consumer(bus.topology.events_stream, config)
        await self._running.pool.execute(MARK_MADE, row["subscriber_id"], self._running.clock(), timeout=5)
        return made

    async def _gap(self, one: Wanted, safe: int, first: int) -> None:
        """Note that what lay between the two went by age, and tell it if no other gateway did."""
        now, row = self._running.clock(), one.row
        async with self._running.pool.acquire(timeout=5) as connection, connection.transaction():
            if not await connection.fetchval(NOTE_GAP, row["subscriber_id"], now, safe, first, row["safe_seq"]):
                return
            tx = unasked("gateway", connection, now)
            gap = SubscriberGap(
                subscriber_id=row["subscriber_id"],
                name=row["name"],
                owner=row["owner"],
                gap_after_seq=safe,
                gap_before_seq=first,
                lost_count_at_most=first - 1 - safe,
            )
            tx.emit(subscriber_gapped, gap, subject=one.user)
            await outbox.stage(connection, tx.staged)
        self._running.relay.nudge()
        log.warning("a subscriber missed events", subscriber=one.user, after=safe, before=first)


def filters_of(config: ConsumerConfig) -> list[str]:
    """The filters of a durable, sorted."""
    return sorted(config.filter_subjects or ([config.filter_subject] if config.filter_subject else []))


def _told(one: Wanted) -> dict[str, str]:
    """What the subscriber is told by its own durable, which it can ask for: between which events it missed some."""
    after, before = one.row["gap_after_seq"], one.row["gap_before_seq"]
    return {} if before is None else {"headgate-gap-after": str(after), "headgate-gap-before": str(before)}


def _filtered(filters: list[str]) -> dict[str, Any]:
    one = len(filters) == 1
    return {"filter_subject": filters[0] if one else None, "filter_subjects": None if one else filters}


def _config(one: Wanted, filters: list[str]) -> ConsumerConfig:
    """A durable that begins with what came after the row, or goes on where the one that was lost had been."""
    config = ConsumerConfig(
        durable_name=one.user,
        name=one.user,
        description=f"{one.row['name']} of {one.row['owner']}",
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        max_deliver=-1,
        max_ack_pending=MAX_PENDING_ACKS,
        max_waiting=16,
        inactive_threshold=INACTIVE_DAYS * 86_400,
        deliver_policy=DeliverPolicy.ALL,
        **_filtered(filters),
    )
    if one.row["acked_seq"]:
        return replace(config, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=one.row["acked_seq"] + 1)
    if one.row["start"] == "now":
        created = one.row["created_at"]
        return replace(config, deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=created)
    return config
