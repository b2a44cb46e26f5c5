"""Verdicts of people and the review of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from libs.common.contracts.notifier.verdicts import missed_recorded, missed_withdrawn, verdict_given
from services.notifier.domain.noise import monday
from services.notifier.figures import verdicts
from tests.integration.notifier_desk import Desk
from tests.plans import generic_plan, nodes
from tests.stack import Stack

pytestmark = pytest.mark.integration
REVIEW, MISSED = "/ops/alerts/noise-policy/review", "/ops/alerts/missed"
SEED = """
INSERT INTO notifier.verdict (delivery_id, event_id, event_name, site, verdict, reason, judged_by, judged_at,
    alerted_at)
SELECT number, gen_random_uuid(), 'governance.gate.decided', $1, $2, '', 'ann', $3, $3
FROM generate_series(1, $4) AS number
"""


async def _seed(desk: Desk, at: datetime, site: str = "global", **counts: int) -> None:
    connection = await desk.stack.superuser()
    for word, count in counts.items():
        await connection.execute(SEED, site, word, at, count)
    await connection.close()


async def _judge(desk: Desk, delivery_id: int, verdict: str, status: int = 200, **more: Any) -> dict[str, Any]:
    body = {"verdict": verdict, **more}
    found: dict[str, Any] = await desk.ask("POST", f"/deliveries/{delivery_id}/verdict", body, status)
    return found


async def test_the_newest_word_counts_and_those_before_stay(desk: Desk, stack: Stack) -> None:
    await desk.subscribe("/a")
    await desk.subscribe("/b")
    assert (await desk.ask("GET", REVIEW))["status"] == "no_data"
    await desk.halt()
    first, second = await desk.until("delivered", 2)
    given = await _judge(desk, first["delivery_id"], "false_positive", reason="a drill")
    assert (given["judged_by"], given["reason"], given["event_id"]) == ("owner", "a drill", first["event_id"])
    told = await stack.heard(verdict_given)
    assert told.data["verdict"] == "false_positive"
    review = await desk.ask("GET", REVIEW)
    assert (review["status"], review["window"]["false_positive_rate_percent"]) == ("warning", 100.0)
    # Another delivery of the same event is the same alert.
    await _judge(desk, second["delivery_id"], "true_positive")
    window = (await desk.ask("GET", REVIEW))["window"]
    assert (window["reviewed_count"], window["true_positive_count"], window["false_positive_rate_percent"]) == (
        1,
        1,
        0.0,
    )
    await _judge(desk, first["delivery_id"], "withdrawn")
    assert (await desk.ask("GET", REVIEW))["status"] == "no_data"
    await _judge(desk, first["delivery_id"], "withdrawn", 409)
    history = (await desk.ask("GET", f"/deliveries/{first['delivery_id']}/verdicts"))["items"]
    assert [one["verdict"] for one in history] == ["withdrawn", "false_positive"]
    await _judge(desk, 999, "true_positive", 404)
    await _judge(desk, first["delivery_id"], "maybe", 422)


async def test_who_works_on_alerts_may_judge_and_a_reader_may_not(desk: Desk) -> None:
    await desk.subscribe()
    await desk.halt()
    [row] = await desk.until("delivered")
    path = f"/api/deliveries/{row['delivery_id']}/verdict"
    for name, role, status in (("olga", "operator", 200), ("vic", "viewer", 403), ("aud", "auditor", 403)):
        client = await desk.http.user(name, role)
        assert (await client.post(path, json={"verdict": "true_positive"})).status_code == status, role


async def test_what_was_missed_counts_until_it_is_withdrawn(desk: Desk, stack: Stack) -> None:
    now = stack.clock()
    await _seed(desk, now - timedelta(hours=1), true_positive=98)
    body = {"what": "the pump stood still", "happened_at": (now - timedelta(hours=2)).isoformat()}
    made = await desk.ask("POST", MISSED, body, 201)
    assert (made["recorded_by"], made["withdrawn_at"]) == ("owner", None)
    await stack.heard(missed_recorded)
    window = (await desk.ask("GET", REVIEW))["window"]
    assert (window["missed_count"], window["false_negative_rate_percent"], window["status"]) == (1, 1.01, "above")
    path = f"{MISSED}/{made['missed_id']}/withdraw"
    await desk.ask("POST", path, {"reason": "it was told by telephone"})
    await stack.heard(missed_withdrawn)
    await desk.ask("POST", path, {"reason": "again"}, 409)
    await desk.ask("POST", f"{MISSED}/999/withdraw", {"reason": "none"}, 404)
    review = await desk.ask("GET", REVIEW)
    assert (review["status"], review["window"]["false_negative_rate_percent"]) == ("ok", 0.0)
    assert [one["withdrawn_by"] for one in (await desk.ask("GET", MISSED))["items"]] == ["owner"]
    ahead = {"what": "x", "happened_at": (now + timedelta(hours=1)).isoformat()}
    await desk.ask("POST", MISSED, ahead, 422)


async def test_two_weeks_above_the_limit_one_after_the_other_are_critical(desk: Desk, stack: Stack) -> None:
    week = timedelta(days=7)
    this = monday(stack.clock())
    await _seed(desk, this - week, true_positive=18, false_positive=1)  # the first moment of last week
    assert (await desk.ask("GET", REVIEW))["status"] == "warning"
    await _seed(
        desk, this - timedelta(microseconds=1) - week, true_positive=9, false_positive=1
    )  # the last of that before
    await _seed(desk, this - week, site="plant-a", false_positive=100)
    review = await desk.ask("GET", REVIEW)
    assert review["status"] == "critical"
    assert [(one["reviewed_count"], one["false_positive_rate_percent"]) for one in review["weeks"]] == [
        (19, 5.26),
        (10, 10.0),
    ]
    assert datetime.fromisoformat(review["weeks"][0]["begins_at"]) == this - week
    changed = await desk.ask("PUT", "/ops/alerts/noise-policy", {"false_positive_percent": 6})
    assert (changed["policy"]["review_window_days"], changed["meta"]["scope"]) == (14, "ops.alerts.noise")
    assert [one["status"] for one in (await desk.ask("GET", REVIEW))["weeks"]] == ["ok", "above"]


@pytest.mark.parametrize("statement", [verdicts.COUNT_VERDICTS, verdicts.SELECT_NEWEST])
async def test_verdicts_are_counted_off_indexes(stack: Stack, statement: str) -> None:
    url = stack.settings("notifier").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "notifier"})
    try:
        for what in ("seqscan", "bitmapscan"):
            await connection.execute(f"SET enable_{what} = off")
        plan = nodes(await generic_plan(connection, statement))
    finally:
        await connection.close()
    assert not [node for node in plan if node["Node Type"] == "Seq Scan"]
    assert all(node["Index Cond"].startswith("((site = $1)") for node in plan if "Index Name" in node)
