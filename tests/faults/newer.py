"""This version and the next one, which hears one event more: side by side under load, there, back, and there again.

The next one is a copy of this tree whose tracker also hears of signals, the most frequent event of the load. This
version knows nothing of that: its processes pull the event from the widened durable, and start on it after a rollback.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from libs.common.contracts.governance.signals import signal_recorded
from tests.faults.beside import RATE_PER_S, Fleet, change
from tests.faults.rig import NEVER_S, Verdict
from tests.integration.old_version import ROOT

PARTS = ("libs", "services", "deploy")
DECLARED = '        "governance.gate.decided",\n'
HANDLER = '''

async def _heard(_tx: Any, _data: Any) -> None:
    """Of the next version."""


SERVICE = replace(SERVICE, events={**SERVICE.events, signal_recorded: _heard})
'''
IMPORTS = """from dataclasses import replace
from typing import Any

from libs.common.contracts.governance.signals import signal_recorded
"""
HEARD = "SELECT event_id::text FROM tracker.inbox WHERE consumer = 'tracker-events'"
TOLD = "SELECT event_id::text FROM audit.entry WHERE type = $1 AND time >= $2"
LETTERS = "SELECT message_id, state FROM tracker.dead_letters WHERE message_type = $1"


def next_version(folder: Path) -> Path:
    """A copy of this tree whose tracker hears one event more."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    contract = folder / "libs" / "common" / "contracts" / "tracker" / "__init__.py"
    text = contract.read_text()
    assert text.count(DECLARED) == 1
    contract.write_text(text.replace(DECLARED, f'{DECLARED}        "{signal_recorded.name}",\n'))
    service = folder / "services" / "tracker" / "service.py"
    head, line, rest = service.read_text().partition("from __future__ import annotations\n")
    service.write_text(head + line + IMPORTS + rest + HANDLER)
    return folder


async def letters(database_url: str) -> dict[str, int]:
    """How many letters of the new event are in each state."""
    connection = await asyncpg.connect(database_url)
    try:
        states = [row["state"] for row in await connection.fetch(LETTERS, signal_recorded.type)]
        return {state: states.count(state) for state in sorted(set(states))}
    finally:
        await connection.close()


async def unheard(database_url: str, since: datetime) -> list[str]:
    """What of the new event, since it is heard, the tracker has neither applied nor kept."""
    connection = await asyncpg.connect(database_url)
    try:
        told = {row["event_id"] for row in await connection.fetch(TOLD, signal_recorded.type, since)}
        known = {row["event_id"] for row in await connection.fetch(HEARD)}
        kept = await connection.fetch(LETTERS, signal_recorded.type)
        known |= {row["message_id"] for row in kept if row["state"] == "waiting"}
        return sorted(told - known)
    finally:
        await connection.close()


async def taken_up(database_url: str) -> dict[str, int]:
    """The same, once none waits."""
    async with asyncio.timeout(NEVER_S):
        while "waiting" in (found := await letters(database_url)):
            await asyncio.sleep(0.2)
    return found


async def newer(seed: int, seconds: float, folder: Path) -> Verdict:
    """The scenario."""
    rng, began = random.Random(seed), time.monotonic()
    tree = await asyncio.to_thread(next_version, folder / "newer")
    fleet = Fleet(folder, ROOT, tree)
    try:
        fleet.start_servers()
        await fleet.bring("older")
        url = fleet.servers.database_url
        await asyncio.to_thread(fleet.prepare, "newer")  # expand: while only the older version runs
        heard_since, driver = datetime.now(UTC), fleet.driver()
        async with driver.load(RATE_PER_S, rng):
            await asyncio.sleep(2)
            alone = await letters(url)
            faults = await change(fleet, driver, rng, "older", "newer")
            up = await taken_up(url)
            faults += await change(fleet, driver, rng, "newer", "older")
            await asyncio.sleep(2)
            back = await letters(url)
        verdict = await fleet.verdict(seed, "newer", began, faults, driver)
        verdict.problems += [f"neither applied nor kept: {one}" for one in await unheard(url, heard_since)]
        fleet.start("newer", "tracker")
        await fleet.ready("newer", "tracker")
        last = await taken_up(url)
        verdict.problems += [f"never applied: {one}" for one in await unheard(url, heard_since)]
        note = f"letters before {alone}, with the newer version {up}, after the rollback {back}, at last {last}"
        verdict.notes.append(note)
        if not alone.get("waiting") or set(up) != {"replayed"} or set(back) != {"replayed", "waiting"}:
            verdict.problems.append(note)
        return verdict
    finally:
        await asyncio.to_thread(fleet.stop)
