"""Rehearsals as the operations service knows them: asked for, reported, told to the gate; on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from libs.common.contracts.governance.signals import signal_recorded
from libs.common.contracts.operations.rehearsals import JOB, rehearsal_finished, rehearsal_requested
from libs.common.settings import Settings
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from services.operations.service import make_service
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
DR = "/api/ops/dr/rehearsal"


@pytest_asyncio.fixture
async def edge(stack: Stack) -> AsyncIterator[Http]:
    await stack.start(make_governance(packaged_policies()), make_service(Settings()))
    made = await Http(stack).open()
    yield made
    await made.close()


def _result(stack: Stack, *, seconds_ago: float = 30, **changed: Any) -> dict[str, Any]:
    began = stack.clock() - timedelta(seconds=seconds_ago)
    values: dict[str, Any] = {
        "backup_id": "20260501T120000Z-abcdef",
        "started_at": began.isoformat(),
        "finished_at": (began + timedelta(seconds=20)).isoformat(),
        "restore_valid": True,
        "rto_s": 12.5,
        "rpo_s": 3.0,
        "total_s": 20.0,
        "rows": 1000,
        "tables": 60,
        "audit_seq": 7,
        "audit_hash": "a" * 64,
        **changed,
    }
    return values


async def _dr_rule(edge: Http) -> Any:
    ran = await edge.client.post("/api/ops/governance/gate/run", json={})
    assert ran.status_code == 200, ran.text
    return next(rule for rule in ran.json()["rules"] if rule["id"] == "dr_restore_valid_recent")


async def test_a_rehearsal_is_asked_for_reported_and_judged(edge: Http) -> None:
    stack, client = edge.stack, edge.client
    assert (await client.get(f"{DR}/latest")).status_code == 404
    asked = await client.post(f"{DR}/run", params={"simulate_restore": "true"})
    assert asked.status_code == 201, asked.text
    await stack.heard(rehearsal_requested)
    again = await client.post(f"{DR}/run")
    assert again.json()["request_id"] == asked.json()["request_id"]  # the same wish
    assert await stack.run_job("operations", JOB)
    pending = (await client.get(f"{DR}/pending")).json()
    assert [one["request_id"] for one in pending["items"]] == [asked.json()["request_id"]]
    assert not (await _dr_rule(edge))["passed"]

    stack.clock.advance(seconds=60)
    told = await client.post(f"{DR}/report", json=_result(stack))
    assert told.status_code == 201, told.text
    run = told.json()
    assert (run["status"], run["restore_valid"], run["trigger"]) == ("success", True, "api")
    assert (await client.get(f"{DR}/pending")).json()["count"] == 0
    assert (await client.get(f"{DR}/latest")).json() == run
    await stack.heard(rehearsal_finished)
    await stack.heard(signal_recorded, lambda event: event.actor == "service:operations")
    assert (await _dr_rule(edge))["passed"]

    stack.clock.advance(seconds=60)
    bad = await client.post(
        f"{DR}/report",
        json=_result(stack, restore_valid=False, rto_s=None, problems=["table tracker.item is missing"]),
    )
    assert (bad.status_code, bad.json()["status"]) == (201, "critical")
    assert bad.json()["notes"] == ["table tracker.item is missing"]
    shown = (await client.get(f"{DR}/history", params={"limit": 1})).json()
    assert [one["run_id"] for one in shown] == [bad.json()["run_id"]]
    assert len((await client.get(f"{DR}/history")).json()) == 2
    async with asyncio.timeout(15):
        while (await _dr_rule(edge))["passed"]:
            await asyncio.sleep(0.05)


async def test_what_can_not_be_is_refused(edge: Http) -> None:
    stack, client = edge.stack, edge.client
    for changed in (
        {"problems": ["something"]},  # valid with a problem
        {"restore_valid": False},  # not valid, and no word why
        {"finished_at": (stack.clock() - timedelta(days=1)).isoformat()},
        {"started_at": "2026-05-01T12:00:00"},
        {"backup_id": "../../etc"},
        {"finished_at": (stack.clock() + timedelta(hours=1)).isoformat()},
        {"started_at": (stack.clock() - timedelta(days=8)).isoformat()},
    ):
        refused = await client.post(f"{DR}/report", json=_result(stack, **changed))
        assert refused.status_code == 422, (changed, refused.text)
    assert (await client.post(f"{DR}/report", json=_result(stack, seconds_ago=25))).status_code == 201
    older = await client.post(f"{DR}/report", json=_result(stack, seconds_ago=28))
    assert older.status_code == 409, older.text


async def test_latest_and_history_as_callers_of_the_facility_system_know_them(edge: Http) -> None:
    """Spec §6.6: newest first, 20 by default, 1 to 100, with the fields that they read."""
    stack, client = edge.stack, edge.client
    for number in range(22):
        stack.clock.advance(minutes=5)
        valid = number != 21
        body = _result(stack, restore_valid=valid, problems=[] if valid else ["table tracker.item is missing"])
        assert (await client.post(f"{DR}/report", json=body)).status_code == 201
    shown = (await client.get(f"{DR}/history")).json()
    assert len(shown) == 20
    assert [one["finished_at"] for one in shown] == sorted((one["finished_at"] for one in shown), reverse=True)
    assert {"run_id", "status", "trigger", "finished_at", "backup_file", "restore_valid", "pruned_files"} <= set(
        shown[0]
    )
    assert {"enabled", "counts", "simulate_restore", "notes"} <= set(shown[0])
    latest = (await client.get(f"{DR}/latest")).json()
    assert (latest, latest["restore_valid"], latest["status"]) == (shown[0], False, "critical")
    assert len((await client.get(f"{DR}/history", params={"limit": 100})).json()) == 22
    for limit in (0, 101, -1):
        assert (await client.get(f"{DR}/history", params={"limit": limit})).status_code == 422
