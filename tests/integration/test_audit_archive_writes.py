"""Each write that makes an archive, its reading back, and its stamp: failed, and failed though it was persisted. Every
month is archived in the end, once; nothing is listed before it is whole, and nothing is left in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from libs.common import inbox, outcomes
from libs.common.buckets import AUDIT_ARCHIVES, bucket_name, stream_name
from libs.common.contracts.audit.archives import (
    STAMP_JOB,
    archive_made,
    get_archive,
    get_archive_stamp,
    list_archives,
    make_archive,
    verify_archive,
)
from libs.common.outbound import Outbound
from libs.common.problems import TimedOut, Unavailable
from libs.common.settings import Settings
from services.audit.archives import making, stamping
from services.audit.archives.stamping import Authority
from services.operations.service import make_service as make_operations
from tests.integration.archive_desk import month_with
from tests.integration.audit_desk import listed, verified
from tests.integration.test_audit_append_faults import WITHIN_S, start
from tests.integration.test_audit_static import settled
from tests.stack import Stack
from tests.tsa import Tsa
from tests.wire import Cut, NatsWire, PostgresWire, wires

pytestmark = [
    pytest.mark.integration,
    pytest.mark.whole,
    pytest.mark.usefixtures("quick_checkpoints"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to be the authority"),
]


class Write(NamedTuple):
    """One of the writes, by the statement or the subject ({bucket} and {stream} are of the store)."""

    name: str
    at: str
    after: str = ""


WRITES = (
    Write("inbox", inbox.CLAIM),
    Write("lock of the month", making.LOCK_MONTH),
    Write("chunk", "$O.{bucket}.C."),
    Write("description", "$O.{bucket}.M."),
    Write("reading back: description", "$JS.API.STREAM.MSG.GET.{stream}"),
    Write("reading back: chunk", "$JS.API.DIRECT.GET.{stream}"),
    Write("row", making.UPSERT_ARCHIVE),
    Write("rows of the CSV files", making.INSERT_CSV, making.UPSERT_ARCHIVE),
    Write("outcome and outbox", outcomes.INSERT_BOTH, making.UPSERT_ARCHIVE),
    Write("commit", "COMMIT", making.UPSERT_ARCHIVE),
    Write("acknowledgement", "$JS.ACK."),
)
STAMPS = (
    Write("stamp", stamping.INSERT_STAMP),
    Write("commit of the stamp", "COMMIT", stamping.INSERT_STAMP),
)


class Room:
    """The audit service at the end of two wires; what it made, by months."""

    def __init__(self, stack: Stack, postgres: PostgresWire, nats: NatsWire) -> None:
        self.stack, self.postgres, self.nats = stack, postgres, nats
        self.months: list[str] = []

    def harm(self, write: Write, persisted: bool) -> Cut:
        namespace = self.stack.topology.namespace
        at = write.at
        if at.startswith("$"):
            at = at.format(
                bucket=bucket_name(namespace, AUDIT_ARCHIVES.name), stream=stream_name(namespace, AUDIT_ARCHIVES.name)
            )
        cut = Cut(at, persisted, write.after)
        (self.nats if at.startswith("$") else self.postgres).harm(cut)
        return cut

    async def made(self, cut: Cut, month: str, name: str) -> dict[str, Any]:
        """Order it, again where that was refused for now, until it is there."""
        asked = await self.stack.post(make_archive, {"month": month})
        try:
            await asyncio.wait_for(cut.made.wait(), WITHIN_S)
        except TimeoutError:
            pytest.fail(f"nothing was written: {name}")
        async with asyncio.timeout(WITHIN_S):
            while True:
                found = await self._shown(month)
                if found is not None:
                    return found
                if asked and self.stack.answered(asked):
                    answer = await self.stack.outcome(asked)
                    assert answer.status in (201, 503), (name, answer)
                    asked = await self.stack.post(make_archive, {"month": month}) if answer.status == 503 else ""
                await asyncio.sleep(0.02)

    async def _shown(self, month: str) -> dict[str, Any] | None:
        with contextlib.suppress(TimedOut, Unavailable):  # its connection is cut just now
            answer = await self.stack.query(get_archive, {"month": month})
            if answer.status == 200:
                found: dict[str, Any] = answer.json
                return found
        return None

    async def objects(self) -> int:
        stream = stream_name(self.stack.topology.namespace, AUDIT_ARCHIVES.name)
        info = await self.stack.bus.js.stream_info(stream, subjects_filter="$O.*.>")
        return len(info.state.subjects or {})


async def _whole(room: Room, name: str) -> None:
    """Each month once: listed, told, verified from the store; and nothing else in the store."""
    stack = room.stack
    await stack.idle("audit")
    await settled(stack)
    found = (await stack.query(list_archives, {})).json
    assert [one["month"] for one in found] == room.months[::-1], name
    assert all(one["state"] == "frozen" for one in found)
    told = [one["subject"] for one in (await listed(stack, action=archive_made.type, limit=500))["items"]]
    assert sorted(told) == room.months, name
    assert (await stack.query(verify_archive, {"month": room.months[-1]})).json["valid"], name
    now = stack.clock()
    stack.clock.advance(hours=5)
    await stack.run_job("audit", "remove_unnamed_archives")
    stack.clock.now = now
    assert await room.objects() == 2 * len(room.months), name


async def test_each_write_of_an_archive_and_of_its_stamp(stack: Stack, tmp_path: Path) -> None:
    tsa = Tsa(tmp_path)
    with tsa.serving() as url:
        async with wires(stack.database_url, stack.nats_url) as (postgres, nats):
            room = Room(stack, postgres, nats)
            await stack.start(make_operations(Settings()))
            await start(stack, postgres, nats, authority=Authority(url, partial(Outbound, ["127.0.0.0/8"])))
            for write in WRITES:
                for persisted in (False, True):
                    month = await month_with(stack, 2)
                    await settled(stack)
                    made = await room.made(room.harm(write, persisted), month, write.name)
                    room.months.append(month)
                    assert made["last_seq"] >= made["first_seq"]
                    await _whole(room, f"{write.name}, persisted: {persisted}")
            for number, (write, persisted) in enumerate((one, both) for one in STAMPS for both in (False, True)):
                await _stamped(room, room.harm(write, persisted), room.months[number], write.name)
            assert (await verified(stack))["valid"]
            await stack.stop("audit")


async def _stamped(room: Room, cut: Cut, month: str, name: str) -> None:
    """The job fails, or its word is lost; the next one finds what is there, and asks for what is not."""
    with contextlib.suppress(Exception):
        await room.stack.run_job("audit", STAMP_JOB)
    assert cut.made.is_set(), name
    if (await room.stack.query(get_archive_stamp, {"month": month})).status == 404:
        assert not cut.persisted or not cut.after, name
        assert await room.stack.run_job("audit", STAMP_JOB)
    assert (await room.stack.query(get_archive_stamp, {"month": month})).status == 200, name
