"""The floors of consumers: the same durable work with nats-py and asyncpg alone.

One process: pull 500, decode, one transaction, acknowledge each. ``work: chain`` is what audit does (inbox, lock of the
head, chain, rows, head); ``work: boards`` what the tracker does for a verdict without failures (inbox, then for each
message its board, its request, its items, and the board again).
``pull: own`` keeps one inbox and publishes its own pull requests; ``pull: fetch`` is nats-py's `fetch`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import nats
import orjson
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg

BATCH = 500
LOCK_BOARD = "SELECT * FROM board WHERE site = $1 AND gate = $2 AND subject = $3 FOR UPDATE"
CREATE_BOARD = "INSERT INTO board (site, gate, subject, created_at) VALUES ($1, $2, $3, now()) ON CONFLICT DO NOTHING"
FIND_REQUEST = "SELECT * FROM run_request WHERE request_id = $1"
LOAD_ITEMS = "SELECT * FROM item WHERE site = $1 AND gate = $2 AND subject = $3 AND rule_id = ANY ($4::text[])"
ADVANCE = """
UPDATE board SET run_number = $4, run_id = $5, version = '', decision = $6, decided_at = $7
WHERE site = $1 AND gate = $2 AND subject = $3
"""
CLAIM = """
INSERT INTO inbox (consumer, event_id, digest) SELECT $1, id, '' FROM unnest($2::uuid[]) AS id ORDER BY id
ON CONFLICT DO NOTHING RETURNING event_id
"""
INSERT = """
INSERT INTO entry (seq, prev_hash, hash, recorded_at, payload,
                   time, event_id, type, source, site, actor, subject, causationid, correlationid)
SELECT seq, prev_hash, hash, $4, payload, time, event_id, type, source, site, actor, subject, causationid, correlationid
FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $5::bytea[], $6::timestamptz[], $7::uuid[], $8::text[], $9::text[],
            $10::text[], $11::text[], $12::text[], $13::uuid[], $14::uuid[])
  AS fresh (seq, prev_hash, hash, payload, time, event_id, type, source, site, actor, subject,
            causationid, correlationid)
"""
TEXTS = ("type", "source", "site", "actor", "subject")


Fresh = list[tuple[uuid.UUID, dict[str, Any], bytes]]
Work = Callable[[asyncpg.Connection, Fresh], Awaitable[None]]
Apply = Callable[[list[bytes]], Awaitable[None]]


def applying(connection: asyncpg.Connection, consumer: str, work: Work) -> Apply:
    """Applies a batch in one transaction."""

    async def apply(payloads: list[bytes]) -> None:
        events = {}
        for payload in payloads:
            document = orjson.loads(payload)
            events[uuid.UUID(document["id"])] = (document, payload)
        async with connection.transaction():
            claimed = {row[0] for row in await connection.fetch(CLAIM, consumer, list(events))}
            await work(connection, [(key, *found) for key, found in events.items() if key in claimed])

    return apply


async def boards(connection: asyncpg.Connection, fresh: Fresh) -> None:
    """One message after another."""
    for _, document, _ in fresh:
        data = document["data"]
        key = (document["site"], data["gate"], data["subject"])
        if await connection.fetchrow(LOCK_BOARD, *key) is None:
            await connection.execute(CREATE_BOARD, *key)
            await connection.fetchrow(LOCK_BOARD, *key)
        await connection.fetchrow(FIND_REQUEST, document["causationid"])
        await connection.fetch(LOAD_ITEMS, *key, [rule["id"] for rule in data["rules"]])
        at = datetime.fromisoformat(data["decided_at"])
        await connection.execute(ADVANCE, *key, data["run_number"], data["run_id"], data["decision"], at)


async def chain(connection: asyncpg.Connection, fresh: Fresh) -> None:
    """All at once."""
    if fresh:
        head = await connection.fetchrow("SELECT seq, hash FROM head FOR UPDATE")
        assert head is not None
        seq, last, now = head["seq"], head["hash"], datetime.now(UTC)
        columns: list[list[Any]] = [[] for _ in range(4)]
        for key, _, payload in fresh:
            seq += 1
            link = hashlib.sha256(last + seq.to_bytes(8, "big") + hashlib.sha256(payload).digest()).digest()
            for column, value in zip(columns, (seq, last, link, key), strict=True):
                column.append(value)
            last = link
        seqs, before, links, keys = columns
        documents = [document for _, document, _ in fresh]
        await connection.execute(
            INSERT,
            seqs,
            before,
            links,
            now,
            [payload for _, _, payload in fresh],
            [datetime.fromisoformat(document["time"]) for document in documents],
            keys,
            *([document[name] for document in documents] for name in TEXTS),
            [document.get("causationid") for document in documents],
            [document.get("correlationid") for document in documents],
        )
        await connection.execute("UPDATE head SET seq = $1, hash = $2", seq, last)


async def own_pull(client: Client, apply: Apply, stream: str, durable: str) -> None:
    """A standing inbox, one pull request of 500 at a time."""
    arrived: asyncio.Queue[Msg] = asyncio.Queue()

    async def arrive(message: Msg) -> None:
        arrived.put_nowait(message)

    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=arrive)
    request = orjson.dumps({"batch": BATCH, "expires": 5_000_000_000})
    while True:
        await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}", request, reply=inbox)
        messages: list[Msg] = []
        while len(messages) < BATCH:
            message = await arrived.get()
            if not message.reply:
                break  # a status: the request has expired
            messages.append(message)
        if messages:
            await apply([message.data for message in messages])
            for message in messages:
                await client.publish(message.reply, b"+ACK")


async def fetch_pull(client: Client, apply: Apply, stream: str, durable: str) -> None:
    """What nats-py offers."""
    subscription = await client.jetstream().pull_subscribe_bind(durable, stream)
    while True:
        try:
            messages = await subscription.fetch(BATCH, timeout=5)
        except TimeoutError:
            continue
        if messages:  # it may also be empty-handed
            await apply([message.data for message in messages])
            for message in messages:
                await message.ack()


async def main(wanted: dict[str, Any]) -> None:
    """Until killed."""
    client = await nats.connect(wanted["nats_url"], pending_size=32 * 1024 * 1024)
    connection = await asyncpg.connect(wanted["database_url"], server_settings={"search_path": wanted["schema"]})
    apply = applying(connection, wanted["durable"], boards if wanted["work"] == "boards" else chain)
    pull = own_pull if wanted["pull"] == "own" else fetch_pull
    await pull(client, apply, wanted["stream"], wanted["durable"])


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
