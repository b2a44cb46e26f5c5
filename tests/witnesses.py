"""Witnesses as their own processes, as another party runs them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

from deploy.embedded.server import free_port
from libs.tlog.cosignatures import WitnessKey
from libs.tlog.notes import Verifier

TOOL = [sys.executable, "-m", "libs.client.cli", "audit", "witness"]


class WitnessProcess:
    """``headgate audit witness`` on a free port, with its memory in ``folder``."""

    def __init__(self, folder: Path, name: str, *logs: Verifier) -> None:
        self._command = [*TOOL, "--name", name, "--folder", str(folder)]
        self._command += [part for log in logs for part in ("--log", log.text)]
        self.said, self._process = folder.with_suffix(".log"), None
        shown = subprocess.run([*self._command, "--show-key"], capture_output=True, text=True, check=True)
        self.keys = [WitnessKey.read(line) for line in shown.stdout.splitlines()]
        self.key = self.keys[0]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    _process: subprocess.Popen[bytes] | None

    def start(self) -> WitnessProcess:
        """Start it and wait until it listens."""
        with self.said.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "--port", str(self.port)], stdout=log, stderr=log, env=os.environ | {"COLUMNS": "200"}
            )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                httpx2.get(f"{self.url}/0/checkpoint", trust_env=False)
                return self
            assert self._process.poll() is None, self.said.read_text()
            assert time.monotonic() < deadline, self.said.read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        """As a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def witnesses(folder: Path, names: list[str], *logs: Verifier) -> Iterator[list[WitnessProcess]]:
    """Several, each in a folder of its own."""
    made: list[WitnessProcess] = []
    try:
        for number, name in enumerate(names):
            made.append(WitnessProcess(folder / f"w{number}", name, *logs))
        for one in made:
            one.start()
        yield made
    finally:
        for one in made:
            one.kill()
