"""Large reports from the edge to the verdict, and reports given back as the tools wrote them."""

from __future__ import annotations

import gzip
import io
from collections.abc import AsyncIterator
from hashlib import sha256

import asyncpg
import pytest
import pytest_asyncio

from libs.common import buckets
from libs.common.contracts.governance.reports import record_report
from libs.common.objects import Bucket
from services.gateway.uploads import INLINE_BYTES
from tests.http_edge import Http
from tests.integration.governance_desk import report, start
from tests.stack import Stack
from tests.unit.governance.samples import case, junit

pytestmark = pytest.mark.integration
MIB = 1024 * 1024
SMALL = junit(case("a"), case("b"))
LARGE = junit(*(case(f"test_{number}") for number in range(4000)))
OF = {"subject": "app", "version": "1"}
assert len(SMALL) < INLINE_BYTES < len(LARGE)


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with governance behind it."""
    await start(stack)
    edge = await Http(stack).open(max_report_bytes=8 * MIB)
    yield edge
    await edge.close()


async def send(http: Http, content: bytes, **more: str) -> int:
    """Send a JUnit report; the signal's id."""
    answer = await http.client.post("/api/signals/junit", params=OF | more, content=content)
    assert answer.status_code == 201, answer.text
    signal_id: int = answer.json()["items"][0]["signal_id"]
    return signal_id


def stream_of(stack: Stack) -> str:
    return buckets.stream_name(stack.topology.namespace, "reports")


async def drop(stack: Stack, name: str) -> None:
    """Take an object away behind the services' backs."""
    subject = buckets.description_subject(f"{stack.topology.namespace}-reports", name)
    await stack.bus.js.purge_stream(stream_of(stack), subject=subject)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_a_report_comes_back_as_it_was_sent(http: Http, content: bytes) -> None:
    signal_id = await send(http, content)
    path = f"/api/signals/{signal_id}/report"
    answer = await http.client.get(path)
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="junit-{signal_id}.xml"'
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["ETag"] == f'"{sha256(content).hexdigest()}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    again = await http.client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = await http.client.head(path)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(content)))


async def test_a_report_of_another_site_is_not_there(http: Http) -> None:
    await http.site("east")
    signal_id = await send(http, LARGE)
    for query, client in (
        ({"site": "east"}, http.client),
        ({}, await http.user("eve", "viewer", ["east"])),
    ):
        answer = await client.get(f"/api/signals/{signal_id}/report", params=query)
        assert answer.status_code == 404, answer.text


async def test_a_signal_without_a_report_says_so(http: Http) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "ops.security", "data": {"risk_level": "low"}}
    answer = await http.client.post(
        "/api/signals", json=event, headers={"Content-Type": "application/cloudevents+json"}
    )
    signal_id = answer.json()["items"][0]["signal_id"]
    answer = await http.client.get(f"/api/signals/{signal_id}/report")
    assert answer.status_code == 404
    assert "was not read from a report" in answer.json()["detail"]
    assert (await http.client.get("/api/signals/999999/report")).status_code == 404


async def test_the_limit_is_a_setting_and_counts_what_is_unpacked(http: Http) -> None:
    fits = LARGE + b" " * (8 * MIB - len(LARGE))
    answer = await http.client.post("/api/signals/junit", params=OF, content=fits)
    assert answer.status_code == 201, answer.text
    for content, headers in (
        (fits + b" ", {}),
        (gzip.compress(fits + b" "), {"Content-Encoding": "gzip"}),
    ):
        answer = await http.client.post("/api/signals/junit", params=OF, content=content, headers=headers)
        assert (answer.status_code, answer.json()["max_bytes"]) == (413, 8 * MIB)


