"""What belongs to one installation and is made once: its secrets, and the bus users and addresses derived from them.

Used by the local supervisor and by the containers' one-shot steps, so that both make the very same thing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from deploy.embedded import NatsUser, nats_config
from libs.common.admin import derived_password
from libs.common.permissions import all_permissions
from libs.common.topology import Topology

ADMIN = "admin"
MIN_SECRET_CHARACTERS = 20


class InstallationError(RuntimeError):
    """A secret can't be made, read or used; the message says what to do."""


def kept_secret(path: Path) -> str:
    """The secret in this file; made of 256 random bits with mode 0600 if there is no such file.

    Raises `InstallationError` if others may read it, or it is empty or too short.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            return _read_secret(path)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: of two that start at once, the second keeps the first one's secret.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
        return _read_secret(path)
    except OSError as error:
        raise InstallationError(
            f"{error.filename or path}: {error.strerror}. Choose another HEADGATE_DATA_DIR."
        ) from error


def _read_secret(path: Path) -> str:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InstallationError(f"{path} can be read by other users; run: chmod 600 {path}")
    return checked_secret(path.read_text().strip(), str(path))


def checked_secret(secret: str, where: str) -> str:
    """The secret itself if it is long enough, else raises `InstallationError` naming where it came from."""
    if len(secret) < MIN_SECRET_CHARACTERS:
        raise InstallationError(
            f"{where} must hold at least {MIN_SECRET_CHARACTERS} characters; "
            "take for example the output of: openssl rand -hex 32"
        )
    return secret


def nats_users(secret: str, topology: Topology) -> list[NatsUser]:
    """The administrator first, then one user for each service with the rights that its contracts need."""
    admin = NatsUser(ADMIN, derived_password(secret, "nats", ADMIN), (">",), (), (">",))
    return [admin] + [
        NatsUser(
            service,
            derived_password(secret, "nats", service),
            publish_allow=allowed.publish,
            publish_deny=allowed.publish_deny,
            subscribe_allow=allowed.subscribe,
            allow_responses=True,
        )
        for service, allowed in all_permissions(topology).items()
    ]


def bus_config(
    secret: str, topology: Topology, *, port: int, monitor_port: int, store_dir: str | Path, host: str = "127.0.0.1"
) -> str:
    """The text of nats-server's configuration for this installation; the store is as large as its streams may grow."""
    reserved_bytes = sum(stream.max_bytes or 0 for stream in topology.streams())
    return nats_config(
        port=port,
        monitor_port=monitor_port,
        store_dir=store_dir,
        server_name=f"headgate-{topology.namespace}",
        users=nats_users(secret, topology),
        durable=True,
        listen_host=host,
        monitor_host=host,
        max_file_store_bytes=reserved_bytes + 1024**3,
    )
