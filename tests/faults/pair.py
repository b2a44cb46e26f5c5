"""Two PostgreSQL servers that Patroni keeps as a pair, and one etcd. The primary is killed, or given over, under load.

Neither Patroni nor etcd is a part of Headgate: they stand for whatever keeps a database available (CloudNativePG uses
the same means). `ETCD` and `PATRONI` name the programs; without them the scenario can't be done.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import psutil

from deploy.embedded import Server, free_port
from deploy.embedded.postgres import namespace_prefix, postgres_bin
from deploy.embedded.server import is_dead, launch, lock_data

NODES = ("pg-1", "pg-2")
TTL_S = 30  # Patroni's own: so long a dead primary's lock is held
WHOLE_WITHIN_S = 300.0  # on a busy machine a copy is long in the making


class NoPatroni(RuntimeError):
    """This machine has no Patroni or no etcd; the message says what is missing."""


def program(name: str) -> str:
    """A program's path, as its variable (``PATRONI``, ``ETCD``) or the shell finds it. Raises `NoPatroni`."""
    found = shutil.which(os.environ.get(name.upper(), name))
    if found is None:
        raise NoPatroni(f"there is no {name} here: install it, and say where it is in {name.upper()}")
    return found


class Pair:
    """The two servers. Use as an async context manager; `url` names both, and leads to whichever takes writes."""

    def __init__(self, folder: Path, password: str) -> None:
        self.folder, self.password = folder, password
        self.ports = {name: (free_port(), free_port()) for name in NODES}
        self.etcd_port, self.etcd_peers = free_port(), free_port()
        self.servers: dict[str, Server] = {}
        self._programs = {name: program(name) for name in ("etcd", "patroni")}
        hosts = ",".join(f"127.0.0.1:{database}" for database, _ in self.ports.values())
        # Not the database `postgres`: there Headgate's admin step would shut Patroni's own users out.
        self.admin_url = f"postgresql://postgres:{password}@{hosts}/postgres?target_session_attrs=read-write"
        self.url = self.admin_url.replace("/postgres?", "/headgate?")

    def config(self, name: str) -> dict[str, Any]:
        """A node's configuration. YAML reads JSON."""
        database, api = self.ports[name]
        logins = {user: {"username": user, "password": self.password} for user in ("replicator", "rewinder")}
        everybody = ["host replication all 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 scram-sha-256"]
        return {
            "scope": "headgate",
            "name": name,
            "restapi": {"listen": f"127.0.0.1:{api}", "connect_address": f"127.0.0.1:{api}"},
            "etcd3": {"hosts": f"127.0.0.1:{self.etcd_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_S,
                    "loop_wait": 5,
                    "retry_timeout": 10,
                    "primary_start_timeout": 0,  # a primary that died is not started again but replaced
                    # An acknowledged commit is on both; while one is down, the other goes on alone.
                    "synchronous_mode": True,
                    "postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 200}},
                },
                "initdb": [{"encoding": "UTF8"}, "data-checksums", {"locale": "C"}],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{database}",
                "connect_address": f"127.0.0.1:{database}",
                "data_dir": str(self.folder / name / "data"),
                "bin_dir": str(postgres_bin()),
                "pgpass": str(self.folder / name / "pgpass"),
                "pg_hba": everybody,
                "authentication": {
                    "superuser": {"username": "postgres", "password": self.password},
                    "replication": logins["replicator"],
                    "rewind": logins["rewinder"],
                },
                "parameters": {"unix_socket_directories": "", "timezone": "UTC", "log_timezone": "UTC"},
            },
        }

    def _launch(self, name: str, command: list[str]) -> None:
        log = self.folder / f"{name}.log"
        lock = lock_data(self.folder / f"{name}.lock")
        process = launch(command, log=log, lock=lock, death_signal=signal.SIGTERM)
        self.servers[name] = Server(name, "", process, log, (signal.SIGTERM,))

    async def start(self, name: str) -> None:
        """Start a node, or start it again: it joins as what Patroni makes of it."""
        folder = self.folder / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "patroni.yml").write_text(json.dumps(self.config(name)))
        command = [*namespace_prefix(), self._programs["patroni"], str(folder / "patroni.yml")]
        self._launch(name, command)

    async def members(self) -> dict[str, str]:
        """Each node's role as Patroni tells it ("leader", "sync_standby", "replica"), of those that run."""
        async with httpx2.AsyncClient(timeout=2, trust_env=False) as client:
            for _, api in self.ports.values():
                with contextlib.suppress(httpx2.HTTPError, KeyError, ValueError):
                    found = (await client.get(f"http://127.0.0.1:{api}/cluster")).json()
                    return {
                        one["name"]: one["role"] for one in found["members"] if one["state"] in ("running", "streaming")
                    }
        return {}

    async def until(self, seen: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """The members, once they are as wanted."""
        end = time.monotonic() + WHOLE_WITHIN_S
        while not seen(found := await self.members()):
            said = "\n".join(self.tail(name) for name in ("etcd", *NODES))
            assert time.monotonic() < end, f"the pair is {found} after {WHOLE_WITHIN_S:g} s\n{said}"
            assert self.servers["etcd"].alive, said
            await asyncio.sleep(0.2)
        return found

    async def whole(self) -> str:
        """The primary, once the other one has all that it acknowledges."""
        found = await self.until(lambda seen: sorted(seen.values()) == ["leader", "sync_standby"])
        return next(name for name, role in found.items() if role == "leader")

    def tail(self, name: str) -> str:
        """The end of a log."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]

    async def kill(self, name: str) -> None:
        """End a whole node as a power cut would: Patroni first, which else would clean up, then each process of it."""
        await asyncio.to_thread(self.servers[name].process.kill)
        await asyncio.to_thread(self.servers[name].process.wait, 10)
        await asyncio.to_thread(self._end_postgres, name)

    def _end_postgres(self, name: str) -> None:
        """Postgres is no child of Patroni (it would die with it), so its own file says which process it is."""
        with contextlib.suppress(OSError, IndexError, ValueError, psutil.NoSuchProcess):
            number = int((self.folder / name / "data" / "postmaster.pid").read_text().split()[0])
            postmaster = psutil.Process(number)
            if str(self.folder) not in " ".join(postmaster.cmdline()):
                return
            family = [postmaster, *postmaster.children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            until = time.monotonic() + 10
            while time.monotonic() < until and not all(is_dead(process) for process in family):
                time.sleep(0.02)

    async def give_over(self, primary: str) -> None:
        """A planned change of the primary."""
        other = next(name for name in NODES if name != primary)
        url = f"http://127.0.0.1:{self.ports[primary][1]}/switchover"
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
            answer = await client.post(url, json={"leader": primary, "candidate": other})
        assert answer.status_code == 200, answer.text

    async def __aenter__(self) -> Pair:
        self.folder.mkdir(mode=0o700, parents=True)
        mine, peers = (f"http://127.0.0.1:{port}" for port in (self.etcd_port, self.etcd_peers))
        command = [self._programs["etcd"], "--name", "one", "--data-dir", str(self.folder / "etcd")]
        for option, value in (
            ("listen-client-urls", mine),
            ("advertise-client-urls", mine),
            ("listen-peer-urls", peers),
            ("initial-advertise-peer-urls", peers),
            ("initial-cluster", f"one={peers}"),
        ):
            command += [f"--{option}", value]
        try:
            self._launch("etcd", command)
            for name in NODES:
                await self.start(name)
            await self.whole()
            connection = await asyncpg.connect(self.admin_url)
            await connection.execute("CREATE DATABASE headgate")
            await connection.close()
        except BaseException as error:
            for name in ("etcd", *NODES):
                with contextlib.suppress(OSError):
                    error.add_note(f"{name}: {self.tail(name)}")
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in reversed(list(self.servers)):
            await asyncio.to_thread(self.servers[name].stop)
        for name in NODES:
            await asyncio.to_thread(self._end_postgres, name)