async def test_a_report_over_the_limit_is_kept_as_a_broken_signal(http: Http, stack: Stack) -> None:
    await send(http, SMALL)
    content = LARGE + b" " * (8 * MIB)
    first, again = [await http.client.post("/api/signals/junit", params=OF, content=content) for _ in range(2)]
    problem = first.json()
    assert (first.status_code, problem["max_bytes"]) == (413, 8 * MIB)
    assert problem["signal_id"] == again.json()["signal_id"]  # soon after, with the same name: a retry
    signal = (await http.client.get(f"/api/signals/{problem['signal_id']}")).json()
    assert (signal["valid"], signal["kind"], signal["data"]) == (False, "test.junit", {"format": "junit"})
    assert signal["problems"][0] in problem["detail"]
    assert (await http.client.get(f"/api/signals/{problem['signal_id']}/report")).status_code == 404
    admin = await stack.superuser()
    try:
        newest = await admin.fetchrow("SELECT signal_id, good_signal_id FROM governance.facts")
    finally:
        await admin.close()
    assert newest is not None
    assert newest["signal_id"] == problem["signal_id"] > newest["good_signal_id"]


async def test_a_packed_report_is_the_same_report(http: Http) -> None:
    first = await send(http, LARGE)
    headers = {"Content-Encoding": "gzip"}
    answer = await http.client.post("/api/signals/junit", params=OF, content=gzip.compress(LARGE), headers=headers)
    item = answer.json()["items"][0]
    assert (item["signal_id"], item["duplicate"]) == (first, True)


async def test_a_key_and_a_large_body_are_one_request(http: Http) -> None:
    headers = {"Idempotency-Key": "k-1"}
    answers = [
        await http.client.post("/api/signals/junit", params=OF, content=content, headers=headers)
        for content in (LARGE, LARGE, LARGE + b"\n")
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 422]
    assert answers[0].json() == answers[1].json()


async def test_fields_that_are_wrong_store_nothing(http: Http, stack: Stack) -> None:
    answer = await http.client.post("/api/signals/junit", params={"subject": " x"}, content=LARGE)
    assert answer.status_code == 422
    assert (await stack.bus.js.stream_info(stream_of(stack))).state.messages == 0


async def test_nobody_names_an_object_by_hand(http: Http) -> None:
    await send(http, LARGE)
    stored = f'{{"stored": {{"sha256": "{sha256(LARGE).hexdigest()}", "size": {len(LARGE)}}}}}'
    answer = await http.client.post("/api/signals/junit", params=OF, content=stored)
    assert answer.status_code == 422  # it is a report that is no XML, nothing else
    answer = await http.client.post("/api/signals/junit", params=OF | {"stored": stored}, content=SMALL)
    assert answer.status_code == 422
    assert "stored" in answer.json()["detail"]


async def test_content_that_is_gone_is_an_outcome_and_no_loop(stack: Stack) -> None:
    await start(stack)
    body = {"format": "junit", **OF, "stored": {"sha256": sha256(LARGE).hexdigest(), "size": len(LARGE)}}
    answer = await stack.command(record_report, body)
    assert answer.status == 422
    assert "send it again" in answer.json["detail"]
    await stack.idle("governance")
    # Lost once more it is the same; the same bytes, there again, are news.
    lost = answer.json["signal_id"]
    assert (await stack.command(record_report, body)).json["signal_id"] == lost
    bucket = Bucket("reports").bind(stack.bus)
    await bucket.put(sha256(LARGE).hexdigest(), len(LARGE), io.BytesIO(gzip.compress(LARGE)))
    items = (await stack.command(record_report, body)).json["items"]
    assert [(one["valid"], one["duplicate"], one["signal_id"] > lost) for one in items] == [(True, False, True)]
    again = (await stack.command(record_report, body)).json["items"][0]
    assert (again["valid"], again["duplicate"], again["signal_id"]) == (True, True, items[0]["signal_id"])
    # A report of another size than was promised is not that report.
    await bucket.put(sha256(LARGE).hexdigest(), 1, io.BytesIO(gzip.compress(b"x")))
    assert (await stack.command(record_report, body)).status == 422


