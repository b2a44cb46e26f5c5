"""Vitals: what waits, what lies in dead letters, and how full the streams are that a service uses."""

from __future__ import annotations

import asyncio

import asyncpg
from nats.js.api import DiscardPolicy

from libs.common import buckets
from libs.common.bus import Bus
from libs.common.contracts.base import Nothing, Query
from libs.common.contracts.vitals import DurableState, StreamState, Vitals, vitals_query
from libs.common.problems import Unavailable
from libs.common.service import Connection, QueryHandler, Read
from libs.common.topology import durables

# Each is read off an index: of what is unsent, of what is held, and of the oldest.
READ_VITALS = """
SELECT (SELECT count(*) FROM outbox WHERE sent_at IS NULL) AS outbox_count,
    (SELECT min(created_at) FROM outbox WHERE sent_at IS NULL) AS outbox_oldest_at,
    (SELECT min(received_at) FROM inbox) AS inbox_oldest_at,
    (SELECT count(*) FROM dead_letters WHERE state = 'held') AS dead_letter_count,
    (SELECT min(buried_at) FROM dead_letters WHERE state = 'held') AS dead_letter_oldest_at
"""


async def look(service: str, source: asyncpg.Pool | Connection, bus: Bus) -> Vitals:
    """What a service's own tables and durables say. Raises what the servers raise."""
    row = await source.fetchrow(READ_VITALS)
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    mine = [(stream, one.durable_name or "") for stream, one in durables(bus.topology) if _is_of(service, one)]
    streams = sorted({stream for stream, _ in mine} | set(buckets.streams_of(bus.topology.namespace, service)))
    waiting, full = await asyncio.gather(
        asyncio.gather(*(_durable(bus, stream, durable) for stream, durable in mine)),
        asyncio.gather(*(_stream(bus, stream) for stream in streams)),
    )
    return Vitals(service=service, **dict(row), durables=waiting, streams=full)


def _is_of(service: str, config: object) -> bool:
    return str(getattr(config, "durable_name", "")).startswith(f"{service}-")


async def _durable(bus: Bus, stream: str, durable: str) -> DurableState:
    info = await bus.js.consumer_info(stream, durable, timeout=2)
    waiting, unacked = info.num_pending or 0, info.num_ack_pending or 0
    return DurableState(stream=stream, durable=durable, pending_count=waiting, unacked_count=unacked)


async def _stream(bus: Bus, stream: str) -> StreamState:
    info = await bus.js.stream_info(stream)
    return StreamState(
        stream=stream,
        byte_count=info.state.bytes,
        max_bytes=max(info.config.max_bytes or 0, 0),
        refuses_when_full=info.config.discard == DiscardPolicy.NEW,
    )


def handlers(service: str) -> dict[Query, QueryHandler]:
    """The handler of the question that every service answers in the same way."""

    async def get(read: Read, _params: Nothing) -> Vitals:
        if read.asker is None or read.asker.bus is None:
            raise Unavailable(f"The {service} service is not connected yet; ask again in a few seconds.")
        return await look(service, read.pool, read.asker.bus)

    return {vitals_query(service): get}
