"""Real requests to a running local stack: a little of everything, as one user of the HTTP side would do it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from deploy.local import LocalStack

WAIT_S = 30.0
OPS = "/api/ops/governance/gate"


def client(stack: LocalStack) -> httpx2.Client:
    """An HTTP client that is the first owner."""
    return httpx2.Client(
        base_url=stack.gateway_url, headers={"Authorization": f"Bearer {stack.token}"}, timeout=WAIT_S, trust_env=False
    )


@contextmanager
def started(stack: LocalStack) -> Iterator[LocalStack]:
    """The installation once it is ready; stopped in the end, whatever happens."""
    stack.start()
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


def await_that(what: str, seen: Callable[[], Any], within_s: float = WAIT_S) -> Any:
    """Poll until `seen` returns something true, and return it; fails naming `what` after ``within_s``."""
    deadline = time.monotonic() + within_s
    while not (found := seen()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.1)
    return found


def story(stack: LocalStack) -> None:
    """A signal, a live event, a NO-GO, items, a sync, a claim that fails, audit and latency: every service works."""
    with client(stack) as http, http.stream("GET", "/api/events") as live:
        lines = live.iter_lines()
        assert next(lines).startswith(":")
        signal = {"specversion": "1.0", "id": f"{time.time_ns()}", "source": "/checks", "type": "ops.preflight"}
        body = signal | {"data": {"overall_status": "ok", "error_count": 0, "warning_count": 0}}
        sent = http.post("/api/signals", json=body, headers={"Content-Type": "application/cloudevents+json"})
        assert sent.status_code == 201, sent.text
        assert any(line == "event: governance.signal.recorded" for line in lines)
        report = b'<testsuite name="s">' + b'<testcase classname="c" name="t"/>' * 3000 + b"</testsuite>"
        kept = http.post("/api/signals/junit", params={"subject": "local", "version": "1"}, content=report)
        assert kept.status_code == 201, kept.text
        back = http.get(f"/api/signals/{kept.json()['items'][0]['signal_id']}/report")
        assert (back.status_code, back.content) == (200, report)
        ran = http.post(f"{OPS}/run", json={})
        assert ran.status_code == 200, ran.text
        synced = http.post(f"{OPS}/remediation/tracker/sync", json={})
        assert synced.status_code == 200, synced.text
        items = http.get(f"{OPS}/remediation/tracker/items").json()
        assert items
        assert http.post(f"{OPS}/remediation/tracker/complete", json={}).status_code == 409
        assert http.get(f"{OPS}/run").status_code == 405
        await_that("the sync in the audit log", lambda: "tracker.board.synced" in http.get("/api/audit/entries").text)
        assert http.get("/api/audit/verify").json()["valid"]
        assert http.get("/api/ops/performance/api-latency").status_code == 200
