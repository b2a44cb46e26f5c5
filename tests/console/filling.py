"""An installation with something to look at: verdicts of all kinds, items, people, waivers, deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from deploy.local import LocalStack
from tests.local_traffic import OPS, await_that, client

ROLES = ("manager", "operator", "viewer", "auditor")
PEOPLE = {"manager": "mia", "operator": "olga", "viewer": "viktor", "auditor": "audrey"}
GATE = "first"
POLICY = """\
name: first
title: The first gate
description: Tests must pass; coverage is advice.
subject_mode: version
allow_warnings: true
min_score_percent: 0
rules:
  - id: tests_pass
    title: All tests pass
    severity: required
    weight: 1
    kind: test.junit
    scope: version
    max_age_hours: 24
    condition: derived.passed > 0 && derived.not_passed == 0
    observed: "{derived.not_passed} of {derived.total} tests failed ({derived.failed_tests})"
    wanted: 0 failed
    owner_role: QA Lead
    sla_hours: 8
    action: Mend the failing tests and send the report again.
  - id: coverage
    title: Coverage reaches 80 percent
    severity: advisory
    weight: 1
    kind: coverage.cobertura
    scope: version
    max_age_hours: 24
    condition: derived.lowest_percent >= 80
    observed: "line coverage is {derived.lowest_percent} percent"
    wanted: at least 80 percent
    owner_role: Tech Lead
    sla_hours: 24
    action: Add tests for the uncovered lines.
"""
PASSED = b'<testsuite name="s"><testcase classname="c" name="a"/><testcase classname="c" name="b"/></testsuite>'
FAILED = (
    b'<testsuite name="s"><testcase classname="c" name="a"/>'
    b'<testcase classname="c" name="b"><failure message="no"/></testcase></testsuite>'
)
COVERED = (
    b'<coverage line-rate="1.0" lines-valid="2" lines-covered="2" version="7" timestamp="1">'
    b'<packages><package name="p">'
    b'<classes><class name="c" filename="c.py"><lines><line number="1" hits="1"/><line number="2" hits="1"/></lines>'
    b"</class></classes></package></packages></coverage>"
)


@dataclass(frozen=True, slots=True)
class Filled:
    """The stack, a token of each role (``owner``, too), and the numbers of what was made."""

    stack: LocalStack
    tokens: dict[str, str]
    go_run: int
    no_go_run: int
    item: int

    def http(self, role: str = "owner") -> httpx2.Client:
        """A client of the API with that role."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"}
        return httpx2.Client(base_url=self.stack.gateway_url, headers=headers, timeout=30.0, trust_env=False)


def ok(answer: httpx2.Response) -> Any:
    """The answer's JSON; fails with what was said if it is a refusal."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json()


def report(http: httpx2.Client, name: str, version: str, content: bytes, subject: str = "shop") -> None:
    """Send a report of a tool about a version."""
    ok(http.post(f"/api/signals/{name}", params={"subject": subject, "version": version}, content=content))


def judge(http: httpx2.Client, version: str, subject: str = "shop") -> dict[str, Any]:
    """Judge a version now."""
    run: dict[str, Any] = ok(http.post(f"/api/gates/{GATE}/runs", json={"subject": subject, "version": version}))
    return run


def fill(stack: LocalStack) -> Filled:
    """Make it: once for all tests, which change only what they made themselves."""
    tokens = {"owner": stack.token}
    with client(stack) as http:
        for role, name in PEOPLE.items():
            ok(
                http.post(
                    "/api/users", json={"username": name, "role": role, "sites": ["*"], "display_name": name.title()}
                )
            )
            tokens[role] = ok(http.post("/api/tokens", json={"username": name, "label": "console"}))["token"]
        ok(http.put(f"/api/policies/{GATE}", json={"content": POLICY, "reason": "the first gate"}))
        report(http, "junit", "1.0.0", PASSED)
        report(http, "cobertura", "1.0.0", COVERED)
        go = judge(http, "1.0.0")
        assert go["verdict"] == "GO", go
        report(http, "junit", "1.0.1", PASSED, subject="api")
        assert judge(http, "1.0.1", subject="api")["verdict"] == "GO_WITH_WARNINGS"
        report(http, "junit", "1.1.0", FAILED)
        no_go = judge(http, "1.1.0")
        assert no_go["verdict"] == "NO_GO", no_go
        ok(http.post(f"{OPS}/run", json={}))
        items = f"{OPS}/remediation/tracker/items"
        wanted = {"gate": GATE, "rule_id": "tests_pass"}
        item = await_that("the item of the failed tests", lambda: ok(http.get(items, params=wanted)))[0]
        await_that("the items of the operations gate", lambda: ok(http.get(items)))
        ok(http.patch(f"{items}/{item['id']}", json={"assignee": PEOPLE["operator"], "status": "in_progress"}))
        ok(http.post(f"{items}/{item['id']}/comments", json={"text": "Looking into it."}))
        ends_at = (datetime.now(UTC) + timedelta(days=2)).isoformat()
        waiver = {
            "gate": GATE,
            "rule_id": "coverage",
            "subject": "api",
            "ends_at": ends_at,
            "reason": "the old module goes",
        }
        ok(http.post("/api/waivers", json=waiver))
    return Filled(stack, tokens, go["run_id"], no_go["run_id"], item["id"])
