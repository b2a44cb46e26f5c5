"""The servers of a local stack: embedded ones, or those that administrators' addresses name; and who may use them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http.client
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import nats

from deploy.embedded import free_port, start_nats, start_postgres
from deploy.installation import InstallationError, bus_config, kept_secret, write_private
from deploy.local.options import Options
from deploy.local.process import Child
from libs.common.admin import derived_password, passwords, prepare, service_url
from libs.common.bus import NATS_ERRORS, servers_of
from libs.common.migrations import login_role
from libs.common.readyz import ask
from libs.common.topology import Topology

_PORT_FREE_WITHIN_S = 3.0  # what a killed stack held is given back by the kernel in a moment


class Servers:
    """Starts embedded servers where no address is given, and derives each service's own addresses."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options, self._say = options, say
        self.database_url = options.admin_database_url or ""
        self.nats_url = options.admin_nats_url or ""
        self.monitor_url = options.nats_monitor_url
        self._secret = ""
        self._shared_nats_url: str | None = None

    @property
    def _state_file(self) -> Path:
        return self._options.data_dir / "running.json"

    def starters(self) -> dict[str, Callable[[], Child]]:
        """How to start each embedded server, in order; a restart uses the same ports."""
        self._secret = self._options.secret()
        found: dict[str, Callable[[], Child]] = {}
        if not self.database_url:
            found["postgres"] = self._postgres(free_port())
        if not self.nats_url:
            found["nats"] = self._nats(free_port(), free_port())
        return found

    def _postgres(self, port: int) -> Callable[[], Child]:
        folder = self._options.data_dir

        def begin() -> Child:
            # Not derived from the cluster secret: that one may change, the superuser's password is in the data.
            password = kept_secret(folder / "postgres-password")
            server = start_postgres(
                folder / "postgres",
                port=port,
                superuser_password=password,
                durable=True,
                log=folder / "logs" / "postgres.log",
            )
            self.database_url = server.url
            return server

        return begin

    def _nats(self, port: int, monitor_port: int) -> Callable[[], Child]:
        folder = self._options.data_dir

        def begin() -> Child:
            server = start_nats(
                folder / "nats",
                port=port,
                monitor_port=monitor_port,
                config=bus_config(
                    self._secret,
                    Topology(self._options.namespace),
                    port=port,
                    monitor_port=monitor_port,
                    store_dir=folder / "nats" / "store",
                ),
                log=folder / "logs" / "nats.log",
            )
            self.nats_url = server.url
            self.monitor_url = f"http://127.0.0.1:{monitor_port}"
            return server

        return begin

    def prepare(self) -> list[str]:
        """The admin step: schemas, roles, streams. Returns a line for each thing done. Raises `AdminError`."""
        state = {"admin_database_url": self.database_url, "admin_nats_url": self.nats_url}
        write_private(self._state_file, json.dumps(state))
        if self._options.admin_nats_url and not self._knows_our_users():
            self._shared_nats_url = self._options.nats_url or self._options.admin_nats_url
            self._say(
                "warning: the given NATS server does not know Headgate's users, so all services share one login; put "
                "the users of `python -m deploy.local nats-config` into its configuration"
            )
        database_passwords = passwords(self._secret, "postgres")
        namespace, replicas = self._options.namespace, self._options.nats_replicas
        return asyncio.run(prepare(self.database_url, self.nats_url, namespace, database_passwords, replicas=replicas))

    def _knows_our_users(self) -> bool:
        url = service_url(self.nats_url, "gateway", derived_password(self._secret, "nats", "gateway"))

        async def quiet(_: Exception) -> None:
            """The refusal itself is the answer."""

        async def ask() -> bool:
            try:
                client = await nats.connect(servers_of(url), connect_timeout=5, allow_reconnect=False, error_cb=quiet)
                # A server that asks others about strangers says no so late that the client believes it is in.
                await client.flush(5)
            except NATS_ERRORS:
                return False
            await client.close()
            return True

        return asyncio.run(ask())

    def environment(self, service: str) -> dict[str, str]:
        """The environment of one service, with its own addresses."""
        database_url = service_url(
            self.database_url, login_role(service), derived_password(self._secret, "postgres", service)
        )
        nats_url = self._shared_nats_url or service_url(
            self.nats_url, service, derived_password(self._secret, "nats", service)
        )
        return self._options.service_environment(service, database_url, nats_url, self.monitor_url)

    def forget(self) -> None:
        """The servers are gone."""
        with contextlib.suppress(OSError):
            self._state_file.unlink()

    def places(self) -> list[str]:
        """Where the servers listen, without credentials."""
        return [
            f"{name} {urlsplit(url).netloc.rpartition('@')[2]}"
            for name, url in (("PostgreSQL", self.database_url), ("NATS", self.nats_url))
        ]


def running_servers(data_dir: Path) -> tuple[str, str]:
    """Administrators' addresses (database, bus) of the stack that runs on this folder, or empty strings."""
    try:
        state = json.loads((data_dir / "running.json").read_text())
        return str(state["admin_database_url"]), str(state["admin_nats_url"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def claim(data_dir: Path) -> IO[bytes]:
    """Make the data folder (0700) ours while we live. Raises `InstallationError` if another supervisor has it."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = data_dir / "supervisor.lock"
        handle = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", 0)
    except OSError as error:
        raise InstallationError(
            f"{data_dir} can't be used as the data folder: {error.strerror}. Set HEADGATE_DATA_DIR to another one."
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = handle.read(20).decode(errors="replace").strip() or "unknown"
        handle.close()
        raise InstallationError(
            f"Headgate runs on {data_dir} already (process {owner}). Stop that one first, or set HEADGATE_DATA_DIR to "
            "another folder and HEADGATE_HTTP_PORT to other ports."
        ) from error
    handle.truncate(0)
    handle.write(str(os.getpid()).encode())
    return handle


def close_claim(data_dir: Path, handle: IO[bytes]) -> None:
    """Give the folder free. The lock file stays: removing it could let two others in at once."""
    handle.truncate(0)
    handle.close()


def port_taken(host: str, port: int) -> bool:
    """Whether nobody can listen there, now and for the next 3 s."""
    deadline = time.monotonic() + _PORT_FREE_WITHIN_S
    while True:
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                return False
        except OSError:
            if time.monotonic() > deadline:
                return True
        time.sleep(0.1)


def is_ready(host: str, port: int, *, tls: bool = False) -> bool:
    """Whether /readyz answers 200."""
    try:
        return ask(host, port, tls=tls, timeout_s=5)[0] == 200
    except (OSError, http.client.HTTPException):
        return False
