"""Stored archives verified in the background: what the quick way refuses, how far it is, how it ends, and who may."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from libs.common.buckets import AUDIT_ARCHIVES, stream_name
from libs.common.contracts.audit.archive_verifications import (
    archive_verified,
    get_archive_verification,
    list_archive_verifications,
    start_archive_verification,
)
from libs.common.objects import Bucket
from services.audit.archives import checking, reading
from services.audit.service import make_service
from tests.command_line import Tool
from tests.http_edge import Http
from tests.integration.archive_desk import make, month_with, start
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole, pytest.mark.usefixtures("quick_checkpoints")]


@pytest_asyncio.fixture
async def http(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Http]:
    """Archives of more than ten entries take longer than an answer may."""
    monkeypatch.setattr(reading, "MAX_VERIFIED_ENTRIES", 10)
    await start(stack)
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def ended(stack: Stack, number: int) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            found: dict[str, Any] = (await stack.query(get_archive_verification, {"number": number})).json
            if found["status"] != "running":
                return found
            await asyncio.sleep(0.02)


async def test_a_large_one_is_verified_and_its_tampering_is_named(http: Http, tool: Tool) -> None:
    stack = http.stack
    assert (await http.client.post("/api/audit/archive-verifications", json={"month": "2020-01"})).status_code == 404
    month = await month_with(stack, 600)
    made = (await make(stack, month)).json
    refused = await http.client.get(f"/api/audit/archives/{month}/verify")
    assert refused.status_code == 413
    assert "/api/audit/archive-verifications" in refused.json()["detail"]
    good = await tool("audit", "archive", "verify", month, "--json")
    assert good.exit_code == 0, good.output
    said = json.loads(good.stdout)
    assert (said["valid"], said["status"], said["entry_count"]) == (True, "valid", made["entry_count"])
    assert (said["sha256"], said["started_by"], said["stage_done"] <= said["stage_total"]) == (
        made["sha256"], "owner", True
    )  # fmt: skip
    told = await stack.heard(archive_verified)
    assert (told.subject, told.data["status"]) == ("1", "valid")
    bucket = Bucket(AUDIT_ARCHIVES.name).bind(stack.bus)
    content = b"".join([piece async for piece in bucket.read(await bucket.find(made["sha256"]))])
    await bucket.put(made["sha256"], len(content), io.BytesIO(gzip.compress(content[:-9] + bytes(9))))
    bad = await tool("audit", "archive", "verify", month)
    assert (bad.exit_code, "is not what was stored" in bad.stdout) == (1, True), bad.output
    await stack.bus.js.purge_stream(stream_name(stack.topology.namespace, AUDIT_ARCHIVES.name))
    begun = (await stack.command(start_archive_verification, {"month": month})).json
    assert (begun["status"], begun["stage"], begun["stage_total"]) == ("running", "reading", made["size_bytes"])
    assert (await ended(stack, begun["number"]))["status"] == "broken"
    page = (await stack.query(list_archive_verifications, {"limit": 2})).json
    assert ([one["number"] for one in page["items"]], page["next_cursor"]) == ([3, 2], "2")
    assert (await stack.query(get_archive_verification, {"number": 9})).status == 404


async def test_one_that_is_cut_off_begins_anew_and_another_waits(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends while it reads: nothing is said of the archive until another process has read all of it."""
    stack = http.stack
    month = await month_with(stack, 20)
    await make(stack, month)
    real, begun, held = Bucket.read, asyncio.Event(), asyncio.Event()

    async def slow(self: Bucket, stored: Any) -> Any:
        begun.set()
        await held.wait()
        async for piece in real(self, stored):
            yield piece

    monkeypatch.setattr(Bucket, "read", slow)
    started = await http.client.post("/api/audit/archive-verifications", json={"month": month})
    assert started.status_code == 201, started.text
    await asyncio.wait_for(begun.wait(), 20)
    second = await http.client.post("/api/audit/archive-verifications", json={"month": month})
    assert (second.status_code, "Verification 1 of the archive" in second.json()["detail"]) == (409, True)
    stopped = asyncio.create_task(stack.stop("audit"))
    await asyncio.sleep(0)
    held.set()
    await stopped
    superuser = await stack.superuser()
    statement = "SELECT status, stage, problem FROM audit.archive_verification"
    assert tuple(await superuser.fetchrow(statement) or ()) == ("running", "reading", None)
    await superuser.close()
    await stack.start(make_service(SIGNER))
    assert (await ended(stack, 1))["status"] == "valid"


