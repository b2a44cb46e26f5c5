"""Deployments on real servers: the checklist, guides in versions, records with their bindings, and what gates hear."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from libs.common.buckets import stream_name
from libs.common.contracts.operations.deployments import deployment_recorded
from libs.common.contracts.operations.guides import MAX_GUIDE_BYTES, SHIPPED, guide_uploaded, shipped_guide
from libs.common.settings import Settings
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from services.operations.deployments.telling import LOCK
from services.operations.service import make_service
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
DEPLOY = "/api/ops/deploy"
RULE = "deploy_smoke_binding_recent"


@pytest_asyncio.fixture
async def edge(stack: Stack) -> AsyncIterator[Http]:
    await stack.start(make_governance(packaged_policies()), make_service(Settings()))
    made = await Http(stack).open()
    yield made
    await made.close()


async def checklist(edge: Http) -> Any:
    answer = await edge.client.get(f"{DEPLOY}/checklist")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def record(edge: Http, answered: int = 201, **changed: Any) -> Any:
    """Record a smoke test that fits in all, or is changed."""
    now = await checklist(edge)
    body = {
        "deploy_id": "build-7",
        "status": "success",
        "checklist_version": now["version"],
        "rollback_reference": now["policy"]["rollback_guide_path"],
        "rollback_reference_sha256": now["policy"]["rollback_guide_sha256"],
        "rollback_ready": True,
        "runbook_gate_passed": True,
        "checks": [{"id": "ui_main_shell", "status": "ok", "message": "it is there"}],
        **changed,
    }
    answer = await edge.client.post(f"{DEPLOY}/smoke/record", json=body)
    assert answer.status_code == answered, answer.text
    return answer.json()


async def upload(edge: Http, content: str, path: str = SHIPPED) -> Any:
    answer = await edge.client.post(f"{DEPLOY}/guides", json={"path": path, "content": content, "reason": "tried"})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def rule(edge: Http) -> Any:
    ran = await edge.client.post("/api/ops/governance/gate/run", json={})
    assert ran.status_code == 200, ran.text
    return next(one for one in ran.json()["rules"] if one["id"] == RULE)


async def until(edge: Http, passed: bool, said: str = "") -> Any:
    async with asyncio.timeout(15):
        while (found := await rule(edge))["passed"] is not passed or said not in found["message"]:
            await asyncio.sleep(0.05)
    return found


async def test_a_deployment_is_recorded_bound_archived_and_judged(edge: Http) -> None:
    before = await checklist(edge)
    month = f"{edge.stack.clock():%Y.%m}"
    assert (before["version"], before["version_source"]) == (f"{month}.v1", "next")
    assert before["policy"]["rollback_guide_sha256"] == hashlib.sha256(shipped_guide()).hexdigest()
    assert not (await rule(edge))["passed"]

    committed_at = edge.stack.clock() - timedelta(hours=3)
    done = await record(edge, version="1.2.0", commit="abc", committed_at=committed_at.isoformat())
    detail = done["detail"]
    assert (done["status"], done["job_name"], detail["tells_gates"]) == ("success", "deploy_smoke", True), done
    assert [(one["id"], one["status"]) for one in detail["checks"]] == [
        ("ui_main_shell", "ok"),
        ("rollback_guide_binding", "ok"),
        ("checklist_version_binding", "ok"),
        ("artifact_archive", "ok"),
    ]
    told = await edge.stack.heard(deployment_recorded)
    assert told.subject == str(done["run_id"])
    assert (await until(edge, True))["detail"]["current_checklist_version"] == before["version"]
    again = await checklist(edge)
    assert (again["version"], again["version_source"]) == (before["version"], "recorded")

    client = edge.client
    assert (await client.get(f"{DEPLOY}/deployments/{done['run_id']}")).json() == done
    rows = (await client.get(f"{DEPLOY}/deployments", params={"deploy_id": "build-7"})).json()["items"]
    assert [(row["run_id"], row["commit"], row["rollback"]) for row in rows] == [(done["run_id"], "abc", False)]
    assert (await client.get(f"{DEPLOY}/deployments", params={"environment": "staging"})).json()["items"] == []
    kept = detail["artifact_archive"]
    assert (kept["retention_days"], kept["path"], kept["error"]) == (30, "checks", None)
    assert kept["json_file"].startswith(f"{edge.stack.clock():%Y/%m}/deploy-smoke-")
    file = await client.get(f"{DEPLOY}/deployments/{done['run_id']}/artifact")
    assert hashlib.sha256(file.content).hexdigest() == kept["sha256"]
    assert (len(file.content), file.json()["detail"]["deploy_id"]) == (kept["size_bytes"], "build-7")
    assert (await client.get(f"{DEPLOY}/deployments/{2**62}")).status_code == 404
    runs = (await client.get("/api/jobs/operations")).json()
    assert runs  # the run is one of the service's own table, and metrics lists it from its event


async def test_a_mismatch_of_the_rollback_guide_is_a_warning_and_stops_the_gate(edge: Http) -> None:
    wrong = await record(edge, rollback_reference_sha256="0" * 64)
    detail = wrong["detail"]
    assert wrong["status"] == "warning"
    assert (detail["rollback_reference_match"], detail["rollback_reference_sha256_match"]) == (True, False)
    assert detail["checks"][1]["id"] == "rollback_guide_binding"
    assert detail["checks"][1]["status"] == "warning"
    await until(edge, False, "checksum match is false")

    path = await record(edge, rollback_reference="docs/other.md")
    assert (path["status"], path["detail"]["rollback_reference_match"]) == ("warning", False)
    missing = await record(edge, rollback_reference_sha256="")
    assert (missing["status"], missing["detail"]["rollback_reference_sha256_match"]) == ("success", None)
    assert not (await rule(edge))["passed"]
    await record(edge, rollback_reference_sha256=hashlib.sha256(shipped_guide()).hexdigest().upper())
    await until(edge, True)
    old = await record(edge, checklist_version="2020.01.v1")
    assert (old["status"], old["detail"]["checklist_version_match"]) == ("warning", False)
    await until(edge, False)


async def test_a_guide_that_is_replaced_turns_the_gate_red_at_once(edge: Http) -> None:
    await record(edge)
    await until(edge, True)
    first = (await checklist(edge))["version"]
    text = "# Back\r\nStop, restore, start. 되돌리기\n"
    told = await upload(edge, text)
    assert (told["changed"], told["guide"]["version"]) == (True, 1)
    await edge.stack.heard(guide_uploaded)
    await until(edge, False, "checksum match is false")
    now = await checklist(edge)
    assert now["policy"]["rollback_guide_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert now["version"] == first.replace(".v1", ".v2")
    await record(edge)
    await until(edge, True)

    client = edge.client
    again = await upload(edge, text)
    assert (again["changed"], again["guide"]["version"]) == (False, 1)
    found = await client.get(f"{DEPLOY}/guides/content")
    assert (found.content, found.headers["ETag"]) == (text.encode(), f'"{now["policy"]["rollback_guide_sha256"]}"')
    assert (await client.get(f"{DEPLOY}/guides/content", params={"version": 0})).content == shipped_guide()
    listed = (await client.get(f"{DEPLOY}/guides")).json()
    assert [(one["path"], one["version"]) for one in listed] == [(SHIPPED, 1), (SHIPPED, 0)]
    assert (await client.get(f"{DEPLOY}/guides/content", params={"path": "none.md"})).status_code == 404
    await upload(
        edge, shipped_guide().decode()
    )  # going back to the older text is a version, too, and the older checklist
    assert (await checklist(edge))["version"] == first
    await until(edge, False)


async def test_guides_are_bounded(edge: Http) -> None:
    for content, status in (("x" * (MAX_GUIDE_BYTES + 1), 422), ("가" * MAX_GUIDE_BYTES, 413), (" \n", 422)):
        answer = await edge.client.post(f"{DEPLOY}/guides", json={"content": content})
        assert answer.status_code == status, (content[:10], answer.text)
        assert answer.json()["detail"]
    told = await upload(edge, "x" * MAX_GUIDE_BYTES, "docs/long.md")
    assert told["guide"]["size_bytes"] == MAX_GUIDE_BYTES


async def test_only_the_newest_of_the_right_environment_tells_the_gates(edge: Http) -> None:
    clock = edge.stack.clock
    await record(edge, status="failed", finished_at=clock().isoformat())
    staging = await record(edge, environment="staging")
    earlier = (clock() - timedelta(hours=1)).isoformat()
    late = await record(edge, started_at=earlier, finished_at=earlier)
    assert (staging["detail"]["tells_gates"], late["detail"]["tells_gates"]) == (False, False)
    await edge.stack.idle("operations")
    await edge.stack.idle("governance")
    assert "ended as critical" in (await rule(edge))["message"]
    for changed in (
        {"finished_at": (clock() + timedelta(hours=1)).isoformat()},
        {"started_at": (clock() - timedelta(days=8)).isoformat()},
        {"committed_at": (clock() + timedelta(hours=1)).isoformat()},
    ):
        assert "clock" in (await record(edge, 422, **changed))["detail"]


async def test_the_next_month_counts_anew_and_asks_for_no_other_test(edge: Http) -> None:
    await record(edge)
    await until(edge, True)
    version = (await checklist(edge))["version"]
    edge.stack.clock.advance(days=2)
    while f"{edge.stack.clock():%Y.%m}" == version[:7]:
        edge.stack.clock.advance(days=1)
    assert (await checklist(edge))["version"] == f"{edge.stack.clock():%Y.%m}.v1"
    checked = await edge.client.post("/api/ops/runbook/checks/run")  # tells again what the newest is worth now
    assert checked.status_code == 200, checked.text
    await edge.stack.idle("operations")
    await edge.stack.idle("governance")
    assert (await rule(edge))["detail"]["current_checklist_version"] == version


async def test_records_and_uploads_take_turns(edge: Http) -> None:
    """As if another replica were in the middle of one: each waits for it, and finds what that one left."""
    other = await edge.stack.superuser()
    for path, body in (("guides", {"content": "# Back"}), ("smoke/record", {"deploy_id": "waits"})):
        held = other.transaction()
        await held.start()
        await other.execute(LOCK)
        answer = await edge.client.post(f"{DEPLOY}/{path}", json=body, headers={"Prefer": "wait=1"})
        assert answer.status_code == 202, (path, answer.text)
        await held.rollback()
        await edge.stack.idle("operations")
    await other.close()
    assert (await checklist(edge))["version_source"] == "recorded"
    await asyncio.gather(*(upload(edge, f"guide {number}") for number in range(5)))
    listed = (await edge.client.get(f"{DEPLOY}/guides", params={"path": SHIPPED})).json()
    assert [one["version"] for one in listed] == [6, 5, 4, 3, 2, 1, 0]


async def test_a_store_that_is_full_keeps_no_record_back(edge: Http) -> None:
    names = edge.stack.topology
    bucket = stream_name(names.namespace, "checks")
    await record(edge)
    config = next(one for one in names.streams() if one.name == bucket)
    held_bytes = (await edge.stack.bus.js.stream_info(bucket)).state.bytes
    await edge.stack.bus.js.update_stream(replace(config, max_bytes=held_bytes + 10))
    done = await record(edge)
    kept, check = done["detail"]["artifact_archive"], done["detail"]["checks"][-1]
    assert "is full" in kept["error"]
    assert (check["id"], check["status"], done["status"]) == ("artifact_archive", "warning", "success")
    assert (await edge.client.get(f"{DEPLOY}/deployments/{done['run_id']}/artifact")).status_code == 404


async def test_archives_of_each_kind_go_at_their_own_time(edge: Http) -> None:
    done = await record(edge)
    checked = (await edge.client.post("/api/ops/runbook/checks/run")).json()
    path = f"{DEPLOY}/deployments/{done['run_id']}/artifact"
    edge.stack.clock.advance(days=31)
    assert await edge.stack.run_job("operations", "remove_check_files")
    assert (await edge.client.get(path)).status_code == 404
    daily = f"/api/ops/runbook/checks/archive/{checked['run_id']}"
    assert (await edge.client.get(daily)).status_code == 200
    assert (await edge.client.get(f"{DEPLOY}/deployments/{done['run_id']}")).status_code == 200


async def test_a_pipeline_may_record_and_not_replace_the_guide(edge: Http) -> None:
    pipeline = await edge.user("pipeline", "operator")
    assert (await pipeline.post(f"{DEPLOY}/guides", json={"content": "mine"})).status_code == 403
    assert (await pipeline.post(f"{DEPLOY}/smoke/record", json={"deploy_id": "x"})).status_code == 201
    viewer = await edge.user("looker", "viewer")
    assert (await viewer.post(f"{DEPLOY}/smoke/record", json={"deploy_id": "x"})).status_code == 403


async def test_a_record_that_comes_late_is_heard_all_the_same(edge: Http) -> None:
    """The guide was replaced while the test ran, and told of; the test's record is told after that, and counts."""
    clock = edge.stack.clock
    await record(edge)
    await until(edge, True)
    began = clock().isoformat()
    clock.advance(minutes=5)
    await upload(edge, "# Another way back\n")
    await until(edge, False)
    clock.advance(minutes=1)
    await record(edge, started_at=began, finished_at=began)
    await until(edge, True)


