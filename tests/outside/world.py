"""What the steps of `make outside` share: one private stack, a story that fills it, and a table of figures."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from deploy.local import LocalStack
from libs.common.cloudevents import format_time
from tests.local_traffic import OPS, client, story
from tests.otlp import Receiver
from tests.outside.tools import Tools
from tests.unit.governance.samples import case, junit, sarif

SUBJECT, VERSION = "app", "1.0.0"
WAIT_S = 40.0
COBERTURA = (
    b'<coverage line-rate="0.9" lines-valid="10" lines-covered="9"><packages><package><classes><class filename="a.py">'
    b"<lines>" + b"".join(b'<line number="%d" hits="%d"/>' % (n, n > 0) for n in range(10)) + b"</lines></class>"
    b"</classes></package></packages></coverage>"
)


class StepFailed(AssertionError):
    """A proof failed; the message says what was found."""


@dataclass
class World:
    """One run. ``figures`` are (what was proven, with which tool, figure)."""

    stack: LocalStack
    http: httpx2.Client
    receiver: Receiver
    tools: Tools
    folder: Path
    figures: list[tuple[str, str, str]] = field(default_factory=list)

    def figure(self, what: str, tool: str, value: str) -> None:
        """Note a figure for the table."""
        self.figures.append((what, tool, value))

    def post(self, path: str, *, status: int, **more: Any) -> Any:
        """POST as the owner; the JSON answer. Raises `StepFailed` for another status."""
        answer = self.http.post(path, **more)
        check(answer.status_code == status, f"POST {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def get(self, path: str, **params: Any) -> Any:
        """GET as the owner; the JSON answer."""
        answer = self.http.get(path, params=params)
        check(answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def token(self, username: str, role: str) -> str:
        """The token of a new user with this role over all sites."""
        self.post("/api/users", status=201, json={"username": username, "role": role, "sites": ["*"]})
        made = self.post("/api/tokens", status=201, json={"username": username, "label": "outside"})
        return str(made["token"])

    def run_release(self) -> Any:
        """Run the release gate of the story's version."""
        target = {"subject": SUBJECT, "version": VERSION}
        return self.post("/api/gates/release/runs", status=201, json=target)


def check(good: bool, message: str) -> None:
    """Raise `StepFailed` with the message unless good."""
    if not good:
        raise StepFailed(message)


def until(what: str, seen: Callable[[], Any], within_s: float = WAIT_S) -> Any:
    """Poll until `seen` returns something true; raises `StepFailed` naming `what`."""
    deadline = time.monotonic() + within_s
    while not (found := seen()):
        check(time.monotonic() < deadline, f"not within {within_s:g} s: {what}")
        time.sleep(0.2)
    return found


def rule_of(run: Any, rule_id: str) -> Any:
    """One rule of a run."""
    return next(rule for rule in run["rules"] if rule["id"] == rule_id)


def tell(world: World) -> None:
    """A little of everything: signals, runs of both gates, items, tokens, refusals, a service that is away."""
    story(world.stack)
    viewer = world.token("vera", "viewer")
    world.post("/api/sites", status=201, json={"site": "north", "title": "North"})
    issued = world.post("/api/tokens", status=201, json={"label": "short-lived"})
    revoked = world.http.delete(f"/api/tokens/{issued['token_id']}")
    check(revoked.status_code == 200, revoked.text)
    _signals(world)
    target = {"subject": SUBJECT, "version": VERSION}
    for format_, body in (("junit", junit(case("a"), case("b"))), ("cobertura", COBERTURA), ("sarif", sarif([]))):
        world.post(f"/api/signals/{format_}", status=201, params=target, content=body)
    world.run_release()
    item = until("open items", lambda: world.get(f"{OPS}/remediation/tracker/items"))
    number = (item["items"] if isinstance(item, dict) else item)[0]["id"]
    patched = world.http.patch(f"{OPS}/remediation/tracker/items/{number}", json={"assignee": "vera"})
    check(patched.status_code == 200, patched.text)
    with httpx2.Client(base_url=world.stack.gateway_url, trust_env=False) as stranger:
        check(stranger.get("/api/me").status_code == 401, "a stranger was let in")
        answer = stranger.post(f"{OPS}/run", json={}, headers={"Authorization": f"Bearer {viewer}"})
        check(answer.status_code == 403, f"a viewer ran a gate: {answer.text}")
    check(world.http.post("/api/gates/none/runs", json={}).status_code in (404, 422), "an unknown gate ran")
    world.stack.halt("metrics")
    check(world.http.get("/api/ops/performance/api-latency").status_code == 503, "metrics is away, but answers")
    world.stack.resume("metrics")
    world.stack.wait_ready()
    check(world.http.get("/api/ops/performance/api-latency").status_code == 200, "metrics does not answer again")


def _signals(world: World) -> None:
    """All that the operations gate wants, in one batch of CloudEvents, one of them with its data in base64."""
    latest = {"latest_run_at": format_time(datetime.now(UTC)), "latest_status": "success"}
    data: dict[str, dict[str, Any]] = {
        "ops.preflight": {"overall_status": "ok", "error_count": 0, "warning_count": 0},
        "ops.runbook": {"overall_status": "ok", "critical_count": 0, "check_count": 25},
        "ops.security": {"risk_level": "low", "risk_score": 10},
        "ops.daily_check": latest,
    }
    events = [
        {"specversion": "1.0", "id": f"outside-{kind}", "source": "/outside", "type": kind, "data": value}
        for kind, value in data.items()
    ]
    events[1].pop("data")
    events[1]["data_base64"] = base64.b64encode(b'{"overall_status":"ok","critical_count":0,"check_count":25}').decode()
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    world.post("/api/signals", status=201, json=events, headers=headers)
    world.post(f"{OPS}/run", status=200, json={})


def open_world(folder: Path, tools: Tools, receiver: Receiver) -> World:
    """Start the stack, whose spans go to the receiver."""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "HEADGATE_REQUESTS_PER_MINUTE": "1000000",
        "HEADGATE_ANONYMOUS_REQUESTS_PER_MINUTE": "1000000",
        "HEADGATE_LOG_FORMAT": "json",
        "HEADGATE_OUTBOUND_NETWORKS": '["127.0.0.0/8"]',
        "HEADGATE_SIGN_IN_SECRETS": '{"acme": "not so secret, but long enough"}',
        "HEADGATE_AUDIT_PQ": "true",  # whoever reads checkpoints has to pass the second signature over, or verify it
    }
    stack = LocalStack(folder / "data", env=environment)
    stack.start()
    try:
        stack.wait_ready()
        return World(stack, client(stack), receiver, tools, folder)
    except BaseException:
        stack.stop()
        raise
