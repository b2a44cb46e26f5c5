"""Drives a running Headgate over HTTP and keeps what each request was answered: the one side of every fault check."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import httpx2

from libs.common.contracts.governance.reports import record_report
from libs.common.contracts.governance.runs import run_gate
from libs.common.contracts.governance.signals import record_signals
from libs.common.contracts.tracker.assignment import run_auto_assign
from libs.common.contracts.tracker.autopilot import run_autopilot
from libs.common.contracts.tracker.board import sync_board
from libs.common.contracts.tracker.escalation import run_escalation
from libs.common.contracts.tracker.items import patch_item
from libs.common.ids import command_id

ACTOR = "owner"  # whose token the bootstrap makes
SITE = "global"
Kind = Literal["signal", "gate", "refusal", "sync", "report", "unreadable", "escalate", "assign", "fly"]
Answer = Literal["acknowledged", "refused", "unknown"]
OPERATIONS: dict[Kind, str] = {
    "signal": record_signals.name, "gate": run_gate.name, "refusal": patch_item.name, "sync": sync_board.name,
    "report": record_report.name, "unreadable": record_report.name, "escalate": run_escalation.name,
    "assign": run_auto_assign.name, "fly": run_autopilot.name,
}  # fmt: skip
NO_ITEM = 2**53  # an item that never exists: its PATCH is refused
TRACKER = "/api/ops/governance/gate/remediation/tracker"
MIX: tuple[tuple[Kind, int], ...] = (
    ("signal", 58), ("gate", 14), ("refusal", 8), ("sync", 8), ("report", 3), ("unreadable", 3), ("escalate", 4),
    ("assign", 2),
)  # fmt: skip
# An episode lasts two days at the most: so every open item escalates.
PATHS: dict[Kind, str] = {
    "gate": "/api/gates/operations/runs", "sync": f"{TRACKER}/sync",
    "escalate": f"{TRACKER}/escalate/run?include_due_soon_hours=168",
    "assign": f"{TRACKER}/auto-assign/run?limit=500", "fly": f"{TRACKER}/autopilot/run?force=true",
}  # fmt: skip
REPORT_BYTES = 200_000  # more than a command carries by itself
MAX_IN_FLIGHT = 200
# What shows that a part works again, end to end.
PROBES: dict[str, str] = {
    "audit": "/api/audit/entries?limit=1",
    "metrics": "/api/ops/performance/api-latency",
    "notifier": "/api/subscriptions",
    "operations": "/api/ops/preflight",
}


@dataclass
class Attempt:
    """One request. ``marker`` names it in the service's own rows, ``command_id`` on the bus and in the audit log.

    ``signal_id``: of a report that was answered 201. ``body``: what a run or a sync is asked for with.
    """

    kind: Kind
    marker: str
    command_id: str
    answer: Answer = "unknown"
    status: int = 0
    latency_ms: float = 0.0
    signal_id: int = 0
    body: dict[str, str] = field(default_factory=dict)


@dataclass
class Driver:
    """Sends attempts with at most ``width`` at once, each a single time: an unknown answer stays unknown.

    With several gateways it takes them in turn. ``wait_s`` is how long the gateway may wait for an outcome. With
    ``new_boards`` each sync is about a subject that nobody has heard of before.
    """

    urls: Sequence[str]
    token: str
    width: int = 16
    wait_s: int = 10
    new_boards: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    heads: list[tuple[int, str]] = field(default_factory=list)
    run: str = field(default_factory=lambda: secrets.token_hex(4))

    def plan(
        self,
        signals: int = 0,
        gates: int = 0,
        refusals: int = 0,
        syncs: int = 0,
        reports: int = 0,
        unreadable: int = 0,
        escalations: int = 0,
        assigns: int = 0,
        flights: int = 0,
    ) -> list[Attempt]:
        """Make attempts, evenly mixed."""
        kinds: list[tuple[float, Kind]] = []
        counts: list[tuple[Kind, int]] = [
            ("signal", signals), ("gate", gates), ("refusal", refusals), ("sync", syncs), ("report", reports),
            ("unreadable", unreadable), ("escalate", escalations), ("assign", assigns),
            ("fly", flights),
        ]  # fmt: skip
        for kind, count in counts:
            kinds += [((n + 0.5) / count, kind) for n in range(count)]
        return [self.attempt(kind) for _, kind in sorted(kinds)]

    def attempt(self, kind: Kind) -> Attempt:
        """Make one attempt."""
        marker = f"{self.run}-{len(self.attempts)}"
        made = Attempt(kind, marker, str(command_id(ACTOR, SITE, OPERATIONS[kind], marker)))
        if kind == "sync" and self.new_boards:
            made.body = {"gate": "release", "subject": marker, "version": "1"}
        self.attempts.append(made)
        return made

    def client(self) -> httpx2.AsyncClient:
        """A client that gives up soon on a dead gateway, late on a slow one."""
        limits = httpx2.Limits(max_connections=MAX_IN_FLIGHT, max_keepalive_connections=self.width)
        return httpx2.AsyncClient(limits=limits, timeout=httpx2.Timeout(self.wait_s + 15, connect=2))

    async def send(self, attempts: list[Attempt]) -> None:
        """Send all; returns when each has an answer or none is to be had."""
        slots = asyncio.Semaphore(self.width)
        async with self.client() as client:

            async def one(attempt: Attempt) -> None:
                async with slots:
                    await self._send(client, attempt)

            await asyncio.gather(*(one(attempt) for attempt in attempts))

    @asynccontextmanager
    async def load(self, rate_per_s: float, rng: random.Random) -> AsyncIterator[None]:
        """Send a mix at this rate for as long as the block runs, whatever the answers; leaves when all are in."""
        stop = asyncio.Event()

        async def work() -> None:
            going: set[asyncio.Task[None]] = set()
            kinds, weights = zip(*MIX, strict=True)
            async with self.client() as client:
                while not stop.is_set():
                    if len(going) < MAX_IN_FLIGHT:
                        attempt = self.attempt(rng.choices(kinds, weights)[0])
                        task = asyncio.create_task(self._send(client, attempt))
                        going.add(task)
                        task.add_done_callback(going.discard)
                    await asyncio.sleep(1 / rate_per_s)
                if going:
                    await asyncio.gather(*going)

        working = asyncio.create_task(work())
        try:
            yield
        finally:
            stop.set()
            await working

    async def _send(self, client: httpx2.AsyncClient, attempt: Attempt) -> None:
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Idempotency-Key": attempt.marker,
            "Prefer": f"wait={self.wait_s}",
        }
        url = self.urls[int(attempt.marker.rpartition("-")[2]) % len(self.urls)]
        started = asyncio.get_running_loop().time()
        try:
            answer = await client.send(_request(client, attempt, url, headers))
        except httpx2.HTTPError:
            return  # cut off: it may have been stored, or not
        attempt.latency_ms = (asyncio.get_running_loop().time() - started) * 1000
        attempt.status = answer.status_code
        if answer.status_code == 202 and attempt.kind in ("sync", "refusal", "unreadable"):
            return  # only accepted: a refusal will end as one, a sync with 504 if its run takes longer than 60 s
        if attempt.kind == "report" and answer.status_code == 201:
            attempt.signal_id = answer.json()["items"][0]["signal_id"]
        if answer.is_success:
            attempt.answer = "acknowledged"
        elif 400 <= answer.status_code < 500:
            attempt.answer = "refused"
        # 503 and 504 stay unknown: the command may lie on the stream although nobody could say so.

    async def works(self, part: str) -> bool:
        """Whether what a part does is to be had from the outside now: a question, or a command with its outcome."""
        async with httpx2.AsyncClient(timeout=httpx2.Timeout(4, connect=1)) as client:
            if part in PROBES:
                headers = {"Authorization": f"Bearer {self.token}"}
                try:
                    return (await client.get(f"{self.urls[0]}{PROBES[part]}", headers=headers)).is_success
                except httpx2.HTTPError:
                    return False
            attempt = self.attempt("refusal" if part == "tracker" else "signal")
            await self._send(client, attempt)
            return attempt.status == (404 if part == "tracker" else 201)

    async def note_head(self) -> None:
        """Keep the audit head that is handed out now, if there is an answer."""
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with httpx2.AsyncClient(timeout=10) as client:
                answer = await client.get(f"{self.urls[0]}/api/audit/verify?limit=1", headers=headers)
        except httpx2.HTTPError:
            return
        if answer.is_success:
            body = answer.json()
            self.heads.append((body["head_seq"], body["head_hash"]))

    async def originals(self) -> list[str]:
        """I1: every report that was answered 201 is handed out as it was sent; a sentence for each that is not."""
        problems = []
        async with self.client() as client:
            for attempt in self.attempts:
                if attempt.signal_id:
                    url = f"{self.urls[0]}/api/signals/{attempt.signal_id}/report"
                    answer = await client.get(url, headers={"Authorization": f"Bearer {self.token}"})
                    if answer.content != report(attempt.marker):
                        problems.append(f"I1 report {attempt.marker} is not what was sent: {answer.status_code}")
        return problems

    def answers(self) -> dict[str, int]:
        """How many were acknowledged, refused, unknown."""
        counts = Counter(attempt.answer for attempt in self.attempts)
        return {name: counts[name] for name in ("acknowledged", "refused", "unknown")}

    def summary(self) -> str:
        """Counts of answers and statuses, for the report of a run."""
        statuses = Counter(attempt.status or "cut" for attempt in self.attempts)
        parts = [f"{name} {count}" for name, count in self.answers().items()]
        return f"{len(self.attempts)} requests: {', '.join(parts)}; statuses {dict(statuses)}"


def _request(client: httpx2.AsyncClient, attempt: Attempt, url: str, headers: dict[str, str]) -> httpx2.Request:
    """An attempt's request."""
    if attempt.kind == "signal":
        headers["Content-Type"] = "application/cloudevents+json"
        return client.build_request("POST", f"{url}/api/signals", json=signal_document(attempt.marker), headers=headers)
    if attempt.kind in ("report", "unreadable"):
        of = {"subject": attempt.marker, "version": "1", "source": f"/faults/{attempt.kind}"}
        content = report(attempt.marker, readable=attempt.kind == "report")
        return client.build_request("POST", f"{url}/api/signals/junit", params=of, content=content, headers=headers)
    if attempt.kind == "refusal":
        body = {"completion_note": attempt.marker}
        return client.build_request("PATCH", f"{url}{TRACKER}/items/{NO_ITEM}", json=body, headers=headers)
    return client.build_request("POST", f"{url}{PATHS[attempt.kind]}", json=attempt.body, headers=headers)


def report(marker: str, *, readable: bool = True) -> bytes:
    """A JUnit report of its own for each attempt; one that can't be read is refused, and kept as a broken signal."""
    if not readable:
        return f"<testsuite name='{marker}'><testcase".encode()
    padding = b"x" * (REPORT_BYTES - 200)
    test = f"<testsuite name='{marker}'><testcase classname='t' name='{marker}'/><!-- ".encode()
    return test + padding + b" --></testsuite>"


def signal_document(marker: str) -> dict[str, object]:
    """The CloudEvent that a signal attempt posts."""
    return {
        "specversion": "1.0",
        "id": marker,
        "source": "/faults",
        "type": "faults.counter",
        "data": {"marker": marker},
    }
