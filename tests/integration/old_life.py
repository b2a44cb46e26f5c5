"""The life of an installation before its upgrade: filled over HTTP with a little of everything, and then looked at.

Only HTTP, SQL and the bus, in the words of the old version: nothing here may follow when the contracts change.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx2
import nats

from deploy.embedded import free_ports
from tests.integration.old_version import OldVersion

TRACKER = "/api/ops/governance/gate/remediation/tracker"
ASYNC = {"Prefer": "respond-async"}
# What time alone changes.
MOVING = {"last_used_at", "generated_at", "age_seconds", "overdue_count", "oldest_due_at"}
COVERAGE = """<coverage line-rate="0.9" lines-valid="10" lines-covered="9" version="7"><packages>
<package name="p"><classes><class name="c" filename="c.py"><lines>{lines}</lines></class></classes></package>
</packages></coverage>"""
RELAY_LOCK = "SELECT pg_advisory_lock(hashtextextended('governance.outbox', 0))"
END_RELAY = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND usename = 'headgate_governance'
"""
UNSENT = "SELECT count(*) FROM governance.outbox WHERE sent_at IS NULL"
BLOCK_GATEWAY = "LOCK TABLE gateway.inbox IN EXCLUSIVE MODE"


@dataclass
class Life:
    """What was there when the old version ended, and what it still owed.

    ``shown`` holds path -> answer. ``owed`` holds status path -> the status of the outcome that must come;
    ``keyed`` requests that were answered, by their key: (path, body, answer).
    """

    tokens: dict[str, str] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    owed: dict[str, tuple[int, ...]] = field(default_factory=dict)
    keyed: dict[str, tuple[str, dict[str, Any] | str, dict[str, Any]]] = field(default_factory=dict)
    entries: dict[int, dict[str, Any]] = field(default_factory=dict)
    unsent: int = 0
    subscription: dict[str, Any] = field(default_factory=dict)  # with its secret; its receiver was never there
    subscriber: dict[str, Any] = field(default_factory=dict)


