"""How a database becomes a file and the other way round: pg_dump's custom format (docs/decisions/0023).

The one module that knows; a server's own tools do both. Passwords travel in the environment, never on a command line.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from deploy.backup.manifest import BackupError
from deploy.embedded.postgres import postgres_bin
from deploy.embedded.server import EmbeddedError, clean_environment

_PIPE_BYTES = 1024 * 1024
_LAST_WORDS_BYTES = 4000


async def dump(url: str, schemas: Sequence[str], snapshot: str, server: int, write: Callable[[bytes], None]) -> None:
    """Hand the schemas as of an exported snapshot to ``write``, in pieces. ``server`` is its major version.

    Raises `BackupError`.
    """
    names = [part for name in schemas for part in ("--schema", name)]
    options = ["--format=custom", "--compress=none", f"--snapshot={snapshot}", "--lock-wait-timeout=30s", *names]
    async with _started(_program("pg_dump", server, url), url, options, reads=False) as process:
        assert process.stdout is not None  # noqa: S101  asked for
        while piece := await process.stdout.read(_PIPE_BYTES):
            write(piece)


async def load(url: str, pieces: Iterator[bytes], server: int, *, owners: bool) -> None:
    """Load what `dump` wrote, in one transaction: all of it or nothing. Raises `BackupError`, also those of ``pieces``.

    ``owners``: tables belong to who owned them, with the rights that they had; else all belong to who loads.
    """
    options = ["--format=custom", "--single-transaction", "--exit-on-error"]
    options += [] if owners else ["--no-owner", "--no-acl"]
    async with _started(_program("pg_restore", server, url), url, options, reads=True) as process:
        assert process.stdin is not None  # noqa: S101  asked for
        try:
            # It is fed to the very end before the archive's last piece is known to be right: an error of the pieces
            # ends the process, and with it the transaction.
            for piece in _held_back(pieces):
                process.stdin.write(piece)
                await process.stdin.drain()
            process.stdin.close()
            await process.stdin.wait_closed()
        except (BrokenPipeError, ConnectionResetError):
            return  # it has ended; `_started` tells why


def _held_back(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same, but the last piece only once all was read: what fails its check at the end is never loaded whole."""
    held = b""
    for piece in pieces:
        if not piece:
            continue
        if held:
            yield held
        held = piece
    yield held


@asynccontextmanager
async def _started(
    program: Path, url: str, options: Sequence[str], *, reads: bool
) -> AsyncIterator[asyncio.subprocess.Process]:
    target, environment = _login(url, reads=reads)
    process = await asyncio.create_subprocess_exec(
        str(program),
        *options,
        *target,
        stdin=asyncio.subprocess.PIPE if reads else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL if reads else asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        limit=4 * _PIPE_BYTES,
    )
    assert process.stderr is not None  # noqa: S101  asked for
    words = asyncio.create_task(_last_words(process.stderr))
    try:
        yield process
        code = await process.wait()
    except BaseException:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise
    finally:
        said = await words
    if code != 0:
        raise BackupError(f"{program.name} failed (exit code {code}): {said.strip() or 'it said nothing'}")


async def _last_words(stream: asyncio.StreamReader) -> str:
    held = b""
    while piece := await stream.read(_PIPE_BYTES):
        held = (held + piece)[-_LAST_WORDS_BYTES:]
    return held.decode(errors="replace")


def _login(url: str, *, reads: bool) -> tuple[list[str], dict[str, str]]:
    """The address without its password as an argument, and the environment that holds the password."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    place = urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host))
    extra = {"PGPASSWORD": unquote(parts.password)} if parts.password else {}
    return ["--dbname", place] if reads else [place], clean_environment(PGCONNECT_TIMEOUT="10", **extra)


def _program(name: str, server: int, url: str) -> Path:
    """Where pg_dump or pg_restore lies: in the wheel, which speaks no TLS, or on PATH. Raises `BackupError`."""
    on_path = shutil.which(name)
    found = [Path(on_path)] if on_path else []
    try:
        in_wheel = postgres_bin() / name
        found.insert(len(found) if _wants_tls(url) else 0, in_wheel)
    except EmbeddedError:
        pass
    if not found or not found[0].exists():
        raise BackupError(f"{name} is not installed: install PostgreSQL's client programs, version {server} or newer.")
    return found[0]


def _wants_tls(url: str) -> bool:
    modes = parse_qs(urlsplit(url).query).get("sslmode", ["prefer"])
    return modes[-1] not in ("disable", "allow", "prefer")


async def check_programs(server: int, url: str) -> str:
    """The version of pg_dump here. Raises `BackupError` if it is older than the server, which it would refuse."""
    program = _program("pg_dump", server, url)
    process = await asyncio.create_subprocess_exec(
        str(program), "--version", stdout=asyncio.subprocess.PIPE, env=clean_environment()
    )
    shown = (await process.communicate())[0].decode(errors="replace").strip()
    match = re.search(r"(\d+)(\.\d+)*", shown)
    if match is None or int(match[1]) < server:
        raise BackupError(f"{program} is {shown or 'unknown'}, the server is PostgreSQL {server}: install newer tools.")
    return match[0]
