"""Retention: what is over is in an archive that reads back before it is removed, and otherwise stays."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from libs.common import buckets
from libs.common.objects import Bucket
from services.notifier.figures import retention
from tests.integration.notifier_desk import Desk
from tests.plans import generic_plan, nodes
from tests.stack import Stack

pytestmark = pytest.mark.integration
RUN = "/ops/alerts/retention/run"
# One is a formula to a spreadsheet.
SEED = """
INSERT INTO notifier.delivery (subscription_id, event_id, site, event_name, state, due_at, created_at, ended_at, error,
    request_headers, answer_head)
SELECT $1, gen_random_uuid(), $2, 'governance.gate.decided', $3, $4, $5, $6, '=HYPERLINK("https://x.example")',
    '{"authorization": "a-secret-header"}', 'a-secret-answer'
FROM generate_series(1, $7)
"""


@pytest_asyncio.fixture
async def root(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    connection = await stack.superuser()
    yield connection
    await connection.close()


async def _seed(
    root: asyncpg.Connection, subscription_id: int, at: datetime, count: int = 1, state: str = "delivered",
    site: str = "global",
) -> None:  # fmt: skip
    over = state in ("delivered", "dead")
    due_at = None if over else at + timedelta(days=3650)
    await root.execute(SEED, subscription_id, site, state, due_at, at, at if over else None, count)


async def _count(root: asyncpg.Connection) -> int:
    found: int = await root.fetchval("SELECT count(*) FROM notifier.delivery")
    return found


async def _stored(stack: Stack) -> int:
    """How many objects lie in the bucket."""
    name = f"{stack.topology.namespace}-archives"
    info = await stack.bus.js.stream_info(
        buckets.stream_name(stack.topology.namespace, "archives"), subjects_filter=f"$O.{name}.M.>"
    )
    return len(info.state.subjects or {})


async def test_what_is_old_and_over_is_archived_then_removed(
    desk: Desk, stack: Stack, root: asyncpg.Connection
) -> None:
    subscription_id = (await desk.subscribe())["subscription_id"]
    now = stack.clock()
    await _seed(root, subscription_id, now - timedelta(days=91), 3)
    await _seed(root, subscription_id, now - timedelta(days=95), state="dead")
    await _seed(root, subscription_id, now - timedelta(days=95), 2, state="retrying")  # of one that is paused, say
    await _seed(root, subscription_id, now - timedelta(days=89))
    dry = await desk.ask("POST", f"{RUN}?dry_run=true")
    assert (dry["candidate_count"], dry["deleted_count"], dry["archive"], await _count(root)) == (4, 0, None, 7)
    run = await desk.ask("POST", RUN)
    assert (run["status"], run["candidate_count"], run["archived_count"], run["deleted_count"]) == ("success", 4, 4, 4)
    assert await _count(root) == 3
    assert await desk.ask("GET", "/ops/alerts/retention/latest") == run
    [archive] = (await desk.ask("GET", "/ops/alerts/retention/archives"))["items"]
    assert archive == run["archive"]
    answer = await desk.http.client.get(f"/api/ops/alerts/retention/archives/{archive['archive_id']}")
    assert hashlib.sha256(answer.content).hexdigest() == archive["sha256"]
    assert answer.headers["content-disposition"].endswith('.csv"')
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["state"] for row in rows] == ["dead", "delivered", "delivered", "delivered"]
    assert {row["error"] for row in rows} == {'\'=HYPERLINK("https://x.example")'}
    assert all(row["subscription_id"] == str(subscription_id) and row["created_at"].endswith("Z") for row in rows)
    assert "a-secret" not in answer.text
    again = await desk.ask("POST", RUN)
    assert (again["candidate_count"], again["archive"], again["status"]) == (0, None, "success")


async def test_an_archive_that_fails_removes_nothing_and_says_why(
    desk: Desk, stack: Stack, root: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription_id = (await desk.subscribe())["subscription_id"]
    await _seed(root, subscription_id, stack.clock() - timedelta(days=100), 5)
    put = Bucket.put

    async def lose(self: Bucket, name: str, size: int, packed: Any) -> None:
        """Says that all is stored, and stores other bytes."""
        await put(self, name, size, io.BytesIO(b"no gzip"))

    monkeypatch.setattr(Bucket, "put", lose)
    run = await desk.ask("POST", RUN)
    assert (run["status"], run["deleted_count"], run["archive"]) == ("failed", 0, None)
    assert "did not read back" in run["error"]
    monkeypatch.setattr(Bucket, "put", put)
    # The real thing: the bucket is full.
    name = buckets.stream_name(stack.topology.namespace, "archives")
    config = (await stack.bus.js.stream_info(name)).config
    await stack.bus.js.update_stream(config, max_bytes=200)
    run = await desk.ask("POST", RUN)
    assert (run["status"], run["deleted_count"], await _count(root)) == ("failed", 0, 5)
    assert "full" in run["error"]
    assert await stack.run_job("notifier", "alert_retention")  # it ran, and its record says that it failed
    assert (await desk.ask("GET", "/ops/alerts/retention/latest"))["status"] == "failed"
    await stack.bus.js.update_stream(config, max_bytes=10 * 1024**2)
    assert (await desk.ask("POST", RUN))["deleted_count"] == 5


async def test_a_crash_between_archive_and_removal_leaves_the_rows_and_no_second_archive(
    desk: Desk, stack: Stack, root: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription_id = (await desk.subscribe())["subscription_id"]
    await _seed(root, subscription_id, stack.clock() - timedelta(days=100), 5)
    monkeypatch.setattr(retention, "DELETE_OVER", "SELECT 1 / 0 WHERE $1::bigint[] IS NOT NULL")
    assert not await stack.run_job("notifier", "alert_retention")
    assert (await _count(root), await _stored(stack)) == (5, 1)
    assert (await desk.ask("GET", "/ops/alerts/retention/archives"))["items"] == []
    monkeypatch.undo()
    assert await stack.run_job("notifier", "alert_retention")
    assert (await _count(root), await _stored(stack)) == (0, 1)


async def test_the_policy_says_how_many_and_whether(desk: Desk, stack: Stack, root: asyncpg.Connection) -> None:
    path = "/ops/alerts/retention/policy"
    first = await desk.ask("GET", path)
    assert (first["policy"], first["source"]) == (
        {"enabled": True, "retention_days": 90, "max_delete": 5000},
        "default",
    )
    assert (first["policy_key"], first["meta"]["scope"]) == ("alert_retention_default", "ops.alerts.retention")
    await desk.ask("PUT", path, {"max_delete": 5001}, status=422)
    await desk.ask("PUT", path, {"retention_days": 30}, status=422)
    changed = await desk.ask("PUT", path, {"max_delete": 2})
    assert (changed["policy"]["max_delete"], changed["policy"]["retention_days"]) == (2, 90)
    subscription_id = (await desk.subscribe())["subscription_id"]
    await _seed(root, subscription_id, stack.clock() - timedelta(days=100), 5)
    run = await desk.ask("POST", RUN)
    assert (run["deleted_count"], run["left_over"]) == (2, True)
    await desk.ask("PUT", path, {"enabled": False, "reason": "an audit is under way"})
    assert await stack.run_job("notifier", "alert_retention")
    assert await _count(root) == 3
    await desk.ask("PUT", path, {"enabled": True})
    assert await stack.run_job("notifier", "alert_retention")
    assert await stack.run_job("notifier", "alert_retention")
    assert await _count(root) == 0
    assert (await desk.ask("POST", RUN))["left_over"] is False


async def test_each_site_keeps_its_own(desk: Desk, stack: Stack, root: asyncpg.Connection) -> None:
    await desk.http.site("plant-a")
    subscription_id = (await desk.subscribe())["subscription_id"]
    await _seed(root, subscription_id, stack.clock() - timedelta(days=100), 1)
    await _seed(root, subscription_id, stack.clock() - timedelta(days=100), 2, site="plant-a")
    assert list(await retention.sites(stack.running["notifier"].pool)) == ["global", "plant-a"]  # type: ignore[arg-type]
    run = await desk.ask("POST", f"{RUN}?site=plant-a")
    assert (run["deleted_count"], await _count(root)) == (2, 1)
    number = run["archive"]["archive_id"]
    await desk.ask("GET", f"/ops/alerts/retention/archives/{number}", status=404)
    found = await desk.http.client.get(f"/api/ops/alerts/retention/archives/{number}?site=plant-a")
    assert found.status_code == 200


async def test_archives_go_when_their_time_is_over(desk: Desk, stack: Stack, root: asyncpg.Connection) -> None:
    subscription_id = (await desk.subscribe())["subscription_id"]
    await _seed(root, subscription_id, stack.clock() - timedelta(days=100), 1)
    number = (await desk.ask("POST", RUN))["archive"]["archive_id"]
    stack.clock.advance(days=1096)
    assert await stack.run_job("notifier", "drop_archives")
    assert await _stored(stack) == 0
    await root.execute("SELECT FROM notifier.archive")
    assert await root.fetchval("SELECT count(*) FROM notifier.archive WHERE archive_id = $1", number) == 0


@pytest.mark.parametrize("statement", [retention.SELECT_OVER, retention.COUNT_OVER, retention.SELECT_SITES])
async def test_what_is_over_is_found_by_its_index(stack: Stack, statement: str) -> None:
    url = stack.settings("notifier").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "notifier"})
    try:
        for what in ("seqscan", "bitmapscan", "sort"):
            await connection.execute(f"SET enable_{what} = off")
        plan = nodes(await generic_plan(connection, statement))
    finally:
        await connection.close()
    found = {node["Index Name"] for node in plan if "Index Name" in node}
    assert found - {"verdict_of_delivery"} == {"delivery_over"}
