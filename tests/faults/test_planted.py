"""I7 on real processes: eleven bugs, each planted in a service, each found by a run with a fault that shows it."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest

from deploy.embedded import Server, free_port, start_nats, start_postgres
from deploy.installation import NatsUser, nats_config
from deploy.local.options import Options
from tests.faults.planted import ADMIN_URL, BUGS, IN_HAND_PATH, Bug
from tests.faults.rig import Rig, Verdict

pytestmark = pytest.mark.faults
AT_ONCE = 3
WITHIN_S = 300  # a run takes about 45 s with two others beside it
KILLED_AFTER = 20  # answers in a wave
SECRET = secrets.token_urlsafe(32)  # one for all: the database's roles are shared


@dataclass
class Grounds:
    """Servers that the stacks share; each has a database and a stream namespace of its own."""

    folder: Path
    postgres: Server
    nats: Server
    preparing: asyncio.Lock
    slots: asyncio.Semaphore


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    folder = tmp_path_factory.mktemp("planted")
    postgres = start_postgres(
        folder / "postgres", port=free_port(), superuser_password=secrets.token_urlsafe(24), durable=False,
        log=folder / "postgres.log",
    )  # fmt: skip
    port, monitor_port = free_port(), free_port()
    config = nats_config(
        port=port,
        monitor_port=monitor_port,
        store_dir=folder / "store",
        server_name="headgate-planted",
        users=[NatsUser("admin", secrets.token_urlsafe(24), publish_allow=(">",), subscribe_allow=(">",))],
        durable=False,
        max_file_store_bytes=1 << 50,
    )
    nats = start_nats(folder / "nats", port=port, monitor_port=monitor_port, config=config, log=folder / "nats.log")
    try:
        yield Grounds(folder, postgres, nats, asyncio.Lock(), asyncio.Semaphore(AT_ONCE))
    finally:
        nats.stop()
        postgres.stop()


async def lab(grounds: Grounds, name: str, bug: Bug | None) -> Verdict:
    """One short run with a bug (or none) on a stack of its own."""
    namespace = f"b{secrets.token_hex(4)}"
    admin = await asyncpg.connect(grounds.postgres.url)
    await admin.execute(f"CREATE DATABASE {namespace}")
    await admin.close()
    database_url = f"{grounds.postgres.url.rpartition('/')[0]}/{namespace}"
    in_hand = grounds.folder / f"{namespace}.in_hand"
    planted = {ADMIN_URL: database_url, IN_HAND_PATH: str(in_hand), "HEADGATE_REQUESTS_PER_MINUTE": "1000000"}
    options = replace(
        Options.private(grounds.folder / namespace, 0, planted),
        admin_database_url=database_url,
        admin_nats_url=grounds.nats.url,
        namespace=namespace,
        cluster_secret=SECRET,
    )
    programs = {bug.service: ("-m", "tests.faults.planted", name, bug.service)} if bug else {}
    rig = Rig(grounds.folder / namespace, random.Random(7), programs=programs, options=options, wait_s=2)
    async with grounds.preparing:  # roles belong to the whole server: one at a time
        await rig.__aenter__()
    try:
        if bug and bug.without:
            connection = await asyncpg.connect(database_url)
            await connection.execute(bug.without)
            await connection.close()
        await burst(rig, bug.shown_by if bug else "all", in_hand)
        return await rig.judge(7, name, drain_s=20)
    finally:
        await rig.__aexit__()


def stands(path: Path) -> bool:
    return path.exists()


def clear(path: Path) -> None:
    path.unlink(missing_ok=True)


async def burst(rig: Rig, shown_by: str, in_hand: Path) -> None:
    """Requests in a few waves, and the fault; whenever it can be had, the audit head is kept."""

    async def keep_heads() -> None:
        while True:
            await rig.driver.note_head()

    keeping = asyncio.create_task(keep_heads())
    try:
        await waves(rig, shown_by, in_hand)
    finally:
        keeping.cancel()


async def waves(rig: Rig, shown_by: str, in_hand: Path) -> None:
    """Three waves of requests with a kill in each, or a fault on the bus after them."""
    for _ in range(3):
        # A kill must come while requests are in hand, so there are more of them.
        signals = 400 if shown_by in ("kill", "all") else 60
        wave = rig.driver.plan(signals, gates=12, refusals=6, syncs=3, reports=3, unreadable=4)
        sending = asyncio.create_task(rig.driver.send(wave))
        if shown_by in ("kill", "all"):
            while sum(attempt.status > 0 for attempt in wave) < KILLED_AFTER and not sending.done():
                await asyncio.sleep(0.002)
            while shown_by == "kill" and not stands(in_hand) and not sending.done():
                await asyncio.sleep(0.002)  # the bug says when it can be seen; without one a kill comes as it comes
            await rig.kill("governance")
            clear(in_hand)
        await sending
    if shown_by in ("replay", "all"):
        await rig.replay()
    if shown_by in ("poison", "all"):
        await rig.put_poison(20)


async def test_all_planted_bugs_are_found(grounds: Grounds) -> None:
    started = time.monotonic()

    async def one(name: str, bug: Bug | None) -> tuple[str, bool, str]:
        try:
            async with grounds.slots, asyncio.timeout(WITHIN_S):
                verdict = await lab(grounds, name, bug)
        except TimeoutError:
            return name, False, f"no end within {WITHIN_S} s"
        if bug is None:
            return name, verdict.problems == [], "; ".join(verdict.problems[:3]) or "all invariants hold"
        fitting = [problem for problem in verdict.problems if bug.breaks in problem]
        shown = fitting[0] if fitting else f"NOT FOUND; instead: {verdict.problems[:3]}"
        return name, bool(fitting), f"{shown} ({len(verdict.problems)} findings)"

    runs = await asyncio.gather(one("no bug", None), *(one(name, bug) for name, bug in BUGS.items()))
    for name, _, shown in runs:
        print(f"{name:<24} {shown}")
    caught = sum(found for name, found, _ in runs if name != "no bug")
    print(f"caught {caught} of {len(BUGS)} in {time.monotonic() - started:.0f} s")
    assert len(BUGS) == 11
    assert [(name, shown) for name, found, shown in runs if not found] == []