async def test_stored_bytes_that_nothing_can_read_end_as_broken(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = http.stack
    month = await month_with(stack, 3)
    await make(stack, month)

    def wrong(*_: Any) -> Any:
        raise RuntimeError("what nobody thought of")

    monkeypatch.setattr(checking, "judged", wrong)
    monkeypatch.setattr(checking, "LOOK_EVERY_S", 0.1)
    begun = (await stack.command(start_archive_verification, {"month": month})).json
    found = await ended(stack, begun["number"])
    assert (found["status"], "what nobody thought of" in found["problem"]) == ("broken", True)


async def test_the_lock_is_given_back(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the connection next, another one can verify; and nobody does while another holds the lock."""
    stack = http.stack
    monkeypatch.setattr(checking, "LOOK_EVERY_S", 0.1)
    month = await month_with(stack, 3)
    await make(stack, month)
    other = await stack.superuser()
    for number in (1, 2):
        begun = (await stack.command(start_archive_verification, {"month": month})).json
        assert begun["number"] == number
        if number == 2:
            await asyncio.sleep(0.5)  # some looks
            assert (await stack.query(get_archive_verification, {"number": 2})).json["status"] == "running"
            await other.execute(checking.UNLOCK)
        assert (await ended(stack, number))["status"] == "valid"
        async with asyncio.timeout(10):
            while not await other.fetchval(checking.TRY_LOCK):
                await asyncio.sleep(0.02)
    await other.close()


@pytest.mark.parametrize("full", ["before", "while it is written", "nowhere to write"])
async def test_a_full_disk_says_nothing_of_an_archive(
    http: Http, tool: Tool, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """It ends, and is neither valid nor broken; with room again it is verified."""
    stack = http.stack
    month = await month_with(stack, 20)
    await make(stack, month)

    def nowhere(*_: Any) -> Any:
        raise FileNotFoundError(2, "No usable temporary directory found")

    with monkeypatch.context() as patched:
        if full == "before":
            patched.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1))
        elif full == "nowhere to write":
            patched.setattr(tempfile, "gettempdir", nowhere)
        else:
            patched.setattr(tempfile, "TemporaryFile", lambda: Path("/dev/full").open("w+b"))  # noqa: SIM115
        begun = (await stack.command(start_archive_verification, {"month": month})).json
        assert (await ended(stack, begun["number"]))["status"] == "unable"
        result = await tool("audit", "archive", "verify", month, "--json")
        assert result.exit_code == 2, result.output
        said = json.loads(result.stdout)
        assert (said["status"], said["valid"]) == ("unable", False)
        assert re.search("check(ed| it) here", said["problem"])
        assert (await stack.heard(archive_verified)).data["status"] == "unable"
        monkeypatch.setattr(reading, "MAX_VERIFIED_ENTRIES", 1000)
        quick = await http.client.get(f"/api/audit/archives/{month}/verify")
        assert (quick.status_code, "here" in quick.json()["detail"]) == (503, True), quick.text
    assert (await tool("audit", "archive", "verify", month)).exit_code == 0


async def test_who_may(http: Http) -> None:
    month = await month_with(http.stack, 3)
    await make(http.stack, month)
    await http.site("plant-1")
    some, every = await http.user("some", "auditor", ["plant-1"]), await http.user("every", "auditor")
    sees = await http.user("sees", "operator")
    for client, status in ((some, 403), (sees, 403), (every, 201)):
        answer = await client.post("/api/audit/archive-verifications", json={"month": month})
        assert answer.status_code == status, answer.text
    for body in ({}, {"month": "2026-13"}, {"month": 5}):
        assert (await every.post("/api/audit/archive-verifications", json=body)).status_code == 422
    assert (await every.get("/api/audit/archive-verifications/0")).status_code == 422
