"""Where a rehearsal restores to: a database and a bus that are there for nothing else, and are gone afterwards.

What was backed up is loaded by a login of its own, ``headgate_rehearsal``, that owns this database and can't even
connect to the installation's. A stream can be restored only under its own name, so its copy needs a server of its own:
a private one that lives as long as we do, or the one that HEADGATE_REHEARSAL_NATS_URL names.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from nats.aio.client import Client

from deploy.backup import content, streams
from deploy.backup.manifest import BackupError, Busy, Manifest
from deploy.embedded import EmbeddedError, free_port, start_nats
from deploy.installation import rehearsal_bus, rehearsal_user
from libs.common.admin import service_url

LOGIN = "headgate_rehearsal"
FOLDER = ".scratch-"
_LOCK = 0x52454845  # "REHE": one rehearsal at a time of an installation

MAKE_LOGIN = f"""
DO $$ BEGIN
    CREATE ROLE {LOGIN} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 8;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
TRY_LOCK = f"SELECT pg_try_advisory_lock({_LOCK})"
SELECT_LEFT = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)"


@asynccontextmanager
async def database(admin_url: str, wait_s: float = 0.0) -> AsyncIterator[str]:
    """The address of a fresh database, as its own login; what a rehearsal that was killed has left is dropped first.

    Raises `BackupError` if another rehearsal of this installation still runs after ``wait_s``.
    """
    admin = await content.connect(admin_url)
    name = f"{prefix(admin_url)}{secrets.token_hex(4)}"
    try:
        deadline = time.monotonic() + wait_s
        while not await admin.fetchval(TRY_LOCK):
            if time.monotonic() >= deadline:
                raise Busy("Another rehearsal of this installation runs; wait for it to end.")
            await asyncio.sleep(0.2)
        for row in await admin.fetch(SELECT_LEFT, prefix(admin_url)):
            await admin.execute(f'DROP DATABASE IF EXISTS "{row["datname"]}" WITH (FORCE)')
        password = await _make_login(admin)
        try:
            await admin.execute(f"CREATE DATABASE {name} OWNER {LOGIN} TEMPLATE template0")
            await admin.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
            yield urlunsplit(urlsplit(service_url(admin_url, LOGIN, password))._replace(path=f"/{name}"))
        finally:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await admin.close()


def prefix(admin_url: str) -> str:
    """How the names of an installation's scratch databases begin: there may be others on the same server."""
    return f"headgate_scratch_{sha256(urlsplit(admin_url).path.encode()).hexdigest()[:8]}_"


async def _make_login(admin: asyncpg.Connection) -> str:
    """Make the login, with a password that only this rehearsal knows; returns it."""
    password = secrets.token_urlsafe(24)
    await admin.execute(MAKE_LOGIN)
    await admin.execute(f"ALTER ROLE {LOGIN} PASSWORD '{password}'")
    await admin.execute(f"GRANT {LOGIN} TO CURRENT_USER")  # a managed server's administrator must be a member
    return password


@asynccontextmanager
async def bus(root: Path, manifest: Manifest, given: str | None, own: str) -> AsyncIterator[Client]:
    """A bus without a single one of the manifest's streams. ``own`` is the installation's, on which nothing is touched.

    Raises `BackupError` where there is none to be had, and if the given one is the installation's own.
    """
    if given is None:
        with _private(root) as url:
            client = await streams.connect(url)
            try:
                yield client
            finally:
                await client.close()
        return
    client = await streams.connect(given)
    try:
        await _refuse_own(client, own, list(manifest.streams))
        await _clear(client, manifest)
        try:
            yield client
        finally:
            await _clear(client, manifest)
    finally:
        await client.close()


async def _clear(client: Client, manifest: Manifest) -> None:
    for name in manifest.streams:
        await streams.delete(client, name)


async def _refuse_own(client: Client, own: str, names: list[str]) -> None:
    """A stream that was made there at the very moment when ours was made is ours: addresses alone don't tell."""
    mine = await streams.connect(own)
    try:
        for name in names:
            made = await streams.made_at(client, name)
            if made is not None and made == await streams.made_at(mine, name):
                raise BackupError(
                    "HEADGATE_REHEARSAL_NATS_URL names the installation's own bus, where a rehearsal would delete all "
                    "streams: name a server that is there for rehearsals only."
                )
    finally:
        await mine.close()


@contextmanager
def _private(root: Path) -> Iterator[str]:
    """A nats-server for us alone, in a folder beside the backups, which has room for what they hold."""
    with _folder(root) as folder:
        port, monitor_port = free_port(), free_port()
        user = rehearsal_user(secrets.token_urlsafe(24))
        config = rehearsal_bus(user, port=port, monitor_port=monitor_port, store_dir=folder / "store")
        try:
            server = start_nats(folder, port=port, monitor_port=monitor_port, config=config, log=folder / "nats.log")
        except EmbeddedError as error:
            raise BackupError(f"There is no bus to rehearse on ({error}): set HEADGATE_REHEARSAL_NATS_URL.") from error
        try:
            yield server.url
        finally:
            server.kill()


@contextmanager
def _folder(root: Path) -> Iterator[Path]:
    """A folder that is locked while we live; those of the dead are removed."""
    for left in root.glob(f"{FOLDER}*"):
        handle = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue  # another installation's, which is at it
        finally:
            os.close(handle)
    made = root / f"{FOLDER}{secrets.token_hex(4)}"
    made.mkdir(mode=0o700, parents=True)
    handle = os.open(made, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield made
    finally:
        os.close(handle)
        shutil.rmtree(made, ignore_errors=True)