async def test_a_full_store_refuses_before_anything_is_promised(http: Http, stack: Stack) -> None:
    config = (await stack.bus.js.stream_info(stream_of(stack))).config
    config.max_bytes = 1024
    await stack.bus.js.update_stream(config)
    answer = await http.client.post("/api/signals/junit", params=OF, content=LARGE)
    assert answer.status_code == 503
    assert "full" in answer.json()["detail"]
    assert answer.headers["Retry-After"] == "60"
    answer = await http.client.get("/api/signals", params={"subject": "app"})
    assert answer.json()["items"] == []


async def test_an_original_that_left_the_bucket_is_a_sentence(http: Http, stack: Stack) -> None:
    signal_id = await send(http, LARGE)
    await drop(stack, sha256(LARGE).hexdigest())
    answer = await http.client.get(f"/api/signals/{signal_id}/report")
    assert answer.status_code == 404
    assert "not kept any more; reports are kept for 30 days" in answer.json()["detail"]


async def run_job(stack: Stack) -> None:
    """Run governance's broom now."""
    assert await stack.run_job("governance", "remove_reports")


async def test_reports_go_when_their_time_is_over_and_signals_stay(http: Http, stack: Stack) -> None:
    small, large = await send(http, SMALL, part="small"), await send(http, LARGE, part="large")
    stack.clock.advance(days=29)
    await run_job(stack)
    for signal_id in (small, large):
        assert (await http.client.get(f"/api/signals/{signal_id}/report")).status_code == 200
    stack.clock.advance(days=2)
    again = await send(http, SMALL, part="again")  # the same bytes, fresh: theirs is a new time
    await run_job(stack)
    answer = await http.client.get(f"/api/signals/{large}/report")
    assert answer.status_code == 404
    assert f"was removed on {stack.clock():%Y-%m-%d}" in answer.json()["detail"]
    assert (await http.client.get(f"/api/signals/{large}")).status_code == 200
    assert (await stack.bus.js.stream_info(stream_of(stack))).state.messages == 0
    for signal_id in (small, again):
        assert (await http.client.get(f"/api/signals/{signal_id}/report")).content == SMALL


async def test_what_no_signal_refers_to_is_forgotten(stack: Stack) -> None:
    await start(stack)
    assert (await report(stack, "junit", SMALL, **OF)).status == 201
    stack.clock.advance(days=31)
    await run_job(stack)
    admin = await asyncpg.connect(stack.database_url)
    try:
        assert await admin.fetchval("SELECT count(*) FROM governance.originals WHERE content IS NULL") == 1
        await admin.execute("DELETE FROM governance.facts; DELETE FROM governance.signals")
        assert await admin.fetchval("SELECT count(*) FROM governance.signal_reports") == 0
        await run_job(stack)
        assert await admin.fetchval("SELECT count(*) FROM governance.originals") == 0
    finally:
        await admin.close()


async def test_a_report_that_can_not_be_read_is_given_back_all_the_same(http: Http) -> None:
    broken = LARGE[:-100]
    answer = await http.client.post("/api/signals/junit", params=OF, content=broken)
    assert answer.status_code == 422
    signal_id = answer.json()["signal_id"]
    assert (await http.client.get(f"/api/signals/{signal_id}/report")).content == broken


async def test_a_large_report_waits_for_a_service_that_is_down(stack: Stack) -> None:
    edge = await Http(stack).open()
    try:
        headers = {"Prefer": "respond-async"}
        answer = await edge.client.post("/api/signals/junit", params=OF, content=LARGE, headers=headers)
        assert answer.status_code == 202, answer.text
        await start(stack)
        await stack.idle("governance")
        outcome = (await edge.client.get(answer.json()["status_url"])).json()
        assert (outcome["state"], outcome["http_status"]) == ("done", 201)
        signal_id = outcome["result"]["items"][0]["signal_id"]
        assert (await edge.client.get(f"/api/signals/{signal_id}/report")).content == LARGE
    finally:
        await edge.close()
