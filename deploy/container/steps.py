"""What the one-shot containers do: write each consumer's secrets, and prepare database and bus."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.container.environments import Places, environments
from deploy.installation import (
    InstallationError,
    bus_config,
    checked_secret,
    kept_secret,
    rehearsal_bus,
    rehearsal_user,
    write_private,
)
from libs.common.admin import derived_password, passwords, prepare
from libs.common.topology import Topology

SECRETS = Path("/secrets")
OWN = Path("/run/headgate/environment")
_SETTINGS = ("HEADGATE_", "AWS_")
SINGLE = Path("/run/headgate-settings")  # a file for each secret setting, as Kubernetes mounts a Secret
# Users inside the images: Headgate's own (Dockerfile), and those of the upstream images.
HEADGATE_UID, POSTGRES_UID, GRAFANA_UID, NATS_UID = 10001, 999, 472, 0
DATABASE_PLACE, BUS_PLACE, MONITOR_URL = "postgres:5432/headgate", "nats:4222", "http://nats:8222"
# Ports of its own, so that both buses find room where containers share a network.
REHEARSAL_PORTS = 4223, 8223
REHEARSAL_PLACE = f"nats-rehearsal:{REHEARSAL_PORTS[0]}"
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
    rehearsal = rehearsal_user(derived_password(secret, "nats", "rehearsal"))
    port, monitor_port = REHEARSAL_PORTS
    config = rehearsal_bus(rehearsal, port=port, monitor_port=monitor_port, store_dir="/data", host=EVERYWHERE)
    (root / "rehearsal").mkdir(parents=True, exist_ok=True)
    write_private(root / "rehearsal" / "nats.conf", config)
    _own(root / "rehearsal" / "nats.conf", NATS_UID)
    database_url = f"postgresql://postgres:{superuser}@{DATABASE_PLACE}"
    places = Places(BUS_PLACE, MONITOR_URL, REHEARSAL_PLACE)
    for consumer, values in environments(secret, database_url, places).items():
        _environment(root / consumer, values)


def _environment(folder: Path, values: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_private(folder / "environment", "".join(f"{key}={value}\n" for key, value in values.items()))
    _own(folder / "environment", HEADGATE_UID)


def _own(path: Path, uid: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, uid, uid)


def load_environment(path: Path, single: Path = SINGLE) -> None:
    """Add this container's own addresses to the environment, and settings that lie in files named as they are.

    What stands in the environment counts first, then a file, then `path`. Empty settings, as compose passes them, do
    not count.
    """
    for key in [key for key, value in os.environ.items() if key.startswith(_SETTINGS) and not value]:
        del os.environ[key]
    for file in sorted(single.iterdir()) if single.is_dir() else ():
        if file.name.startswith(_SETTINGS):
            os.environ.setdefault(file.name, file.read_text().strip())
    if path.exists():
        for line in path.read_text().splitlines():
            key, _, value = line.partition("=")
            os.environ.setdefault(key, value)


def run_admin(*, narrow: bool = False) -> None:
    """The admin step, ``narrow`` as in `topology.apply`. Raises `AdminError` or `InstallationError`."""
    wanted = ("HEADGATE_ADMIN_DATABASE_URL", "HEADGATE_ADMIN_NATS_URL", "HEADGATE_CLUSTER_SECRET")
    if missing := [name for name in wanted if name not in os.environ]:
        raise InstallationError(f"{', '.join(missing)} must be set, or stand in {OWN}")
    database_url, nats_url, secret = (os.environ[name] for name in wanted)
    namespace = os.environ.get("HEADGATE_NAMESPACE", "headgate")
    replicas = replicas_of(os.environ.get("HEADGATE_NATS_REPLICAS"))
    given = passwords(secret, "postgres")
    done = asyncio.run(prepare(database_url, nats_url, namespace, given, replicas=replicas, narrow=narrow))
    sys.stdout.write("".join(f"{line}\n" for line in done) or "nothing to do: schemas and streams are up to date\n")


def replicas_of(given: str | None) -> int | None:
    """HEADGATE_NATS_REPLICAS; None if it is not set. Raises `InstallationError` for what is no number from 1 to 5."""
    if not given:
        return None
    if given not in {"1", "2", "3", "4", "5"}:
        raise InstallationError(f"HEADGATE_NATS_REPLICAS must be a number from 1 to 5, not {given[:80]!r}")
    return int(given)
