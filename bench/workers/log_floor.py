"""The floor of the audit log: the rows that it writes, in one transaction a batch, without a hash.

What arrives is parsed for its columns as anybody would, and believed. In place of hashes stand numbers of the same
width, since the indexes on them are part of the table. No Merkle tree, no guard, no checkpoint.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import nats
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.workers.floor import TEXTS, Fresh, applying, own_pull
from services.audit.log import INSERT_ENTRIES


async def rows(connection: asyncpg.Connection, fresh: Fresh) -> None:
    """All rows of a batch, and the head."""
    if not fresh:
        return
    head = await connection.fetchrow("SELECT seq, hash FROM head FOR UPDATE")
    assert head is not None
    first, end, now = head["seq"], head["seq"] + len(fresh), datetime.now(UTC)
    numbers = [number.to_bytes(32, "big") for number in range(first, end + 1)]
    documents = [document for _, document, _ in fresh]
    said = [document["data"] for document in documents]
    await connection.execute(
        INSERT_ENTRIES,
        list(range(first + 1, end + 1)),
        numbers[:-1],
        numbers[1:],
        now,
        [payload for _, _, payload in fresh],
        [datetime.fromisoformat(document["time"]) for document in documents],
        [key for key, _, _ in fresh],
        *([document[name] for document in documents] for name in TEXTS),
        [document.get("causationid") for document in documents],
        [document.get("correlationid") for document in documents],
        [document.get("outcome", "applied") for document in documents],
        [one.get("reason") for one in said],
        [f"item:{one['item_id']}" if "item_id" in one else None for one in said],
        [document["traceparent"][3:35] for document in documents],
        [one.get("client_address") for one in said],
        [one.get("client_agent") for one in said],
        2,
    )
    await connection.execute("UPDATE head SET seq = $1, hash = $2", end, numbers[-1])


async def main(wanted: dict[str, Any]) -> None:
    """Until killed."""
    client = await nats.connect(wanted["nats_url"], pending_size=32 * 1024 * 1024)
    connection = await asyncpg.connect(wanted["database_url"], server_settings={"search_path": wanted["schema"]})
    await own_pull(client, applying(connection, wanted["durable"], rows), wanted["stream"], wanted["durable"])


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
