"""A backtest whose service is killed in the middle ends by itself, over the real schedule, with each flip once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.local import LocalStack
from services.governance.backtests import FIRST
from tests.local_traffic import OPS, await_that, client, started
from tests.unit.governance.samples import tiny_policy

pytestmark = [pytest.mark.integration, pytest.mark.faults]

COUNT = 260
ALWAYS_GO = tiny_policy(name="name: operations", condition="    condition: fact.error_count >= 0", settings="").decode()
BACKTESTS = "/api/policies/operations/backtests"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    """A stack whose parts may be killed."""
    tmp_path.chmod(0o700)
    made = LocalStack(tmp_path / "data", env={"HEADGATE_REQUESTS_PER_MINUTE": "1000000"})
    with started(made):
        yield made


def test_a_kill_costs_a_slice_and_nothing_else(stack: LocalStack) -> None:
    with client(stack) as http:
        signal = {"specversion": "1.0", "id": "1", "source": "/checks", "type": "ops.preflight"}
        body = signal | {"data": {"overall_status": "ok", "error_count": 0, "warning_count": 0}}
        sent = http.post("/api/signals", json=body, headers={"Content-Type": "application/cloudevents+json"})
        assert sent.status_code == 201, sent.text
        for _ in range(COUNT):
            assert http.post(f"{OPS}/run", json={}).status_code == 200
        begun = http.post(BACKTESTS, json={"content": ALWAYS_GO})
        assert (begun.status_code, begun.json()["done_count"]) == (201, FIRST), begun.text
        stack.kill("governance")
        path = f"{BACKTESTS}/{begun.json()['backtest_id']}?limit=500"

        def ended() -> Any:
            try:
                answer = http.get(path)
            except httpx2.HTTPError:
                return None
            found = answer.json() if answer.status_code == 200 else {}
            return found if found.get("state") == "done" else None

        found = await_that("the end of the backtest", ended)
        assert (found["done_count"], found["judged_count"], found["to_go_count"]) == (COUNT, COUNT, COUNT)
        assert len({flip["run_id"] for flip in found["flips"]}) == len(found["flips"]) == COUNT
        told = await_that(
            "the end in the audit log", lambda: "policies.backtested" in http.get("/api/audit/entries").text
        )
        assert told
