"""How the edge answers: outcomes, problems, limits, documents. The tracker's part is played by a small service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from libs.common import outbox
from libs.common.bus import Reply
from libs.common.contracts.base import Command, Query
from libs.common.contracts.gateway.refusals import refusals_counted
from libs.common.contracts.governance.runs import gate_decided
from libs.common.contracts.tracker import CONTRACT
from libs.common.contracts.tracker.board import BoardSynced, board_synced, get_overview
from libs.common.contracts.tracker.items import BASE, ItemPatch, patch_item
from libs.common.problems import NotFound
from libs.common.service import Read, Service, Tx
from services.gateway.bodies import MAX_BODY_BYTES
from tests.http_edge import Http
from tests.stack import Stack
from tests.unheard import UNHEARD

pytestmark = pytest.mark.integration

ITEM = f"{BASE}/items/1"


class Desk:
    """Plays the tracker: a patch notes what came; `open` lets it answer."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.bodies: list[ItemPatch] = []
        self.reads: list[Read] = []

    async def patch(self, tx: Tx, body: ItemPatch) -> bytes:
        await self.open.wait()
        if body.item_id == 404:
            raise NotFound("There is no item 404.")
        self.bodies.append(body)
        data = BoardSynced(
            gate="operations", subject="site", gate_run_id=1, created_count=0, reopened_count=0, resolved_count=0,
            active_count=body.item_id,
        )  # fmt: skip
        tx.emit(board_synced, data, subject=str(body.item_id))
        return orjson.dumps({"item": body.item_id, "actor": tx.actor, "site": tx.site})

    async def read(self, read: Read, params: Any) -> bytes:
        self.reads.append(read)
        return orjson.dumps({"site": read.site, "params": params.model_dump(exclude_unset=True)})

    async def never(self, _: Any, __: Any) -> Any:
        raise RuntimeError("secret detail of a fault")

    def service(self) -> Service:
        handlers: dict[Query, Any] = dict.fromkeys(CONTRACT.queries, self.read)
        handlers[get_overview] = self.never
        commands: dict[Command, Any] = {**dict.fromkeys(CONTRACT.commands, self.never), patch_item: self.patch}
        return Service(contract=CONTRACT, commands=commands, queries=handlers,
                       events={gate_decided: self.never, **UNHEARD})  # fmt: skip


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge; tests start the tracker's double themselves."""
    edge = await Http(stack).open()
    yield edge
    await edge.close()


@pytest_asyncio.fixture
async def desk(http: Http) -> Desk:
    """The tracker's double, running."""
    made = Desk()
    await http.stack.start(made.service())
    return made


async def test_a_command_waits_for_its_outcome(http: Http, desk: Desk) -> None:
    answer = await http.client.patch(ITEM, json={"status": "done"}, params={"site": "global"})
    assert (answer.status_code, answer.json()) == (200, {"item": 1, "actor": "owner", "site": "global"})
    assert desk.bodies[0].model_fields_set == {"item_id", "status"}
    missing = await http.client.patch(f"{BASE}/items/404", json={})
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"
    assert missing.json()["trace_id"] == missing.headers["traceparent"][3:35]


async def test_the_same_key_gives_the_first_outcome_and_another_body_422(http: Http, desk: Desk) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await http.client.patch(ITEM, json={"status": "done"}, headers=headers)
    again = await http.client.patch(ITEM, json={"status": "done"}, headers=headers)
    other = await http.client.patch(ITEM, json={"status": "blocked"}, headers=headers)
    assert (first.status_code, again.content) == (200, first.content)
    assert other.status_code == 422
    assert len(desk.bodies) == 1
    assert (await http.client.patch(ITEM, json={}, headers={"Idempotency-Key": "a b"})).status_code == 422
    both = await asyncio.gather(
        *(http.client.patch(ITEM, json={}, headers={"Idempotency-Key": "k-2"}) for _ in range(5))
    )
    assert {answer.status_code for answer in both} == {200}
    assert len(desk.bodies) == 2


