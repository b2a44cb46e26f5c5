"""A full disk under NATS, and one under Postgres: the edge says 503, readiness says why, and nothing is lost after."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx2

from deploy.embedded import Server, free_port, start_postgres
from deploy.local.options import Options
from libs.common.bus import NATS_ERRORS
from tests.faults.driver import NO_ITEM, TRACKER
from tests.faults.mounts import fill, tmpfs
from tests.faults.rig import Fault, Rig, Verdict

RATE_PER_S = 40
NATS_MB, POSTGRES_MB = 192, 400
SAYS_SO_WITHIN_S = 10.0
REFUSES_WITHIN_S = 120.0
LEFT_BYTES = 128 * 1024
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


async def until_refused(rig: Rig) -> list[str]:
    """Send changes while the disk is full, until one is refused with 503, Retry-After and a problem document.

    Not the first one, perhaps: each stream of NATS freezes for itself, when it finds no room for a message. Readiness
    tells of the first that froze; as long as the commands' stream still has room, a change is stored, applied and
    answered as ever (here with 404), which the checker judges like any other.
    """
    began = time.monotonic()
    async with httpx2.AsyncClient(timeout=20) as client:
        while time.monotonic() - began < REFUSES_WITHIN_S:
            attempt = rig.driver.attempt("refusal")
            headers = {"Authorization": f"Bearer {rig.driver.token}", "Idempotency-Key": attempt.marker}
            url = f"{rig.stack.gateway_url}{TRACKER}/items/{NO_ITEM}"
            answer = await client.patch(url, json={"completion_note": attempt.marker}, headers=headers)
            attempt.status = answer.status_code
            if answer.status_code == 503 and "Retry-After" in answer.headers and "detail" in answer.json():
                rig.record(Fault("refuses changes", "nats", rig.now_s(), time.monotonic() - began))
                return []
            if answer.status_code == 404:
                attempt.answer = "refused"
            elif answer.status_code != 202:
                return [f"I6 a change was answered {answer.status_code} {dict(answer.headers)} {answer.text[:200]}"]
    return [f"I6 changes were still taken {REFUSES_WITHIN_S:g} s after readiness had said that NATS can't store"]


async def freeze_telemetry(rig: Rig) -> None:
    """One message that finds no room freezes its stream, while there is still room for commands."""
    subject = rig.topology.telemetry_subject("lab.disk.full")
    with suppress(*NATS_ERRORS):
        await rig.tap.bus.js.publish(subject, bytes(2 * LEFT_BYTES), timeout=1)


async def nats_disk(seed: int, seconds: float, folder: Path) -> Verdict:
    """NATS on a small tmpfs that fills up under load; space is made, and NATS restarted, as the manual says."""
    rng = random.Random(seed)
    problems: list[str] = []
    with tmpfs(folder / "data" / "nats", NATS_MB) as disk:
        async with Rig(folder, rng, say=True) as rig:
            async with rig.driver.load(RATE_PER_S, rng):
                await asyncio.sleep(2)
                filler = fill(disk, leave_bytes=LEFT_BYTES)
                if rng.random() < 0.5:
                    await freeze_telemetry(rig)
                problems += await until_not_ready(rig, "nats", "store")
                problems += await until_refused(rig)
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
