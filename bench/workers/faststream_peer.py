"""The peer: FastStream on the same stream, as its users write it. Needs nothing of Headgate; see `--peer-python`.

``mode: plain`` is a handler of one message that inserts one row (500 are fetched at once); ``mode: batch`` is one of up
to 500 messages that uses executemany.
"""

import asyncio
import importlib
import json
import sys
from typing import Any

import asyncpg
import orjson
import uvloop

INSERT = "INSERT INTO peer (event_id, type, site, payload) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"


def row_of(body: dict[str, Any]) -> tuple[str, str, str, bytes]:
    """The row of one event."""
    return body["id"], body["type"], body["site"], orjson.dumps(body)


async def main(wanted: dict[str, Any]) -> None:
    """Until killed."""
    faststream: Any = importlib.import_module("faststream.nats")
    pool = await asyncpg.create_pool(
        wanted["database_url"], min_size=1, max_size=4, server_settings={"search_path": wanted["schema"]}
    )
    broker = faststream.NatsBroker(wanted["nats_url"], logger=None)
    stream = faststream.JStream(wanted["stream"], declare=False)
    where = {"subject": wanted["subject"], "stream": stream, "durable": wanted["durable"]}

    async def plain(body: dict[str, Any]) -> None:
        await pool.execute(INSERT, *row_of(body))

    async def batch(bodies: list[dict[str, Any]]) -> None:
        await pool.executemany(INSERT, [row_of(body) for body in bodies])

    if wanted["mode"] == "plain":
        broker.subscriber(**where, pull_sub=faststream.PullSub(batch_size=500))(plain)
    else:
        broker.subscriber(**where, pull_sub=faststream.PullSub(batch_size=500, batch=True))(batch)
    await broker.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