async def test_a_command_for_a_stopped_service_is_kept_and_applied_later(http: Http) -> None:
    answer = await http.client.patch(ITEM, json={"status": "done"}, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=0")
    location = answer.headers["Location"]
    assert location.startswith("/api/commands/tracker.")
    shown = await http.client.get(location)
    assert (shown.status_code, shown.json()["state"], shown.json()["actor"]) == (200, "pending", "owner")
    ann, bob = await http.user("ann", "manager"), await http.user("bob", "owner")
    assert (await ann.get(location)).status_code == 404
    assert (await bob.get(location)).status_code == 200
    await http.stack.start(Desk().service())
    await http.stack.heard(board_synced)
    shown = await http.client.get(location)
    assert (shown.json()["state"], shown.json()["http_status"], shown.json()["result"]["item"]) == ("done", 200, 1)
    assert (await ann.get(location)).status_code == 404


async def test_an_odd_or_unknown_command_reference_is_a_404(http: Http, desk: Desk) -> None:
    zero = "00000000-0000-0000-0000-000000000001"
    for reference in ("x", "tracker.1", f"nobody.{zero}", "tracker.a>b", "*", f"tracker.{zero}"):
        assert (await http.client.get(f"/api/commands/{reference}")).status_code == 404, reference


async def test_the_wait_runs_out_with_a_202(http: Http, desk: Desk) -> None:
    desk.open.clear()
    answer = await http.client.patch(ITEM, json={}, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=1")
    desk.open.set()
    await http.stack.heard(board_synced)


async def test_queries_carry_site_scope_and_permissions(http: Http, desk: Desk) -> None:
    await http.site("plant-a")
    ann = await http.user("ann", "viewer", ["plant-a"])
    answer = await ann.get(f"{BASE}/items", params={"site": "plant-a", "include_inactive": "true"})
    assert answer.json() == {"site": "plant-a", "params": {"include_inactive": True}}
    assert desk.reads[0].sites == ("plant-a",)
    assert "signal:read" in desk.reads[0].permissions
    etag = answer.headers["ETag"]
    params = {"site": "plant-a", "include_inactive": "true"}
    same = await ann.get(f"{BASE}/items", params=params, headers={"If-None-Match": f'"x", W/{etag}'})
    assert (same.status_code, same.content) == (304, b"")
    assert (await ann.get(f"{BASE}/items/1")).status_code == 404  # it may lie on any site
    foreign = await ann.get(f"{BASE}/items")
    assert (foreign.status_code, foreign.json()["sites"]) == (403, ["plant-a"])
    assert (await ann.get(f"{BASE}/items", params={"site": "nowhere"})).status_code == 403
    assert (await http.client.get(f"{BASE}/items", params={"site": "nowhere"})).status_code == 404
    assert (await http.client.get(f"{BASE}/items", params={"site": "a.>"})).status_code == 422


async def test_a_fault_of_a_handler_is_a_500_without_details(http: Http, desk: Desk) -> None:
    answer = await http.client.get(f"{BASE}/overview")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["trace_id"]


async def test_a_fault_of_the_edge_is_a_500_without_details(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail of a fault")

    monkeypatch.setattr(http.running.bus, "ask", broken)
    answer = await http.client.get(f"{BASE}/items")
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal error")
    assert "secret" not in answer.text


async def test_a_stopped_service_is_a_503_with_advice(http: Http) -> None:
    answer = await http.client.get(f"{BASE}/items")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "tracker" in answer.json()["detail"]


async def test_unknown_paths_and_methods(http: Http) -> None:
    answer = await http.client.get("/api/nothing")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:headgate:problem:not-found")
    answer = await http.client.put("/api/signals/5")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert (await http.client.get("/api/sites/")).status_code == 404
    assert (await http.client.request("PROPFIND", "/api/sites")).status_code == 405
    assert (await http.client.get("/api/sites%00")).status_code == 422
    assert (await http.client.get("/api/../etc/passwd")).status_code == 404


BAD_QUERIES: list[tuple[Any, str]] = [
    ({"nope": "1"}, "nope"),
    ([("limit", "1"), ("limit", "2")], "twice"),
    ({"limit": "9" * 5000}, "limit"),
    ({"limit": "\x00"}, "NUL"),
    ({"gate": "a.>"}, "gate"),
    ({"gate": "x" * 5000}, "gate"),
    ({"gate": "x" * 9000}, "query string"),
    ({f"f{number}": "1" for number in range(60)}, "query string"),
]
BAD_BODIES = [
    (b"{", "application/json", 400),
    (b"\xff", "application/json", 400),
    (b"[]", "application/json", 422),
    (b'{"status": NaN}', "application/json", 422),
    (b'{"status": "done", "status": "blocked"}', "application/json", 422),
    (b'{"item_id": 7}', "application/json", 422),
    (b'{"completion_note": "\\u0000"}', "application/json", 422),
    (b"[" * 100_000, "application/json", 422),
    (b'{"a":' * 200 + b"1" + b"}" * 200, "application/json", 422),
    (b"status=done", "application/x-www-form-urlencoded", 415),
    (b"<x/>", "", 415),
    (b'{"surprise": 1}', "application/json", 422),
]


async def test_bad_query_strings_are_422(http: Http, desk: Desk) -> None:
    for params, word in BAD_QUERIES:
        answer = await http.client.get(f"{BASE}/items", params=params)
        assert (answer.status_code, word in answer.text) == (422, True), (word, answer.text)
    assert desk.reads == []


async def test_bad_bodies_are_refused(http: Http, desk: Desk) -> None:
    for body, kind, status in BAD_BODIES:
        answer = await http.client.patch(ITEM, content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, (body[:50], answer.text)
        assert answer.json()["detail"]
    assert desk.bodies == []


async def test_a_large_body_is_refused_early_with_and_without_a_length(http: Http) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65536 + 2):
            yield b" " * 65536

    answer = await http.client.post("/api/sites", content=chunks(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["max_bytes"]) == (413, MAX_BODY_BYTES)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(http.url.rpartition(":")[2]))
    token = http.client.headers["Authorization"]
    head = f"POST /api/sites HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 67108864\r\n\r\n"
    writer.write(head.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()


async def test_every_answer_carries_its_headers(http: Http) -> None:
    traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    request_id = "11111111-2222-3333-4444-555555555555"
    answer = await http.client.get("/api/me", headers={"traceparent": traceparent, "X-Request-Id": request_id})
    assert answer.headers["X-Request-Id"] == request_id
    assert answer.headers["traceparent"][3:35] == "a" * 32
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert float(answer.headers["X-Request-Duration-Ms"]) > 0
    assert "RateLimit" in answer.headers
    odd = await http.client.get("/api/me", headers={"traceparent": "nonsense", "X-Request-Id": "x\ty"})
    assert odd.status_code == 200


async def test_public_pages_need_no_token_and_the_rest_does(http: Http) -> None:
    anonymous = http.of(None)
    documents = ("/", "/openapi.json", "/asyncapi.json", "/docs", "/reference", "/runbooks")
    for path in (*documents, "/healthz", "/readyz", "/metrics"):
        assert (await anonymous.get(path)).status_code == 200, path
    assert 'http_requests_total{method="GET",route="/docs"' in (await anonymous.get("/metrics")).text
    assert "hg_" + "owner" not in (await anonymous.get("/metrics")).text
    for path in ("/api/status", "/api/events", "/api/commands/tracker.x"):
        assert (await anonymous.get(path)).status_code == 401, path
    etag = (await anonymous.get("/openapi.json")).headers["ETag"]
    assert (await anonymous.get("/openapi.json", headers={"If-None-Match": etag})).status_code == 304
    page = (await anonymous.get("/reference")).text
    assert "/api/ops/governance/gate/remediation/tracker/items/{item_id}" in page
    assert "<script" not in page
    assert "https://" not in page


async def test_readiness_lists_services_as_degraded_and_status_is_strict(http: Http) -> None:
    ready = await http.client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert ready.json()["degraded"] == ["audit", "governance", "metrics", "notifier", "operations", "tracker"]
    status = await http.client.get("/api/status")
    assert (status.status_code, status.json()["services"]["gateway"]) == (503, "up")
    await http.stack.idle("gateway")  # whoever is at work would die of a connection that is gone under it
    http.running.pool.terminate()
    async with asyncio.timeout(5):
        while (await http.client.get("/readyz")).status_code != 503:
            await asyncio.sleep(0.1)
    answer = await http.of("hg_" + "z" * 43).get("/api/me")
    assert answer.status_code == 503


async def test_readiness_names_a_service_that_is_days_behind(http: Http) -> None:
    # The bootstrap told the log of its owner; no audit service runs to hear it.
    await http.stack.idle("gateway")
    http.stack.clock.advance(days=8)
    warnings = (await http.client.get("/readyz")).json()["warnings"]
    assert [warning for warning in warnings if "audit-events" in warning], warnings


async def test_dead_letters_of_other_sites_are_not_shown(http: Http) -> None:
    insert = """
    INSERT INTO dead_letters (consumer, message_key, message_id, message_type, subject, site, payload, headers, reason,
        attempts, buried_at)
    VALUES ('gateway-commands', $1, 'm', 't', 's', $1, 'p', '{}', 'r', 6, now()) RETURNING letter_id
    """
    await http.site("north")
    mine = await http.running.pool.fetchval(insert, "north")
    other = await http.running.pool.fetchval(insert, "global")
    auditor = await http.user("aud", "auditor", ["north"])
    page = (await auditor.get("/api/dead-letters/gateway")).json()
    assert [letter["letter_id"] for letter in page["items"]] == [mine]
    assert (await auditor.get(f"/api/dead-letters/gateway/{mine}")).status_code == 200
    assert (await auditor.get(f"/api/dead-letters/gateway/{other}")).status_code == 404
    assert len((await http.client.get("/api/dead-letters/gateway")).json()["items"]) == 2


async def test_rate_limits_per_token_and_stricter_per_address(stack: Stack) -> None:
    http = await Http(stack).open(requests_per_minute=3, anonymous_requests_per_minute=2)
    try:
        answers = [await http.client.get("/api/me") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["RateLimit-Policy"] == '"auth-read";q=3;w=60'
        assert int(answers[3].headers["Retry-After"]) > 0
        stranger = http.of("hg_" + "z" * 43)
        assert [(await stranger.get("/api/me")).status_code for _ in range(3)] == [401, 401, 429]
        assert (await http.of(None).get("/api/nothing")).status_code == 429
        assert (await http.of(None).get("/healthz")).status_code == 200
        await http.edge.refusals.flush()
        counted = await stack.heard(refusals_counted)
        rows = {(row["who"], row["route"], row["status"]): row["count"] for row in counted.data["items"]}
        assert rows["owner", "/api/me", 429] == 1
        strangers = {(row["route"], row["status"]): row["count"] for row in counted.data["strangers"]}
        assert strangers["/api/me", 401] == 2
        assert strangers["unmatched", 429] == 1
    finally:
        await http.close()


async def test_a_foreign_answer_of_a_service_is_a_503(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    async def odd(*_: Any, **__: Any) -> Reply:
        return Reply(500, b"not json")

    monkeypatch.setattr(http.running.bus, "ask", odd)
    answer = await http.client.get(f"{BASE}/items")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")


async def test_refusals_wait_for_the_database(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    await http.of(None).get("/api/me")
    with monkeypatch.context() as patch:

        async def away(*_: Any) -> None:
            raise OSError("away")

        patch.setattr(outbox, "stage", away)
        await http.edge.refusals.flush()
    http.stack.clock.advance(minutes=1)
    await http.of(None).get("/api/sites")
    await http.edge.refusals.flush()
    await http.stack.heard(refusals_counted, lambda event: event.data["strangers"][0]["route"] == "/api/me")
    await http.stack.heard(refusals_counted, lambda event: event.data["strangers"][0]["route"] == "/api/sites")
