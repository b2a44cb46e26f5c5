"""The whole log as one download, and that the log knows who has read it."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.bus import Reply
from libs.common.contracts.gateway.log_reads import log_reads_counted
from services.audit.service import make_service
from services.gateway import wholes
from tests.http_edge import Http
from tests.integration.audit_desk import listed, record
from tests.stack import Stack

pytestmark = pytest.mark.integration
EXPORT = "/api/audit/export"


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge before a log of 25 entries."""
    await stack.start(make_service(None))
    await record(stack, 10, site="north")
    await record(stack, 15, site="south")
    opened = await Http(stack).open()
    yield opened
    await opened.close()


async def test_all_pages_come_as_one_file(stack: Stack, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wholes, "PAGE", 4)
    wanted: tuple[tuple[dict[str, Any], int], ...] = (
        ({"action": "gateway.site.created"}, 25),
        ({"only_site": "south"}, 15),
        ({"text": "nowhere"}, 0),
    )
    for params, count in wanted:
        lines = await http.client.get(f"{EXPORT}.ndjson", params=params)
        assert lines.headers["content-type"] == "application/x-ndjson"
        assert lines.headers["content-disposition"].endswith('.ndjson"')
        found = [json.loads(line) for line in lines.text.splitlines()]
        assert found == (await listed(stack, limit=500, **params))["items"]
        assert len(found) == count
        table = await http.client.get(f"{EXPORT}.csv", params=params)
        assert table.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(table.text)))
        assert [(int(row["seq"]), row["hash"]) for row in rows] == [(one["seq"], one["hash"]) for one in found]
        for row, one in zip(rows, found, strict=True):
            assert row["resource_id"] == one["subject"]
            for name in ("action", "resource_type", "actor_kind", "recorded_at", "payload_sha256"):
                assert row[name] == one[name]
    wrong = await http.client.get(f"{EXPORT}.csv", params={"resource_type": "tracker.nothing"})
    assert (wrong.status_code, wrong.headers["content-type"]) == (422, "application/problem+json")


async def test_a_line_of_csv_says_what_was_changed_from_what_to_what(stack: Stack, http: Http) -> None:
    await http.site("north")
    await http.user("bob", "viewer", ["north"])
    answer = await http.client.patch("/api/users/bob", json={"role": "manager", "display_name": "Robert Private"})
    assert answer.status_code == 200, answer.text
    await stack.idle("gateway")
    await stack.idle("audit")
    for path in (f"{EXPORT}.csv", "/api/audit/entries.csv"):
        table = await http.client.get(path, params={"action": "gateway.user.changed"})
        [row] = csv.DictReader(io.StringIO(table.text))
        assert (row["resource_type"], row["resource_id"]) == ("gateway.user", "bob")
        assert json.loads(row["before"]) == {"role": "viewer", "display_name": "masked"}
        assert json.loads(row["after"]) == {"role": "manager", "display_name": "masked"}


async def test_who_sees_one_site_gets_that_one(http: Http) -> None:
    await http.site("south")
    sue = await http.user("sue", "auditor", ["south"])
    found = [json.loads(line) for line in (await sue.get(f"{EXPORT}.ndjson?site=south")).text.splitlines()]
    assert {one["site"] for one in found} == {"south"}
    assert (await sue.get(f"{EXPORT}.ndjson?site=south&only_site=north")).status_code == 403
    vic = await http.user("vic", "viewer", ["south"])
    assert (await vic.get(f"{EXPORT}.ndjson?site=south")).status_code == 403


async def test_a_download_that_breaks_is_seen_to_be_broken(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wholes, "PAGE", 10)
    ask, asked = http.edge.questions.ask, []

    async def failing(*given: Any, **more: Any) -> Reply:
        asked.append(given)
        return await ask(*given, **more) if len(asked) < 2 else Reply(503, b"{}")

    monkeypatch.setattr(http.edge.questions, "ask", failing)
    with pytest.raises(httpx2.RemoteProtocolError):
        await http.client.get(f"{EXPORT}.ndjson")


async def test_the_log_knows_who_read_it_once_a_minute_and_without_end(stack: Stack, http: Http) -> None:
    for _ in range(3):
        assert (await http.client.get("/api/audit/entries?limit=1")).status_code == 200
    assert (await http.client.get("/api/audit/entries/1")).status_code == 200
    assert (await http.client.get(f"{EXPORT}.csv")).status_code == 200
    assert (await http.client.get("/api/audit/entries/999")).status_code == 404
    assert (await http.client.get("/api/audit/log")).status_code == 200  # shows no entry
    await http.edge.log_reads.flush()
    told = await stack.heard(log_reads_counted)
    assert {(one["who"], one["route"]): one["count"] for one in told.data["items"]} == {
        ("owner", "/api/audit/entries"): 3,
        ("owner", "/api/audit/entries/{seq}"): 1,
        ("owner", f"{EXPORT}.csv"): 1,
    }
    await stack.idle("gateway")
    await stack.idle("audit")
    assert len((await listed(stack, type=log_reads_counted.name))["items"]) == 1
    await http.edge.log_reads.flush()  # that it is in the log is no read of the log
    await stack.idle("gateway")
    await stack.idle("audit")
    assert len((await listed(stack, type=log_reads_counted.name))["items"]) == 1
