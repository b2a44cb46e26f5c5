"""What the one-shot containers do: write each consumer's secrets, and prepare database and bus."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.installation import (
    ADMIN,
    InstallationError,
    bus_config,
    checked_secret,
    gateway_secrets,
    kept_secret,
    write_private,
)
from libs.common.admin import derived_password, passwords, prepare, service_url
from libs.common.contracts import SERVICES
from libs.common.migrations import login_role
from libs.common.topology import Topology

SECRETS = Path("/secrets")
OWN = Path("/run/headgate/environment")
# Users inside the images: Headgate's own (Dockerfile), and those of the upstream images.
HEADGATE_UID, POSTGRES_UID, GRAFANA_UID, NATS_UID = 10001, 999, 472, 0
DATABASE_PLACE, BUS_PLACE, MONITOR_URL = "postgres:5432/headgate", "nats:4222", "http://nats:8222"
EVERYWHERE = "0.0.0.0"  # noqa: S104  inside a container; compose.yml publishes on loopback only


def write_secrets(root: Path, given_secret: str | None, namespace: str) -> None:
    """Write every consumer's file below `root`; passwords that are there already stay. Raises `InstallationError`.

    Ownership is set only when run as root.
    """
    secret = (
        checked_secret(given_secret, "HEADGATE_CLUSTER_SECRET")
        if given_secret
        else kept_secret(root / "admin" / "cluster-secret")
    )
    superuser = kept_secret(root / "postgres" / "password")
    _own(root / "postgres" / "password", POSTGRES_UID)
    kept_secret(root / "grafana" / "password")
    _own(root / "grafana" / "password", GRAFANA_UID)
    config = bus_config(secret, Topology(namespace), port=4222, monitor_port=8222, store_dir="/data", host=EVERYWHERE)
    (root / "nats").mkdir(parents=True, exist_ok=True)
    write_private(root / "nats" / "nats.conf", config)
    _own(root / "nats" / "nats.conf", NATS_UID)
    database_url = f"postgresql://postgres:{superuser}@{DATABASE_PLACE}"
    nats_url = f"nats://{ADMIN}:{derived_password(secret, 'nats', ADMIN)}@{BUS_PLACE}"
    _environment(
        root / "admin",
        {
            "HEADGATE_ADMIN_DATABASE_URL": database_url,
            "HEADGATE_ADMIN_NATS_URL": nats_url,
            "HEADGATE_CLUSTER_SECRET": secret,
        },
    )
    for service in SERVICES:
        _environment(
            root / service,
            {
                "HEADGATE_DATABASE_URL": service_url(
                    database_url, login_role(service), derived_password(secret, "postgres", service)
                ),
                "HEADGATE_NATS_URL": service_url(nats_url, service, derived_password(secret, "nats", service)),
                "HEADGATE_NATS_MONITOR_URL": MONITOR_URL,
                **_own_secrets(secret, service),
            },
        )


def _own_secrets(secret: str, service: str) -> dict[str, str]:
    """What one service alone can sign or make, or what two alone can open."""
    vault = {"HEADGATE_VAULT_SECRET": derived_password(secret, "vault", "headgate")}
    if service == "governance":
        return {"HEADGATE_CAPSULE_SECRET": derived_password(secret, "capsule", service)}
    if service == "audit":
        return {"HEADGATE_AUDIT_SECRET": derived_password(secret, "audit log", service)}
    if service == "gateway":
        return {**gateway_secrets(secret), **vault}
    return vault if service == "notifier" else {}


def _environment(folder: Path, values: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_private(folder / "environment", "".join(f"{key}={value}\n" for key, value in values.items()))
    _own(folder / "environment", HEADGATE_UID)


def _own(path: Path, uid: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, uid, uid)


def load_environment(path: Path) -> None:
    """Add this container's own addresses to the environment. Empty settings, as compose passes them, do not count."""
    for key in [key for key, value in os.environ.items() if key.startswith("HEADGATE_") and not value]:
        del os.environ[key]
    if path.exists():
        for line in path.read_text().splitlines():
            key, _, value = line.partition("=")
            os.environ.setdefault(key, value)


def run_admin() -> None:
    """The admin step. Raises `AdminError` or `InstallationError`."""
    wanted = ("HEADGATE_ADMIN_DATABASE_URL", "HEADGATE_ADMIN_NATS_URL", "HEADGATE_CLUSTER_SECRET")
    if missing := [name for name in wanted if name not in os.environ]:
        raise InstallationError(f"{', '.join(missing)} must be set, or stand in {OWN}")
    database_url, nats_url, secret = (os.environ[name] for name in wanted)
    namespace = os.environ.get("HEADGATE_NAMESPACE", "headgate")
    done = asyncio.run(prepare(database_url, nats_url, namespace, passwords(secret, "postgres")))
    sys.stdout.write("".join(f"{line}\n" for line in done) or "nothing to do: schemas and streams are up to date\n")
