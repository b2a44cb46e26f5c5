"""Drives a running Headgate over HTTP and keeps what each request was answered: the one side of every fault check."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import httpx2

from libs.common.contracts.governance import record_signals, run_gate
from libs.common.contracts.tracker import patch_item
from libs.common.ids import command_id

ACTOR = "owner"  # whose token the bootstrap makes
SITE = "global"
Kind = Literal["signal", "gate", "refusal"]
Answer = Literal["acknowledged", "refused", "unknown"]
OPERATIONS = {"signal": record_signals.name, "gate": run_gate.name, "refusal": patch_item.name}
NO_ITEM = 2**53  # an item that never exists: its PATCH is refused


@dataclass
class Attempt:
    """One request. ``marker`` names it in the service's own rows, ``command_id`` on the bus and in the audit log."""

    kind: Kind
    marker: str
    command_id: str
    answer: Answer = "unknown"
    status: int = 0
    latency_ms: float = 0.0


@dataclass
class Driver:
    """Sends attempts with at most ``width`` at once, each a single time: an unknown answer stays unknown."""

    url: str
    token: str
    width: int = 16
    wait_s: float = 10.0
    attempts: list[Attempt] = field(default_factory=list)
    heads: list[tuple[int, str]] = field(default_factory=list)
    run: str = field(default_factory=lambda: secrets.token_hex(4))

    def plan(self, signals: int, gates: int, refusals: int = 0) -> list[Attempt]:
        """Make attempts, evenly mixed."""
        kinds: list[tuple[float, Kind]] = []
        counts: list[tuple[Kind, int]] = [("signal", signals), ("gate", gates), ("refusal", refusals)]
        for kind, count in counts:
            kinds += [((n + 0.5) / count, kind) for n in range(count)]
        made: list[Attempt] = []
        for _, kind in sorted(kinds):
            marker = f"{self.run}-{len(self.attempts) + len(made)}"
            made.append(Attempt(kind, marker, str(command_id(ACTOR, SITE, OPERATIONS[kind], marker))))
        self.attempts += made
        return made

    async def send(self, attempts: list[Attempt]) -> None:
        """Send all; returns when each has an answer or none is to be had."""
        slots = asyncio.Semaphore(self.width)
        limits = httpx2.Limits(max_connections=self.width)
        timeout = httpx2.Timeout(self.wait_s + 5, connect=2)
        async with httpx2.AsyncClient(base_url=self.url, limits=limits, timeout=timeout) as client:

            async def one(attempt: Attempt) -> None:
                async with slots:
                    await self._send(client, attempt)

            await asyncio.gather(*(one(attempt) for attempt in attempts))

    async def _send(self, client: httpx2.AsyncClient, attempt: Attempt) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": attempt.marker}
        started = asyncio.get_running_loop().time()
        try:
            if attempt.kind == "signal":
                document = {
                    "specversion": "1.0",
                    "id": attempt.marker,
                    "source": "/faults",
                    "type": "faults.counter",
                    "data": {"marker": attempt.marker},
                }
                headers["Content-Type"] = "application/cloudevents+json"
                answer = await client.post("/api/signals", json=document, headers=headers)
            elif attempt.kind == "gate":
                answer = await client.post("/api/gates/operations/runs", json={}, headers=headers)
            else:
                path = f"/api/ops/governance/gate/remediation/tracker/items/{NO_ITEM}"
                answer = await client.patch(path, json={"completion_note": attempt.marker}, headers=headers)
        except httpx2.HTTPError:
            return  # cut off: it may have been stored, or not
        attempt.latency_ms = (asyncio.get_running_loop().time() - started) * 1000
        attempt.status = answer.status_code
        if answer.is_success:
            attempt.answer = "acknowledged"
        elif answer.status_code < 500:
            attempt.answer = "refused"
        # 503 and 504 stay unknown: the command may lie on the stream although nobody could say so.

    async def note_head(self) -> None:
        """Keep the audit head that is handed out now, if there is an answer."""
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with httpx2.AsyncClient(base_url=self.url, timeout=10) as client:
                answer = await client.get("/api/audit/verify", headers=headers)
        except httpx2.HTTPError:
            return
        if answer.is_success:
            body = answer.json()
            self.heads.append((body["head_seq"], body["head_hash"]))

    def summary(self) -> str:
        """Counts of answers and statuses, for the report of a run."""
        answers = Counter(attempt.answer for attempt in self.attempts)
        statuses = Counter(attempt.status or "cut" for attempt in self.attempts)
        parts = [f"{name} {answers[name]}" for name in ("acknowledged", "refused", "unknown")]
        return f"{len(self.attempts)} requests: {', '.join(parts)}; statuses {dict(statuses)}"
