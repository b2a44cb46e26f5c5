"""The loop with a batch handler that writes the same table as the FastStream peer: what a set-based consumer costs."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import uvloop

from libs.common.bus import connect
from libs.common.dispatch import Dispatcher
from libs.common.loop import BatchConsumer
from libs.common.outbox import Relay
from libs.common.postgres import make_pool
from libs.common.service import Batch, Connection, Delivered, Staged, wall_clock
from libs.common.topology import Topology
from services.audit.service import make_service

INSERT = """
INSERT INTO peer (event_id, type, site, payload)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[]) ON CONFLICT DO NOTHING
"""


async def write(connection: Connection, messages: Sequence[Delivered], _now: datetime) -> Sequence[Staged]:
    """All rows with one statement."""
    rows = ((uuid.UUID(m.event.id), m.event.type, m.event.site, m.payload) for m in messages)
    await connection.execute(INSERT, *map(list, zip(*rows, strict=True)))
    return ()


async def main(wanted: dict[str, Any]) -> None:
    """Until killed."""
    pool = await make_pool(wanted["database_url"], schema=wanted["schema"], size=4, application="bench-rows")
    bus = await connect(wanted["nats_url"], Topology(wanted["namespace"]), "audit", name="bench-rows")
    relay = Relay(pool, bus, "audit")  # nothing is staged, so it need not run
    dispatcher = Dispatcher(make_service(None))
    consumer = BatchConsumer(
        Batch(write), pool, bus, relay, dispatcher, wall_clock, wanted["stream"], wanted["durable"]
    )
    await asyncio.gather(consumer.run())


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
