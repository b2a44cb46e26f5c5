"""The static log over HTTP, as tlog-tiles has it: paths, kinds, caching, and who may read it."""

from __future__ import annotations

import asyncio

import pytest

from libs.common.contracts.audit.rollovers import create_rollover
from libs.tlog.merkle import leaf_hash
from libs.tlog.notes import read_checkpoint
from libs.tlog.tiles import entries_of
from services.audit.service import make_service
from tests.http_edge import Http
from tests.integration.audit_desk import record
from tests.integration.test_audit_fork import forked, set_back
from tests.integration.test_audit_tree import SIGNER, state_of
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def settled(stack: Stack) -> int:
    """Await that all is signed; how many entries that is."""
    async with asyncio.timeout(20):
        while (found := await state_of(stack))["state"] != "signed" or found["entry_count"] == 0:
            await asyncio.sleep(0.05)
    count: int = found["entry_count"]
    return count


async def test_who_may_read_the_log_may_read_its_tiles(stack: Stack) -> None:
    edge = await Http(stack).open()
    await stack.start(make_service(SIGNER))
    missing = await edge.client.get("/audit/tile/0/000")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    await record(stack, 300)
    size = await settled(stack)
    answer = await edge.client.get("/audit/checkpoint")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Authorization"
    assert read_checkpoint(answer.text, [SIGNER.verifier]).size == size
    tile, bundle = [await edge.client.get(f"/audit/tile/{path}") for path in ("0/000", "entries/000")]
    for one in (tile, bundle):
        assert one.headers["content-type"] == "application/octet-stream"
        assert one.headers["cache-control"] == "private, max-age=600, must-revalidate"
    assert tile.content == b"".join(map(leaf_hash, entries_of(bundle.content)))
    again = await edge.client.get("/audit/tile/0/000", headers={"If-None-Match": tile.headers["etag"]})
    assert again.status_code == 304
    partial = await edge.client.get(f"/audit/tile/0/001.p/{size - 256}")
    assert len(partial.content) == (size - 256) * 32
    for path, status in (
        ("/audit/tile/0/001", 404),
        ("/audit/tile/0/0", 422),
        ("/audit/tile/", 422),
        ("/audit/tile/0/%2e%2e/000", 422),
        ("/audit/tile/" + "x" * 500, 422),
        ("/audit/checkpoint?a=1", 422),
        ("/audit/other", 404),
    ):
        assert (await edge.client.get(path)).status_code == status, path
    for path in ("/audit/checkpoint", "/audit/tile/0/000"):
        assert (await edge.of(None).get(path)).status_code == 401
        assert (await edge.client.post(path)).status_code == 405
    viewer = await edge.user("vera", "viewer", ["*"])
    assert (await viewer.get("/audit/checkpoint")).status_code == 403
    await edge.close()


async def test_a_public_log_needs_no_token(stack: Stack) -> None:
    edge = await Http(stack).open(audit_public=True)
    await stack.start(make_service(SIGNER))
    await record(stack, 3)
    size = await settled(stack)
    stranger = edge.of(None)
    answer = await stranger.get("/audit/checkpoint")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, no-cache")
    assert "vary" not in answer.headers
    tile = await stranger.get(f"/audit/tile/entries/000.p/{size}")
    assert tile.headers["cache-control"] == "public, max-age=600, must-revalidate"
    assert (await stranger.get("/api/audit/log")).status_code == 401  # nothing else is opened by it
    assert (await stranger.get("/api/audit/entries")).status_code == 401
    await edge.close()


async def test_an_unsigned_log_says_why(stack: Stack) -> None:
    edge = await Http(stack).open()
    await stack.start(make_service(None))
    answer = await edge.client.get("/audit/checkpoint")
    assert answer.status_code == 404
    assert "no signed checkpoint" in answer.json()["detail"]
    assert (await edge.client.get("/api/audit/log")).json()["state"] == "unsigned"
    await edge.close()


@pytest.mark.whole
async def test_a_cache_that_asks_again_gets_the_tiles_of_the_log_after_a_loss(stack: Stack) -> None:
    """What both logs have in common is not sent again; what is another now is, though its path is the same."""
    edge = await Http(stack).open()
    await stack.start(make_service(SIGNER))
    await record(stack, 300)
    await settled(stack)
    common, other = "/audit/tile/0/000", "/audit/tile/0/001.p/40"
    kept = {path: await edge.client.get(path) for path in (common, other)}
    await stack.stop("audit")
    await set_back(stack, 280)
    await stack.start(make_service(SIGNER))
    lost = int((await forked(stack))["problem"].split("up to ")[1].split()[0])  # reading was logged, too
    body = {"lost_size": lost, "reason": "the disk broke"}
    assert (await stack.command(create_rollover, body)).status == 201
    await record(stack, 30)
    await settled(stack)
    for path, status in ((common, 304), (other, 200)):
        again = await edge.client.get(path, headers={"If-None-Match": kept[path].headers["etag"]})
        assert again.status_code == status, path
        assert "immutable" not in again.headers["cache-control"]
    assert again.content != kept[other].content
    await edge.close()
