"""A power cut: the disk as it was in that instant is all that is left. What was acknowledged must be on it.

Everything lies on an ext4 in a file. The copy of that file holds what reached the "disk", not what the kernel still had
in memory; the servers are stopped (SIGSTOP) while it is copied, so that it is one instant. Then all is killed, the copy
takes the place of the disk, and Headgate starts on it.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.faults.mounts import ext4
from tests.faults.rig import SERVERS, Fault, Rig, Verdict

RATE_PER_S = 60
DISK_MB = 1024


async def cut(rig: Rig, image: Path, copy: Path) -> None:
    """Copy the disk in an instant, then kill everything at once."""
    pids = rig.stack.pids
    frozen = [pids[name] for name in SERVERS]
    frozen += [child.pid for child in psutil.Process(pids["postgres"]).children(recursive=True)]
    for pid in frozen:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    await asyncio.to_thread(subprocess.run, ["cp", "--sparse=always", str(image), str(copy)], check=True, timeout=120)
    rig.stack.ask_to_stop()
    for pid in [*frozen, *pids.values()]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def power(seed: int, seconds: float, folder: Path) -> Verdict:
    """The scenario: load, cut in its midst, start on the copy, check."""
    rng = random.Random(seed)
    image, copy, data = folder / "disk.img", folder / "after.img", folder / "data"
    with ext4(image, data, DISK_MB):
        async with Rig(folder, rng, say=True) as before, before.driver.load(RATE_PER_S, rng):
            await asyncio.sleep(2 + rng.random() * 4)
            await before.driver.note_head()
            await asyncio.sleep(rng.random())
            await cut(before, image, copy)
    since = time.monotonic()
    with ext4(copy, data):
        async with Rig(folder, rng, say=True) as after:
            driver = before.driver
            driver.urls, after.driver = after.driver.urls, driver
            fault = Fault("power cut", "all", before.now_s())
            fault.recovered_s = await after.recovery_s("all", since)
            after.record(fault)
            async with driver.load(RATE_PER_S, rng):
                await asyncio.sleep(1)
            verdict = await after.judge(seed, "power")
    shutil.rmtree(data, ignore_errors=True)
    return verdict