class Author:
    """Fills a running old version."""

    def __init__(self, old: OldVersion) -> None:
        self.old, self.life, self._count = old, Life(), 0
        self.http = old.client()
        self._runner = asyncio.Runner()
        self._blocker: asyncpg.Connection | None = None

    def close(self) -> None:
        """Let go of the connections; the servers may be gone."""
        if self._blocker is not None:
            self._blocker.terminate()
        self._runner.close()
        self.http.close()

    def ask(self, method: str, path: str, body: Any = None, *, wanted: int = 200, **more: Any) -> Any:
        """Send a request and return its JSON; fails on another status."""
        answer = self.http.request(method, path, json=body, **more)
        assert answer.status_code == wanted, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def signals(self, site: str, *events: tuple[str, dict[str, Any]], headers: dict[str, str] | None = None) -> Any:
        """Send CloudEvents."""
        batch = []
        for kind, data in events:
            self._count += 1
            one = {"specversion": "1.0", "id": f"e{self._count}", "source": "/old", "type": kind, "data": data}
            batch.append(one)
        kind_of_body = {"Content-Type": "application/cloudevents-batch+json", **(headers or {})}
        answer = self.http.post("/api/signals", content=json.dumps(batch), params={"site": site}, headers=kind_of_body)
        assert answer.status_code == (202 if headers else 201), answer.text
        return answer

    def report(
        self, tool: str, content: str, of: dict[str, str], headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        """Send a report as a tool wrote it."""
        answer = self.http.post(f"/api/signals/{tool}", content=content, params=of, headers=headers)
        assert answer.status_code == (202 if headers else 201), answer.text
        return answer

    def release(self, subject: str, version: str, *, failing: tuple[str, ...] = ()) -> Any:
        """All reports of a version, then a run of the release gate."""
        of = {"subject": subject, "version": version}
        self.report("junit", junit("a", "b", failing=failing), of | {"part": "unit"})
        self.report("cobertura", cobertura(), of)
        self.report("sarif", sarif(), of)
        self.report("alertmanager", heartbeat(), {"subject": subject})
        return self.ask("POST", "/api/gates/release/runs", of, wanted=201)

    def keyed(self, key: str, path: str, body: dict[str, Any] | str) -> None:
        """Send JSON or a report with an Idempotency-Key, to be repeated after the upgrade."""
        answer = keyed_post(self.http, key, path, body)
        assert answer.status_code == 201, answer.text
        self.life.keyed[key] = (path, body, answer.json())

    def owe(self, answer: httpx2.Response, *outcomes: int) -> None:
        """Remember a command that was accepted and not yet applied."""
        assert answer.status_code == 202, answer.text
        self.life.owed[answer.headers["Location"]] = outcomes

    def listeners(self) -> None:
        """A subscription whose receiver is away, and a subscriber on the bus that has not come yet."""
        address = f"http://127.0.0.1:{free_ports(1)}/hook"
        body: dict[str, Any] = {"name": "bot", "event_types": ["governance.gate.*"], "endpoint": address}
        self.life.subscription = self.ask("POST", "/api/subscriptions", body, wanted=201)
        body = {"name": "ci", "types": ["governance.gate.*"]}
        self.life.subscriber = self.ask("POST", "/api/subscribers", body, wanted=201)

    def identity(self) -> None:
        """Sites, users of several roles, tokens, one of them revoked and one of a user who was deactivated."""
        for site in ("well", "plant", "silo", "later"):
            self.ask("POST", "/api/sites", {"site": site, "title": f"The {site}"}, wanted=201)
        for name, role, sites in (("mia", "manager", ["*"]), ("oz", "operator", ["plant"]), ("gone", "viewer", ["*"])):
            self.ask("POST", "/api/users", {"username": name, "role": role, "sites": sites}, wanted=201)
        for name in ("mia", "oz", "gone"):
            issued = self.ask("POST", "/api/tokens", {"username": name, "label": "laptop"}, wanted=201)
            self.life.tokens[name] = issued["token"]
        lost = self.ask("POST", "/api/tokens", {"username": "mia", "label": "lost"}, wanted=201)
        self.life.tokens["revoked"] = lost["token"]
        self.ask("DELETE", f"/api/tokens/{lost['token_id']}")
        self.ask("PATCH", "/api/users/gone", {"active": False})

    def operations(self) -> None:
        """A site that may be operated, one that may not, and one whose producer broke its format after a good day."""
        self.signals("well", *good_operations().items())
        assert self.ask("POST", "/api/ops/governance/gate/run", {}, params={"site": "well"})["decision"] == "go"
        bad = good_operations() | {
            "ops.runbook": {"overall_status": "critical", "critical_count": 2, "check_count": 25}
        }
        self.signals("plant", *bad.items())
        site = {"site": "plant"}
        assert self.ask("POST", "/api/gates/operations/runs", {}, wanted=201, params=site)["decision"] == "no_go"
        self.ask("POST", f"{TRACKER}/sync", {}, params=site)
        (item,) = self.ask("GET", f"{TRACKER}/items", params=site)
        change = {"assignee": "oz", "status": "in_progress", "completion_note": "on it"}
        self.ask("PATCH", f"{TRACKER}/items/{item['id']}", change, params=site)
        self.ask("POST", f"{TRACKER}/complete", {"force": True, "completion_note": "agreed"}, params=site)
        self.signals("silo", *good_operations().items())
        assert (
            self.ask("POST", "/api/gates/operations/runs", {}, wanted=201, params={"site": "silo"})["decision"] == "go"
        )
        self.signals("silo", ("ops.preflight", {"overall_status": "ok", "error_count": "5", "warning_count": 0}))

    def releases(self) -> None:
        """A subject that failed, was mended and completed; one with a GO whose next version fails, with a claim."""
        assert self.release("web", "1", failing=("b",))["decision"] == "no_go"
        board = {"gate": "release", "subject": "web"}
        self.ask("POST", f"{TRACKER}/sync", board | {"version": "1"})
        assert self.release("web", "2")["decision"] == "go"
        self.ask("POST", f"{TRACKER}/sync", board | {"version": "2"})
        self.ask("POST", f"{TRACKER}/complete", board | {"version": "2", "completion_note": "shipped"})
        assert self.release("app", "1")["decision"] == "go"
        assert self.release("app", "2", failing=("a",))["decision"] == "no_go"
        self.ask("POST", f"{TRACKER}/sync", {"gate": "release", "subject": "app", "version": "2"})
        (item,) = self.ask("GET", f"{TRACKER}/items", params={"gate": "release", "subject": "app"})
        claim = {"status": "done", "completion_checked": True, "completion_note": "mended", "assignee": "mia"}
        self.ask("PATCH", f"{TRACKER}/items/{item['id']}", claim)
        self.keyed("gate-1", "/api/gates/release/runs", {"subject": "web", "version": "2"})
        self.keyed("site-1", "/api/sites", {"site": "kept", "title": "Kept"})
        self.keyed("report-1", "/api/signals/junit?subject=keyed&version=1&part=unit", junit("k"))
        self.report("junit", junit("c", failing=("d",)), {"subject": "later", "version": "1"})
        self.ask("POST", f"{TRACKER}/sync", {"gate": "release", "subject": "later", "version": "1"})

    def poison(self) -> None:
        """A message that nobody can read, for the dead letters of governance."""

        async def work() -> None:
            client = await nats.connect(self.old.admin_urls()[1])
            subject = "headgate.command.governance.gate.run.0190aaaa-0000-7000-8000-000000000000"
            await client.jetstream().publish(subject, b"no JSON")
            await client.close()

        self._runner.run(work())
        while not self.ask("GET", "/api/dead-letters/governance")["items"]:
            pass

    def leave_unsent(self) -> None:
        """Let governance apply something whose events it can't send: another holds its relay's lock."""

        async def block() -> None:
            self._blocker = await asyncpg.connect(self.old.admin_urls()[0])
            waiting = asyncio.create_task(self._blocker.execute(RELAY_LOCK))
            other = await asyncpg.connect(self.old.admin_urls()[0])
            while not waiting.done():
                await other.execute(END_RELAY)
                await asyncio.wait({waiting}, timeout=0.1)
            await other.close()

        self._runner.run(block())
        self.signals("later", *good_operations().items())
        self.ask("POST", "/api/gates/operations/runs", {}, wanted=201, params={"site": "later"})
        assert self._blocker is not None
        self.life.unsent = self._runner.run(self._blocker.fetchval(UNSENT))
        assert self.life.unsent >= 3

    def leave_queued(self, *, gateway: bool) -> None:
        """Accept commands of every service that has any while nobody applies them."""
        later = {"gate": "release", "subject": "later"}
        item = self.ask("GET", f"{TRACKER}/items", params=later)[0]
        self.old.halt("governance")
        self.old.halt("tracker")
        self.owe(self.signals("later", ("ops.runbook", {"odd": 1}), ("other.kind", {"x": 1}), headers=ASYNC), 201)
        body = {"subject": "later", "version": "1"}
        self.owe(self.report("junit", junit("c", "d"), body, ASYNC), 201)
        self.owe(self.http.post("/api/gates/release/runs", json=body, headers=ASYNC), 201)
        path = f"{TRACKER}/items/{item['id']}"
        self.owe(self.http.patch(path, json={"assignee": "mia", "status": "blocked"}, headers=ASYNC), 200)
        self.owe(self.http.patch(f"{TRACKER}/items/{2**53}", json={"assignee": "mia"}, headers=ASYNC), 404)
        # Whether its run comes within 60 s is up to how long the upgrade takes.
        self.owe(self.http.post(f"{TRACKER}/sync", json=later | {"version": "1"}, headers=ASYNC), 200, 504)
        if gateway:
            assert self._blocker is not None
            self._runner.run(self._blocker.execute(f"BEGIN; {BLOCK_GATEWAY}"))
            new = {"username": "late", "role": "viewer", "sites": ["*"]}
            self.owe(self.http.post("/api/users", json=new, headers=ASYNC), 201)

    def look(self) -> None:
        """Remember everything that can be read, before anything is left undone."""
        for path in paths(self.http):
            self.life.shown[path] = self.ask("GET", path)
        assert self.ask("GET", "/api/audit/verify")["valid"]
        for entry in all_pages(self.http, "/api/audit/entries?limit=500"):
            self.life.entries[entry["seq"]] = entry


def keyed_post(http: httpx2.Client, key: str, path: str, body: dict[str, Any] | str) -> httpx2.Response:
    """Post JSON, or text as it is, under a key."""
    headers = {"Idempotency-Key": key}
    if isinstance(body, str):
        return http.post(path, content=body, headers=headers)
    return http.post(path, json=body, headers=headers)


def paths(http: httpx2.Client) -> Iterator[str]:
    """Everything that can be read and stays as it is."""
    yield from ("/api/sites", "/api/users", "/api/tokens", "/api/dead-letters/governance", "/api/subscriptions")
    for site in ("global", "well", "plant", "silo", "later"):
        for signal in all_pages(http, f"/api/signals?limit=200&site={site}"):
            yield f"/api/signals/{signal['signal_id']}?site={site}"
        for gate in ("operations", "release"):
            for run in all_pages(http, f"/api/gates/{gate}/runs?limit=100&site={site}"):
                yield f"/api/gates/{gate}/runs/{run['run_id']}?site={site}"
    for board in ("gate=operations&site=plant", "gate=release&subject=web", "gate=release&subject=app"):
        yield f"{TRACKER}/items?include_inactive=true&{board}"
        yield f"{TRACKER}/completion?{board}"
        yield f"{TRACKER}/readiness?{board}"


def all_pages(http: httpx2.Client, path: str) -> Iterator[dict[str, Any]]:
    """Every row of a list, page after page."""
    cursor = ""
    while True:
        answer = http.get(f"{path}{cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield from page["items"]
        if not page.get("next_cursor"):
            return
        cursor = f"&cursor={page['next_cursor']}"


def lost(old: Any, new: Any, where: str = "") -> list[str]:
    """What the old answer says and the new one does not; the new one may say more."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key, value in old.items():
            if key not in MOVING:
                found += lost(value, new[key], f"{where}.{key}") if key in new else [f"{where}.{key} is gone"]
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [line for n, pair in enumerate(zip(old, new, strict=True)) for line in lost(*pair, f"{where}[{n}]")]
    return [] if old == new else [f"{where} was {old!r}, is {new!r}"]


def good_operations() -> dict[str, dict[str, Any]]:
    """Data with which the operations gate says GO."""
    at = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    latest = {"latest_run_at": at, "latest_status": "success"}
    truths = ("rollback_ready", "runbook_gate_passed", "rollback_reference_match", "rollback_reference_sha256_match")
    smoke = {**latest, **dict.fromkeys((*truths, "checklist_version_match", "ui_main_shell_checked"), True)}
    return {
        "ops.preflight": {"overall_status": "ok", "error_count": 0, "warning_count": 0},
        "ops.runbook": {"overall_status": "ok", "critical_count": 0, "check_count": 25},
        "ops.security": {"risk_level": "low", "risk_score": 10},
        "ops.daily_check": latest,
        "ops.dr": {"enabled": True, **latest, "latest_restore_valid": True},
        "ops.deploy_smoke": {
            **smoke,
            "ui_main_shell_status": "ok",
            "current_checklist_version": "v1",
            "latest_checklist_version": "v1",
        },
        "ops.quality_streak": {"current_streak_weeks": 6},
    }


def junit(*tests: str, failing: tuple[str, ...] = ()) -> str:
    """A JUnit report; the failing ones may be among the tests."""
    names = dict.fromkeys((*tests, *failing))
    cases = "".join(
        f'<testcase classname="t" name="{name}" time="0.5">{"<failure/>" if name in failing else ""}</testcase>'
        for name in names
    )
    return f'<testsuites><testsuite name="unit">{cases}</testsuite></testsuites>'


def cobertura() -> str:
    """90 percent of ten lines."""
    return COVERAGE.format(lines="".join(f'<line number="{n}" hits="{int(n < 10)}"/>' for n in range(1, 11)))


def sarif() -> str:
    """A scan that found nothing."""
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Scan It"}}, "results": []}]})


def heartbeat() -> str:
    """Alertmanager's Watchdog."""
    alert = {"status": "firing", "labels": {"alertname": "Watchdog", "severity": "none"}, "fingerprint": "ab"}
    hook = {"version": "4", "groupKey": "beat", "status": "firing", "receiver": "headgate", "truncatedAlerts": 0}
    return json.dumps(hook | {"alerts": [alert]})
