"""A full disk under NATS, and one under Postgres: the edge says 503, readiness says why, and nothing is lost after."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from dataclasses import replace
from pathlib import Path

import httpx2

from deploy.embedded import Server, free_port, start_postgres
from deploy.local.options import Options
from tests.faults.mounts import fill, tmpfs
from tests.faults.rig import Fault, Rig, Verdict

RATE_PER_S = 40
NATS_MB, POSTGRES_MB = 192, 400
SAYS_SO_WITHIN_S = 10.0
FULL_FOR_S = 8.0


async def until_not_ready(rig: Rig, part: str, word: str) -> list[str]:
    """Wait until the gateway's readiness is 503 and names the part; returns what is wrong with how it did so."""
    began, shown = time.monotonic(), ""
    async with httpx2.AsyncClient(timeout=8) as client:
        while time.monotonic() - began < 60:
            try:
                answer = await client.get(f"{rig.stack.gateway_url}/readyz")
                shown = answer.text
                if answer.status_code == 503 and word in answer.json()["checks"][part]:
                    took = time.monotonic() - began
                    rig.record(Fault("says it is full", part, rig.now_s(), took))
                    return [] if took <= SAYS_SO_WITHIN_S else [f"I6 readiness said so only after {took:.1f} s"]
            except httpx2.HTTPError as error:
                shown = repr(error)
            await asyncio.sleep(0.1)
    return [f"I6 readiness never named {part}: {shown[:300]}"]


async def refused_properly(rig: Rig) -> list[str]:
    """A change is refused with 503, Retry-After and a problem document, while the disk is full."""
    headers = {"Authorization": f"Bearer {rig.driver.token}"}
    async with httpx2.AsyncClient(timeout=20) as client:
        url = f"{rig.stack.gateway_url}/api/ops/governance/gate/remediation/tracker/items/{2**53}"
        answer = await client.patch(url, json={"completion_note": "full"}, headers=headers)
    if answer.status_code == 503 and "Retry-After" in answer.headers and "detail" in answer.json():
        return []
    return [f"I6 a change was answered {answer.status_code} {dict(answer.headers)} {answer.text[:200]}"]


async def nats_disk(seed: int, seconds: float, folder: Path) -> Verdict:
    """NATS on a small tmpfs that fills up under load; space is made, and NATS restarted, as the manual says."""
    rng = random.Random(seed)
    problems: list[str] = []
    with tmpfs(folder / "data" / "nats", NATS_MB) as disk:
        async with Rig(folder, rng, say=True) as rig:
            async with rig.driver.load(RATE_PER_S, rng):
                await asyncio.sleep(2)
                filler = fill(disk, leave_bytes=64 * 1024)
                problems += await until_not_ready(rig, "nats", "store")
                problems += await refused_properly(rig)
                filler.unlink()
                fault = Fault("disk full, restart", "nats", rig.now_s())
                since = time.monotonic()
                await asyncio.to_thread(rig.stack.restart, "nats")
                fault.recovered_s = await rig.recovery_s("nats", since)
                rig.record(fault)
                await asyncio.sleep(2)
            verdict = await rig.judge(seed, "nats-disk")
    verdict.problems += problems
    return verdict


async def postgres_disk(seed: int, seconds: float, folder: Path) -> Verdict:
    """Postgres on a small tmpfs that fills up under load; when there is space again, it goes on.

    When it can't write its log it ends; this scenario is then its supervisor, and tries until it starts.
    """
    rng, password, port = random.Random(seed), secrets.token_urlsafe(24), free_port()
    with tmpfs(folder / "disk", POSTGRES_MB) as disk:

        def begin() -> Server:
            log = folder / "postgres.log"
            return start_postgres(disk / "data", port=port, superuser_password=password, log=log)

        server = begin()
        try:
            options = replace(
                Options.private(folder / "data", 0, {"HEADGATE_REQUESTS_PER_MINUTE": "1000000"}),
                admin_database_url=server.url,
            )
            async with Rig(folder, rng, options=options, say=True) as rig:
                async with rig.driver.load(RATE_PER_S, rng):
                    await asyncio.sleep(2)
                    filler = fill(disk)
                    fault = Fault("disk full", "postgres", rig.now_s())
                    await asyncio.sleep(FULL_FOR_S)
                    filler.unlink()
                    since = time.monotonic()
                    if not server.alive:
                        server = await asyncio.to_thread(begin)
                    fault.recovered_s = await rig.recovery_s("postgres", since)
                    rig.record(fault)
                    await asyncio.sleep(2)
                return await rig.judge(seed, "postgres-disk")
        finally:
            server.stop()
