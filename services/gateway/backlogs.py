"""Since when events and commands wait for each service: read off the streams, also where the service is down."""

from __future__ import annotations

import asyncio

import nats.js.errors
from nats.js.api import RawStreamMsg

from libs.common.bus import Bus
from libs.common.contracts import SERVICES, heard
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway import backlogs as contract
from libs.common.contracts.gateway.backlogs import Backlog
from libs.common.problems import Unavailable
from libs.common.service import Read, Table


async def oldest_event(bus: Bus, service: str) -> RawStreamMsg | None:
    """The oldest event that a service hears and has not acknowledged. Raises NATS errors."""
    stream = bus.topology.events_stream
    info = await bus.js.consumer_info(stream, f"{service}-events", timeout=2)
    if not (info.num_pending or info.num_ack_pending):
        return None
    first = (info.ack_floor.stream_seq if info.ack_floor else 0) + 1
    # By name: what it does not hear lies there, too, and may be far older.
    subjects = [bus.topology.event_filter(None, name) for name in heard(service)]
    found = await asyncio.gather(*(_first(bus, stream, subject, first) for subject in subjects))
    return min((one for one in found if one), key=lambda one: one.seq or 0, default=None)


async def _first(bus: Bus, stream: str, subject: str, seq: int) -> RawStreamMsg | None:
    try:
        return await bus.js.get_msg(stream, seq=seq, subject=subject, next=True)
    except nats.js.errors.NotFoundError:
        return None  # acknowledged or dropped meanwhile


async def _command(bus: Bus, service: str) -> RawStreamMsg | None:
    """A work queue holds what is not acknowledged."""
    return await _first(bus, bus.topology.commands_stream, f"{bus.topology.namespace}.command.{service}.>", 1)


async def list_backlogs(read: Read, _params: Nothing) -> list[Backlog]:
    """For each service for which something waits. Raises NATS errors."""
    bus = read.asker.bus if read.asker else None
    if bus is None:
        raise Unavailable("The gateway is not connected yet; ask again in a few seconds.")
    hearing = [service for service in SERVICES if heard(service)]
    events, commands = await asyncio.gather(
        asyncio.gather(*(oldest_event(bus, service) for service in hearing)),
        asyncio.gather(*(_command(bus, service) for service in SERVICES)),
    )
    found = [("events", *pair) for pair in zip(hearing, events, strict=True)]
    found += [("commands", *pair) for pair in zip(SERVICES, commands, strict=True)]
    return [
        Backlog(service=service, stream=stream, oldest_at=message.time)
        for stream, service, message in found
        if message is not None and message.time is not None
    ]


TABLE = Table(queries={contract.list_backlogs: list_backlogs})
