"""Kill -9 of governance while a hundred people approve at once: each counted once, one transition, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from deploy.local.stack import LocalStack
from tests.local_traffic import await_that, client
from tests.unit.governance.samples import tiny_policy

pytestmark = pytest.mark.faults

PEOPLE, WANTED, KILLS = 100, 20, 2  # of one thing at most 20 persons are wanted
GATE = "/api/gates/operations"
POLICY = tiny_policy(
    name="name: operations", settings="", description=f"description: One\napprovals: {{count: {WANTED}}}"
).decode()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path / "data", env={"HEADGATE_REQUESTS_PER_MINUTE": "1000000"})
    stack.start()
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


def _candidate(http: httpx2.Client) -> str:
    """A site that only lacks approvals; the evidence."""
    published = http.put("/api/policies/operations", json={"content": POLICY, "reason": "many eyes"})
    assert published.status_code == 200, published.text
    signal = {"specversion": "1.0", "id": "1", "source": "/checks", "type": "ops.preflight"}
    body = signal | {"data": {"overall_status": "ok", "error_count": 0, "warning_count": 0}}
    sent = http.post("/api/signals", json=body, headers={"Content-Type": "application/cloudevents+json"})
    assert sent.status_code == 201, sent.text
    made = http.post(f"{GATE}/runs", json={}).json()
    assert [hold["kind"] for hold in made["holds"]] == ["approval"], made
    return str(made["evidence_sha256"])


def _people(http: httpx2.Client) -> list[str]:
    """A token of each of a hundred managers."""
    tokens = []
    for number in range(PEOPLE):
        name = f"person-{number}"
        made = http.post("/api/users", json={"username": name, "role": "manager", "sites": ["*"]})
        assert made.status_code == 201, made.text
        issued = http.post("/api/tokens", json={"username": name, "label": "approve"})
        assert issued.status_code == 201, issued.text
        tokens.append(issued.json()["token"])
    return tokens


async def _approve(http: httpx2.AsyncClient, number: int, token: str, evidence: str, answers: list[int]) -> None:
    """Say it until it is answered, under one key; a 202 is a promise that is looked at later."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"approve-{number}"}
    body = {"evidence_sha256": evidence, "reason": "looked at it"}
    for _ in range(60):
        try:
            answer = await http.post(f"{GATE}/approvals", json=body, headers=headers)
        except httpx2.HTTPError:
            await asyncio.sleep(0.5)
            continue
        if answer.status_code == 201:
            answers.append(number)
            return
        assert answer.status_code in (202, 429, 502, 503, 504), answer.text
        await asyncio.sleep(0.5)
    raise AssertionError(f"person {number} was not answered")


async def _all_at_once(local: LocalStack, tokens: list[str], evidence: str) -> list[int]:
    answers: list[int] = []
    async with httpx2.AsyncClient(base_url=local.gateway_url, timeout=60, trust_env=False) as http:
        saying = [asyncio.create_task(_approve(http, *each, evidence, answers)) for each in enumerate(tokens)]
        for part in range(1, KILLS + 1):
            while len(answers) < part * 5:
                await asyncio.sleep(0.005)
            await asyncio.to_thread(local.kill, "governance")
            await asyncio.to_thread(local.wait_ready)
        await asyncio.gather(*saying)
    return answers


def test_kill_9_in_a_hundred_approvals_counts_each_once_and_turns_once(local: LocalStack) -> None:
    with client(local) as http:
        evidence = _candidate(http)
        tokens = _people(http)
        answers = asyncio.run(_all_at_once(local, tokens, evidence))
        assert sorted(answers) == list(range(PEOPLE)), "each was acknowledged"
        state = http.get(f"{GATE}/approvals").json()
        counted = [one["person"] for one in state["approvals"] if not one["void"]]
        assert sorted(counted) == sorted(f"person-{number}" for number in range(PEOPLE))
        assert (state["wanted"][0]["have"], state["pending"]) == (PEOPLE, [])
        runs = http.get(f"{GATE}/runs").json()["items"]
        assert [(one["decision"], one["trigger"]) for one in runs] == [("go", "approval"), ("no_go", "api")]
        assert len(runs[0]["approvals"]) == WANTED, "the last that was wanted, and no later one, made it GO"

        def logged(name: str) -> int:
            found = http.get("/api/audit/entries", params={"type": name, "limit": 500})
            return len(found.json()["items"])

        await_that("the approvals in the audit log", lambda: logged("governance.approval.given") >= PEOPLE)
        assert logged("governance.approval.given") == PEOPLE
        assert logged("governance.approval.granted") == 1
        assert http.get("/api/audit/verify").json()["valid"]
