"""What tests of backups and rehearsals share."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.backup.create import Source
from deploy.backup.sealing import Keys
from tests.stack import Stack

SECRET = "a cluster secret for tests"
NO_KEYS = Keys()
WAIT_S = 30.0


def source_of(stack: Stack) -> Source:
    """The installation of a test, as its administrator."""
    return Source(stack.database_url, stack.nats_url, stack.topology.namespace, SECRET)


def worker_environment(stack: Stack, folder: Path) -> dict[str, str]:
    """The environment of an administrator's process for that installation."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HEADGATE_")}
    environment |= {
        "HEADGATE_ADMIN_DATABASE_URL": stack.database_url, "HEADGATE_ADMIN_NATS_URL": stack.nats_url,
        "HEADGATE_NAMESPACE": stack.topology.namespace, "HEADGATE_CLUSTER_SECRET": SECRET,
        "HEADGATE_BACKUP_DIR": str(folder),
    }  # fmt: skip
    return environment


def worker(stack: Stack, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """``python -m deploy.backup …`` for that installation, as a process that can be killed."""
    environment = worker_environment(stack, folder)
    return subprocess.Popen([sys.executable, "-m", "deploy.backup", *arguments], env=environment)


async def report_rehearsal(tool: Callable[..., Awaitable[Any]]) -> None:
    """A rehearsal that went well, and its backup, reported by the tool."""
    now = datetime.now(UTC).isoformat()
    words = ["rehearsals", "report", "--backup-id", "20260501T120000Z-abcdef", "--restore-valid"]
    done = await tool(*words, "--started-at", now, "--finished-at", now)
    assert done.exit_code == 0, done.output
    words = ["backup-reports", "send", "--backup-id", "20260501T120000Z-abcdef", "--good", "--recovery-point", now]
    done = await tool(*words, "--started-at", now, "--finished-at", now)
    assert done.exit_code == 0, done.output


async def record_deployment(tool: Callable[..., Awaitable[Any]]) -> str:
    """A deployment and a review, made by the tool; returns the number of the deployment."""
    done = await tool("deploy", "record", "build-7", "--json")
    assert done.exit_code == 0, done.output
    assert (await tool("reviews", "run")).exit_code == 0
    return str(json.loads(done.stdout)["run_id"])


async def wait_for(seen: Callable[[], bool | Awaitable[bool]]) -> None:
    """Poll until something is seen, for half a minute."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = seen()
        if await found if inspect.isawaitable(found) else found:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
