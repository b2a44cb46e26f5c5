"""Each write of an append and of a checkpoint, failed and failed though it was persisted: every event is there once, no
number is missing or given twice, and all that was signed is a prefix of the log.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import asyncpg
import pytest
from pydantic import SecretStr

from libs.common import inbox
from libs.common.contracts.gateway.sites import site_created
from libs.common.ids import uuid7
from libs.tlog.digests import entry_digest
from libs.tlog.notes import read_checkpoint
from libs.tlog.tiles import Growth
from services.audit import checkpoints, log, tree
from services.audit.outside import Outside
from services.audit.service import make_service
from tests.integration.audit_desk import listed, site_view, verified
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Stack
from tests.wire import Cut, NatsWire, PostgresWire, wires

pytestmark = [pytest.mark.integration, pytest.mark.whole, pytest.mark.usefixtures("quick_checkpoints")]

WITHIN_S = 30


class Write(NamedTuple):
    """One of the writes, by the statement or the subject; what of the log must be written for it to come."""

    name: str
    at: str
    after: str = ""
    events: int = 3
    known: bool = False  # an event comes that the log has and the inbox has forgotten

    @property
    def on_the_bus(self) -> bool:
        return self.at.startswith("$")


WRITES = (
    Write("inbox", inbox.CLAIM),
    Write("lock of the head", tree.LOCK_HEAD),
    Write("savepoint", "SAVEPOINT", tree.LOCK_HEAD),
    Write("entries", log.INSERT_ENTRIES),
    Write("tiles", tree.INSERT_TILES, events=256),
    Write("head", tree.MOVE_HEAD),
    Write("release of the savepoint", "RELEASE", log.INSERT_ENTRIES),
    Write("return to the savepoint", "ROLLBACK TO", log.INSERT_ENTRIES, known=True),
    Write("search for known events", log.SELECT_KNOWN, known=True),
    Write("entries that are not known", log.INSERT_ENTRIES, log.SELECT_KNOWN, known=True),
    Write("commit", "COMMIT", log.INSERT_ENTRIES),
    Write("acknowledgement", "$JS.ACK."),
    # One event, so that no later one brings a checkpoint of its own.
    Write("checkpoint in NATS", "$KV.", events=1),
    Write("key", checkpoints.INSERT_KEY, events=1),
    Write("checkpoint in the database", checkpoints.UPSERT_CHECKPOINT, events=1),
    Write("commit of the checkpoint", "COMMIT", checkpoints.UPSERT_CHECKPOINT, events=1),
)
STATE = """
SELECT (SELECT count(*) FROM entry) AS count, (SELECT seq FROM entry ORDER BY seq DESC LIMIT 1) AS last,
       (SELECT tree_size FROM head) AS tree_size,
       (SELECT size FROM checkpoint ORDER BY rollover DESC, size DESC LIMIT 1) AS size
"""

WAITS = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
"""


class Room:
    """An audit service at the end of two wires, and a look at its tables that needs neither."""

    def __init__(self, stack: Stack, look: asyncpg.Connection, postgres: PostgresWire, nats: NatsWire) -> None:
        self.stack, self.look, self.postgres, self.nats = stack, look, postgres, nats
        self.published: list[str] = []
        self.notes: set[str] = set()

    async def publish(self, write: Write) -> None:
        """As many events as the write needs."""
        if not write.known:
            await self._publish([str(uuid7()) for _ in range(write.events)])
            return
        known = self.published[0]
        await self.look.execute("DELETE FROM inbox WHERE event_id = $1", known)
        async with self.look.transaction():  # the first one waits, and the others come in one batch behind it
            await self.look.execute(tree.LOCK_HEAD)
            await self._publish([str(uuid7())])
            async with asyncio.timeout(WITHIN_S):
                while not await self.look.fetchval(WAITS):
                    await asyncio.sleep(0.02)
            await self._publish([known, *(str(uuid7()) for _ in range(write.events))])

    async def _publish(self, ids: list[str]) -> None:
        for number, one in enumerate(ids):
            await self.stack.publish(site_created, site_view(self.stack, number), message_id=one)
        self.published += [one for one in ids if one not in self.published[:1]]

    async def settled(self) -> None:
        """Await that all is in the log once, in the tree, signed, and off the bus."""
        wanted = len(self.published)
        state: Any = None
        try:
            async with asyncio.timeout(WITHIN_S):
                while state is None or tuple(state) != (wanted,) * 4:
                    state = await self.look.fetchrow(STATE)
                    assert state["count"] <= wanted, "an event is in the log twice"
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"{wanted} events were published, and the log stands at {state}")
        await self.stack.idle("audit")
        self.notes |= {row["note"] for row in await self.look.fetch("SELECT note FROM checkpoint")}
        self.notes.add((await Outside().bind(self.stack.bus).read()).note)


async def start(stack: Stack, postgres: PostgresWire, nats: NatsWire, **made: Any) -> None:
    """The audit service behind the wires."""
    direct = stack.settings("audit").database_url
    assert direct is not None
    await stack.start(
        make_service(SIGNER, **made),
        database_url=SecretStr(f"{postgres.url(direct.get_secret_value())}?sslmode=disable"),
        nats_url=SecretStr(nats.url(stack.nats_url)),
    )


async def test_each_write_of_append_and_checkpoint(stack: Stack) -> None:
    look = await stack.superuser()
    await look.execute("SET search_path = audit")
    async with wires(stack.database_url, stack.nats_url) as (postgres, nats):
        room = Room(stack, look, postgres, nats)
        await start(stack, postgres, nats)
        await room.publish(WRITES[0])
        await room.settled()
        for write in WRITES:
            for persisted in (False, True):
                cut = Cut(write.at, persisted, write.after)
                (nats if write.on_the_bus else postgres).harm(cut)
                await room.publish(write)
                try:
                    await asyncio.wait_for(cut.made.wait(), WITHIN_S)
                except TimeoutError:
                    pytest.fail(f"nothing was written: {write.name}")
                await room.settled()
        await look.close()
        await whole(room)
        await stack.stop("audit")


async def whole(room: Room) -> None:
    """The log from its entries to its signatures, by an outsider's arithmetic."""
    assert (await verified(room.stack))["valid"]
    entries: list[dict[str, Any]] = []
    cursor: str | None = str(len(room.published) + 1)
    while cursor:
        page = await listed(room.stack, limit=500, cursor=cursor)
        entries, cursor = entries + page["items"], page["next_cursor"]
    entries.reverse()
    assert [one["seq"] for one in entries] == list(range(1, len(room.published) + 1))
    assert sorted(one["event_id"] for one in entries) == sorted(room.published)
    points = {point.size: point for point in (read_checkpoint(note, [SIGNER.verifier]) for note in room.notes)}
    assert len(points) == len(room.notes) > len(WRITES), "two roots of one size were signed"
    grown = Growth()
    for entry in entries:
        grown.add([entry_digest(entry)])
        if (point := points.pop(grown.size, None)) is not None:
            assert point.root == grown.root(), f"the checkpoint over {grown.size} entries is no prefix of the log"
    assert points == {}
