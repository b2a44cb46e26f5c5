"""The floor of commands: a work queue, one transaction that inserts one row, a reply. Raw nats-py and asyncpg."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import asyncpg
import nats
import orjson
import uvloop
from nats.aio.msg import Msg


async def main(wanted: dict[str, Any]) -> None:
    """Until killed."""
    client = await nats.connect(wanted["nats_url"])
    connection = await asyncpg.connect(wanted["database_url"])
    arrived: asyncio.Queue[Msg] = asyncio.Queue()

    async def arrive(message: Msg) -> None:
        arrived.put_nowait(message)

    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=arrive)
    request = orjson.dumps({"batch": 500, "expires": 5_000_000_000})
    left = 0
    while True:
        if left <= 0:
            await client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{wanted['stream']}.{wanted['durable']}", request, reply=inbox
            )
            left = 500
        message = await arrived.get()
        if not message.reply:
            left = 0  # a status: the request has expired
            continue
        left -= 1
        order = orjson.loads(message.data)
        async with connection.transaction():
            await connection.execute("INSERT INTO floor_order (id, body) VALUES ($1, $2)", order["id"], message.data)
        await client.publish(order["replyto"], message.data)
        await client.publish(message.reply, b"+ACK")


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
