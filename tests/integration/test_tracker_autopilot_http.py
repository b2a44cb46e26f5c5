"""The autopilot over HTTP, in the shapes of the facility system, and with the tool that people type."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from libs.common.contracts.governance.runs import gate_decided
from libs.common.contracts.tracker.autopilot_policy import AUTOPILOT
from libs.common.contracts.tracker.autopilot_reports import ANOMALY_COLUMNS, FILE, HISTORY_COLUMNS
from services.tracker.service import SERVICE
from tests.http_edge import Http
from tests.stack import Stack
from tests.verdicts import decided, rule

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge in front of a tracker with two items that nobody has, overdue for an hour."""
    edge = await Http(stack).open()
    await stack.start(SERVICE)
    rules = (rule("a", "fail"), rule("b", "fail"))
    data = decided(*rules, run_number=1, decision="no_go", site="global", at=stack.clock())
    await stack.publish(gate_decided, data, site="global")
    await stack.idle("tracker")
    stack.clock.advance(hours=5)
    yield edge
    await edge.close()


async def asked(http: Http, method: str, path: str, **more: Any) -> Any:
    answer = await http.client.request(method, f"{AUTOPILOT}/{path}", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def rows(http: Http, path: str) -> list[dict[str, str]]:
    answer = await http.client.get(f"{AUTOPILOT}/{path}.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="{FILE}-{path}-' in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_a_caller_of_the_facility_system_finds_all_again(http: Http) -> None:
    before = await asked(http, "GET", "policy")
    assert before["meta"] == {
        "version": "v1", "scope": "ops.governance.remediation.autopilot", "applies_to": "global",
        "policy_key": "ops_governance_remediation_autopilot_policy", "updated_at": None,
    }  # fmt: skip
    put = await asked(http, "PUT", "policy", json={"cooldown_minutes": 60, "escalation_due_soon_hours": 0})
    assert put["policy"] == before["policy"] | {"cooldown_minutes": 60, "escalation_due_soon_hours": 0}
    assert await asked(http, "GET", "policy") == put
    for wrong in ({"cooldown_minutes": 1441}, {"cooldown_minuts": 5}, {"overdue_trigger": "many"}):
        assert (await http.client.put(f"{AUTOPILOT}/policy", json=wrong)).status_code == 422
    assert (await asked(http, "GET", "policy/document"))["version"] == 1

    guard = await asked(http, "GET", "guard")
    assert guard["guard"]["reason"] == "no_recent_run"
    assert (await http.client.get(f"{AUTOPILOT}/latest")).status_code == 404
    seen = await asked(http, "POST", "preview", json={})
    assert seen["planned_actions"] == ["auto_assign", "escalation"]
    assert {step["assignee"] for step in seen["plan"]["steps"] if step["action"] == "auto_assign"} == {"owner"}
    refused = await http.client.post(f"{AUTOPILOT}/run?dry_run=true&plan_hash={seen['plan_hash']}")
    assert refused.status_code == 422
    run = await asked(http, "POST", f"run?plan_hash={seen['plan_hash']}")
    assert (run["auto_assign"]["assigned_count"], run["escalation"]["raised_count"]) == (2, 2)
    assert await asked(http, "GET", "latest") == run
    assert (await asked(http, "POST", "run"))["skip_reason"] == "cooldown_active"
    assert (await http.client.post(f"{AUTOPILOT}/run?plan_hash={seen['plan_hash']}")).status_code == 409

    history = (await asked(http, "GET", "history?limit=5"))["items"]
    table = await rows(http, "history")
    assert tuple(table[0]) == HISTORY_COLUMNS
    for one, row in zip(history, table, strict=True):
        assert (row["run_id"], row["skipped"], row["actions"]) == (
            str(one["run_id"]), str(one["skipped"]), "|".join(one["actions"]),
        )  # fmt: skip
        assert row["open_items"] == str(one["open_items"])
    summary = await asked(http, "GET", "summary")
    figures = {row["metric"]: row["value"] for row in await rows(http, "summary")}
    for name in ("total_runs", "executed_runs", "skipped_rate_percent", "cooldown_blocked_runs"):
        assert figures[name] == str(summary[name])
    anomalies = await asked(http, "GET", "anomalies")
    table = await rows(http, "anomalies")
    assert tuple(table[0]) == ANOMALY_COLUMNS
    assert [(row["code"], row["observed"]) for row in table] == [
        (one["code"], str(one["observed"])) for one in anomalies["anomalies"]
    ]


async def test_who_may_do_what(http: Http) -> None:
    operator = await http.user("ole", "operator")
    viewer = await http.user("vic", "viewer")
    seen = await operator.post(f"{AUTOPILOT}/preview", json={})
    assert seen.status_code == 200
    assert (await viewer.post(f"{AUTOPILOT}/preview", json={})).status_code == 403
    assert (await viewer.get(f"{AUTOPILOT}/guard")).status_code == 200
    assert (await operator.post(f"{AUTOPILOT}/run")).status_code == 403
    assert (await operator.post(f"{AUTOPILOT}/stop", json={"reason": "too eager"})).status_code == 200
    assert (await operator.post(f"{AUTOPILOT}/resume", json={"reason": "calm"})).status_code == 403
    assert (await http.client.post(f"{AUTOPILOT}/resume", json={"reason": "calm"})).status_code == 200
