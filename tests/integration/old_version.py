"""An older version of Headgate, taken from git history and run by its own supervisor from its own files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest

from deploy.embedded import free_ports
from deploy.embedded.server import is_dead
from tests.local_traffic import await_that

ROOT = Path(__file__).parents[2]
# The version that installations are made with before they are upgraded. Move it on when a release is tagged: to the
# commit of that tag, in the first commit after it. What changes until then must be able to start on that version's
# data, and migrations that it has are never edited again.
BASE = "9d67f40b6181d6b2babcada6391719fc1b2cd52c"
# Of that version, in the order of its ports.
SERVICES = ("gateway", "governance", "tracker", "audit", "metrics", "notifier")
WAIT_S = 120.0


def check_out(folder: Path, commit: str = BASE) -> Path:
    """Write that commit's files into the folder. Without the commit the test fails, with what to do: never a skip."""
    known = subprocess.run(
        ["git", "-C", str(ROOT), "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, text=True, check=False
    )
    if known.returncode:
        pytest.fail(
            f"The upgrade test builds commit {commit[:7]} from git history, and it is not here "
            f"({known.stderr.strip()}). In a shallow clone run: git fetch --unshallow"
        )
    folder.mkdir()
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return folder


class OldVersion:
    """`start` it, talk to its `client`, `halt` services, then `stop` it or `kill` it."""

    def __init__(self, tree: Path, data_dir: Path, services: tuple[str, ...] = SERVICES) -> None:
        self.tree, self.data_dir, self.port = tree, data_dir, free_ports(len(services))
        self.services = services
        self._processes: list[psutil.Process] = []
        self._supervisor: subprocess.Popen[str]

    @property
    def url(self) -> str:
        """Where its gateway answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What it is started with: its own tree comes before the installed one."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HEADGATE_", "COV_"))}
        return kept | {
            "PYTHONPATH": str(self.tree),
            "HEADGATE_DATA_DIR": str(self.data_dir),
            "HEADGATE_HTTP_PORT": str(self.port),
            "HEADGATE_REQUESTS_PER_MINUTE": "1000000",
            "HEADGATE_OUTBOUND_NETWORKS": '["127.0.0.0/8"]',
        }

    def start(self) -> None:
        """Start all of it; returns when it is up, and certain that the files that run are the old ones."""
        self._check_files()
        self._supervisor = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", "up", "--quiet"],
            cwd=self.tree,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._supervisor.stdout is not None
        said = []
        for line in self._supervisor.stdout:
            said.append(line)
            if "stop with" in line:
                break
        else:
            raise AssertionError("".join(said))
        await_that("readiness of the old version", lambda: httpx2.get(f"{self.url}/readyz").is_success)
        self._processes = psutil.Process(self._supervisor.pid).children(recursive=True)
        services = [
            one for one in self._processes if any(f"services.{name}" in one.cmdline() for name in self.services)
        ]
        assert len(services) == len(self.services)
        assert {one.cwd() for one in services} == {str(self.tree)}

    def _check_files(self) -> None:
        """The installed package must not come before the old tree."""
        program = "import libs.common.loop as a, services.tracker.service as b, deploy.local as c\n"
        program += "print(a.__file__, b.__file__, c.__file__, sep='\\n')"
        shown = subprocess.run(
            [sys.executable, "-c", program],
            cwd=self.tree, env=self.environment, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        assert len(shown) == 3
        assert all(Path(file).is_relative_to(self.tree) for file in shown), shown

    def client(self, token: str = "") -> httpx2.Client:
        """An HTTP client with this token, or the first owner's."""
        token = token or (self.data_dir / "bootstrap-token").read_text().strip()
        return httpx2.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
        )

    def halt(self, name: str) -> None:
        """Stop one service by its own command, and return when it is gone."""
        self._local("halt", name)
        port = self.port + self.services.index(name)
        await_that(f"the end of {name}", lambda: not _answers(port))

    def _local(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "deploy.local", *arguments]
        subprocess.run(command, cwd=self.tree, env=self.environment, check=True, capture_output=True)

    def admin_urls(self) -> tuple[str, str]:
        """Administrators' addresses of its database and its bus."""
        state = json.loads((self.data_dir / "running.json").read_text())
        return state["admin_database_url"], state["admin_nats_url"]

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self._supervisor.send_signal(signal.SIGINT)
        rest, _ = self._supervisor.communicate(timeout=WAIT_S)
        assert self._supervisor.returncode == 0, rest
        assert "Traceback" not in rest

    def kill(self) -> None:
        """End all of it at once, as a power cut of the machine would end its processes."""
        for process in self._processes:
            if process.is_running():
                process.kill()
        self._supervisor.kill()
        self._supervisor.communicate(timeout=WAIT_S)
        await_that("the end of all processes", lambda: all(is_dead(one) for one in self._processes))


def _answers(port: int, path: str = "/healthz") -> bool:
    try:
        return bool(httpx2.get(f"http://127.0.0.1:{port}{path}", timeout=5).is_success)
    except httpx2.HTTPError:
        return False