async def test_a_new_site_hears_of_it_with_the_daily_check(edge: Http) -> None:
    await record(edge)
    await until(edge, True)
    await edge.site("plant-b")
    assert (await edge.client.post("/api/ops/runbook/checks/run")).status_code == 200
    async with asyncio.timeout(15):
        while True:
            ran = await edge.client.post("/api/ops/governance/gate/run", json={}, params={"site": "plant-b"})
            if next(one for one in ran.json()["rules"] if one["id"] == RULE)["passed"]:
                break
            await asyncio.sleep(0.05)


async def test_a_guide_that_was_changed_in_the_database_is_critical(edge: Http) -> None:
    await upload(edge, "# Back\n")
    admin = await edge.stack.superuser()
    await admin.execute("UPDATE operations.rollback_guide SET content = 'delete everything'")
    await admin.close()
    found = (await edge.client.get("/api/ops/runbook/checks")).json()["checks"]
    check = next(one for one in found if one["id"] == "migration_rollback_guide")
    assert (check["status"], "is not what was uploaded" in check["message"]) == ("critical", True)


async def test_without_the_guide_that_the_settings_name_nothing_is_well(stack: Stack) -> None:
    named = Settings(rollback_guide_path="docs/back.md", deploy_checklist_version="ours")
    await stack.start(make_governance(packaged_policies()), make_service(named))
    edge = await Http(stack).open()
    try:
        now = await checklist(edge)
        assert (now["version"], now["version_source"], now["policy"]["rollback_guide_exists"]) == (
            "ours", "setting", False,
        )  # fmt: skip
        bad = await record(edge, rollback_reference_sha256="")
        assert (bad["status"], bad["detail"]["rollback_reference_exists"]) == ("critical", False)
        await until(edge, False, "guide match is false")
        await upload(edge, "# Back\n", "docs/back.md")
        assert (await record(edge))["status"] == "success"
        await until(edge, True)
    finally:
        await edge.close()
