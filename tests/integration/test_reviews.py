"""The monthly review on real servers: what it finds, what people say of each, and what waits for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from libs.common.contracts.operations.reviews import JOB, candidate_decided, review_finished
from libs.common.settings import Settings
from services.operations.service import make_service
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
REVIEW = "/api/ops/runbook/review"


@pytest_asyncio.fixture
async def edge(stack: Stack) -> AsyncIterator[Http]:
    await stack.start(make_service(Settings()))
    made = await Http(stack).open()
    yield made
    await made.close()


async def record(edge: Http, deploy_id: str, *, gate: bool, **words: str) -> int:
    """A deployment; ``words`` are its checks. The bindings warn: the sender knows of no checklist."""
    checks = [{"id": name, "status": word} for name, word in {"ui_main_shell": "ok", **words}.items()]
    body = {"deploy_id": deploy_id, "runbook_gate_passed": gate, "rollback_ready": True, "checks": checks}
    now = (await edge.client.get("/api/ops/deploy/checklist")).json()
    body |= {"checklist_version": now["version"], "rollback_reference": now["policy"]["rollback_guide_path"],
             "rollback_reference_sha256": now["policy"]["rollback_guide_sha256"]}  # fmt: skip
    answer = await edge.client.post("/api/ops/deploy/smoke/record", json=body)
    assert answer.status_code == 201, answer.text
    run_id: int = answer.json()["run_id"]
    return run_id


async def check(edge: Http) -> tuple[str, str]:
    found = (await edge.client.get("/api/ops/runbook/checks")).json()["checks"]
    one = next(one for one in found if one["id"] == "runbook_critical_monthly_review")
    return one["status"], one["message"]


def month(edge: Http) -> str:
    return f"{edge.stack.clock():%Y-%m}"


def next_month(edge: Http) -> None:
    now: datetime = edge.stack.clock()
    first = (now.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1, hour=6)
    edge.stack.clock.advance(seconds=(first - now).total_seconds())


async def decide(edge: Http, run_id: int, status: int = 200, **body: Any) -> Any:
    answer = await edge.client.post(f"{REVIEW}/candidates/{run_id}/decide", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_month_is_reviewed_and_each_candidate_decided(edge: Http) -> None:
    client = edge.client
    assert (await client.get(f"{REVIEW}/latest")).status_code == 404
    assert await check(edge) == ("ok", "no past month waits for anybody")
    reviewed = month(edge)
    kind = await record(edge, "missed", gate=True, database="critical")
    strict = await record(edge, "alarmed", gate=False, runbook_gate="critical")
    await record(edge, "agreed", gate=True)
    await record(edge, "also agreed", gate=False, database="critical")
    now = (await client.post(f"{REVIEW}/run", params={"month": reviewed})).json()
    assert (now["deploy_smoke_count"], now["review_completed"]) == (4, False)  # the month is not over
    assert await check(edge) == ("ok", "no past month waits for anybody")

    next_month(edge)
    assert await check(edge) == (
        "warning",
        f"{reviewed} was not reviewed, 2 of {reviewed} wait for a word",
    )
    done = (await client.post(f"{REVIEW}/run")).json()
    assert (done["month"], done["job_name"], done["status"]) == (reviewed, JOB, "success")
    counts = ("deploy_smoke_count", "false_positive_candidate_count", "false_negative_candidate_count",
              "candidate_count", "undecided_count", "sample_limit")  # fmt: skip
    assert [done[name] for name in counts] == [4, 1, 1, 2, 2, 8]
    (negative,), (positive,) = done["false_negative_candidates"], done["false_positive_candidates"]
    assert (negative["run_id"], negative["deploy_id"], negative["problem_check_ids"]) == (kind, "missed", ["database"])
    assert (positive["run_id"], positive["problem_check_ids"]) == (strict, [])
    await edge.stack.heard(review_finished)
    assert await check(edge) == ("warning", f"2 of {reviewed} wait for a word")

    told = await decide(edge, kind, decision="confirmed", reason="the runbook has no check of that table")
    assert (told["decided_by"], told["decision"]) == ("owner", "confirmed")
    await edge.stack.heard(candidate_decided)
    open_ = (await client.get(f"{REVIEW}/candidates", params={"undecided": "true", "month": reviewed})).json()
    assert [one["run_id"] for one in open_] == [strict]
    await decide(edge, strict, decision="confirmed", reason="mistyped")
    await decide(edge, strict, decision="dismissed", reason="a dead letter was held, rightly told")
    latest = (await client.get(f"{REVIEW}/latest")).json()
    assert (latest["review_completed"], latest["confirmed_count"], latest["dismissed_count"]) == (True, 1, 1)
    assert latest["review_completed_at"] >= latest["finished_at"]
    assert await check(edge) == ("ok", "no past month waits for anybody")

    again = (await client.post(f"{REVIEW}/run", params={"month": reviewed})).json()
    assert again["undecided_count"] == 0  # what was decided stays decided
    assert len((await client.get(f"{REVIEW}/candidates")).json()) == 2


async def test_the_clock_reviews_the_month_that_ended(edge: Http) -> None:
    reviewed = month(edge)
    await record(edge, "fine", gate=True)
    next_month(edge)
    assert await check(edge) == ("warning", f"{reviewed} was not reviewed")
    assert await edge.stack.run_job("operations", JOB)
    latest = (await edge.client.get(f"{REVIEW}/latest")).json()
    assert (latest["month"], latest["trigger"], latest["review_completed"]) == (reviewed, "schedule", True)
    assert (await check(edge))[0] == "ok"


async def test_what_is_recorded_after_the_review_is_reviewed_too(edge: Http) -> None:
    reviewed = month(edge)
    next_month(edge)
    await edge.client.post(f"{REVIEW}/run")
    ended = (edge.stack.clock() - timedelta(hours=12)).isoformat()
    edge.stack.clock.advance(seconds=1)
    late = await edge.client.post(
        "/api/ops/deploy/smoke/record", json={"deploy_id": "late", "started_at": ended, "finished_at": ended}
    )
    assert late.status_code == 201, late.text
    assert await check(edge) == ("warning", f"{reviewed} was not reviewed")


async def test_what_can_not_be_is_refused(edge: Http) -> None:
    future = f"{edge.stack.clock().year + 1}-01"
    for wrong in (future, "2026-13", "2026-1", "march", "0000-01"):
        refused = await edge.client.post(f"{REVIEW}/run", params={"month": wrong})
        assert refused.status_code == 422, (wrong, refused.text)
    await decide(edge, 77, 404, decision="confirmed", reason="why not")
    run_id = await record(edge, "alarmed", gate=False)
    await edge.client.post(f"{REVIEW}/run", params={"month": month(edge)})
    await decide(edge, run_id, 422, decision="perhaps", reason="why not")
    await decide(edge, run_id, 422, decision="confirmed", reason="   ")
    await decide(edge, run_id, 422, decision="confirmed")
    operator = await edge.user("pipeline", "operator")
    answer = await operator.post(
        f"{REVIEW}/candidates/{run_id}/decide", json={"decision": "dismissed", "reason": "my own"}
    )
    assert answer.status_code == 403
