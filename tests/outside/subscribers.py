"""The programs of docs/subscribers.md as they stand there, in Python and JavaScript, and a client in Rust."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.outside.tools import HERE
from tests.outside.world import World, check, until

# That client asks for what is said of the whole stream first, so it speaks the page's protocol by hand.
BY_HAND = HERE / "subscriber_by_hand.py"
PAGE = HERE.parents[1] / "docs" / "subscribers.md"
WANTED = 5


def programs() -> dict[str, str]:
    """The programs of the page, by language."""
    return dict(re.findall(r"```(python|javascript)\n(.*?)```", PAGE.read_text(), re.DOTALL))


def step(world: World) -> None:
    """Each program hears what happened, acknowledges it, and ends when its token is revoked."""
    commands = {
        "python": [sys.executable, "{file}"],
        "javascript": [world.tools.node, "{file}"],
        "rust": [world.tools.python, "{file}"],
    }
    for language, text in (programs() | {"rust": BY_HAND.read_text()}).items():
        heard, lag_s = _prove(world, language, text, commands[language])
        tool = {"python": "nats-py", "javascript": "@nats-io/jetstream", "rust": "async-nats (natsrpy)"}[language]
        world.figure(f"a subscriber as the page says in {language}: events pulled and acknowledged", tool, str(heard))
        world.figure("from the revocation of its token to its end", tool, f"{lag_s:.1f} s")


def _prove(world: World, language: str, text: str, command: list[str]) -> tuple[int, float]:
    made = world.post("/api/subscribers", status=201, json={"name": language, "start": "oldest"})
    issued = world.post("/api/tokens", status=201, json={"label": language})
    # Beside its packages, where node looks for them.
    file = HERE / f".page-subscriber{'.mjs' if language == 'javascript' else '.py'}"
    said = world.folder / f"{language}.txt"
    file.write_text(text)
    host = world.stack.servers.nats_url.rpartition("@")[2]
    environment = os.environ | {
        "NATS_URL": f"nats://{host}",
        "HEADGATE_SUBSCRIBER": made["user"],
        "HEADGATE_TOKEN": issued["token"],
    }
    with said.open("wb") as output:
        process = subprocess.Popen(
            [part.format(file=file) for part in command], cwd=HERE, env=environment, stdout=output, stderr=output
        )
    try:

        def row() -> dict[str, Any]:
            found: list[dict[str, Any]] = world.get("/api/subscribers")
            return next(one for one in found if one["subscriber_id"] == made["subscriber_id"])

        def done() -> dict[str, Any] | None:
            check(process.poll() is None, f"{language} ended: {said.read_text()[-1500:]}")
            now = row()
            caught_up = now["acked_seq"] and not now["pending_count"] and not now["unacked_count"]
            return now if caught_up and _heard(said) >= WANTED else None

        until(f"the program in {language} has pulled and acknowledged all", done, 120)
        heard = _heard(said)
        revoked = world.http.delete(f"/api/tokens/{issued['token_id']}")
        check(revoked.status_code == 200, revoked.text)
        began = time.monotonic()
        until(f"no connection of {made['user']} is left", lambda: not _connected(world, made["user"]), 15)
        return heard, time.monotonic() - began
    finally:
        process.kill()
        process.wait()
        file.unlink(missing_ok=True)


def _heard(said: Path) -> int:
    return sum(line.startswith("headgate.") for line in said.read_text(errors="replace").splitlines())


def _connected(world: World, user: str) -> bool:
    page = f"{world.stack.servers.monitor_url}/connz"
    rows = httpx2.get(page, params={"auth": "true", "limit": 1000}, trust_env=False, timeout=5).json()["connections"]
    return any(str(row.get("authorized_user", "")).startswith(f"{user}/") for row in rows)
