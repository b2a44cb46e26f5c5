"""What `kubernetes-secrets` writes lets the containers in: the admin step and each service, on servers of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from deploy.container.environments import Places
from deploy.container.kubernetes import kubernetes_secrets
from deploy.embedded import free_ports, start_nats
from deploy.embedded.postgres import start_postgres
from deploy.installation import nats_config
from libs.common.roster import SERVICES, place

pytestmark = [pytest.mark.integration, pytest.mark.whole]

SECRET = "a-cluster-secret-for-tests-only"


@pytest.fixture
def written(tmp_path: Path) -> Iterator[dict[str, dict[str, str]]]:
    """The Secrets, of servers that run: NATS reads its users from the Secret, as the values for its chart say."""
    port = free_ports(3)
    monitor_port, database_port = port + 1, port + 2
    places = Places(f"127.0.0.1:{port}", f"http://127.0.0.1:{monitor_port}", "127.0.0.1:1")
    made = kubernetes_secrets(
        SECRET, "headgate", places, database_url=None, own_database=f"127.0.0.1:{database_port}/postgres"
    )
    nats = nats_config(
        port=port, monitor_port=monitor_port, store_dir=tmp_path / "store", server_name="x", users=[], durable=True,
        max_file_store_bytes=1 << 40,
    ).partition("authorization {")[0]  # fmt: skip
    database = start_postgres(
        tmp_path / "postgres",
        port=database_port,
        superuser_password=made["postgres"]["password"],
        durable=False,
        log=tmp_path / "postgres.log",
    )
    bus = start_nats(
        tmp_path / "nats",
        port=port,
        monitor_port=monitor_port,
        config=nats + made["nats"]["users.conf"],
        log=tmp_path / "nats.log",
    )
    yield made
    bus.stop()
    database.stop()


def _told(secret: Mapping[str, str], **more: str) -> dict[str, str]:
    """A container's environment: what lies in its file, and nothing of ours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HEADGATE_", "AWS_"))}
    return kept | dict(line.split("=", 1) for line in secret["environment"].splitlines()) | more


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        with suppress(httpx2.HTTPError):
            if httpx2.get(url, timeout=5).is_success:
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


def test_the_admin_step_and_every_service_come_in_by_their_secrets(
    written: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    container = [sys.executable, "-m", "deploy.container"]
    admin = subprocess.run(
        [*container, "admin"], env=_told(written["admin"]), capture_output=True, text=True, timeout=120, check=False
    )
    assert admin.returncode == 0, admin.stderr
    base = free_ports(len(SERVICES))
    logs = {service: tmp_path / f"{service}.log" for service in SERVICES}
    running = {}
    try:
        for service in SERVICES:
            more = {"HEADGATE_SERVICE": service, "HEADGATE_DATA_DIR": str(tmp_path / service)}
            environment = _told(written[service], HEADGATE_HTTP_PORT=str(base), **more)
            with logs[service].open("wb") as log:
                running[service] = subprocess.Popen([*container, "run"], env=environment, stdout=log, stderr=log)
        for service, process in running.items():
            _await_ready(f"http://127.0.0.1:{base + place(service)}/readyz", process, logs[service])
        owner = {"Authorization": f"Bearer {written['owner']['token']}"}
        found = httpx2.get(f"http://127.0.0.1:{base}/api/ops/preflight", headers=owner, timeout=30)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait(60)
    assert found.status_code == 200, found.text
    for name in ("nats_rights", "postgres_rights", "nats_sync"):
        checks = [check for check in found.json()["checks"] if check["id"] == name]
        assert [check for check in checks if check["status"] != "ok"] == []
        assert {check["service"] for check in checks} == set(SERVICES), name
