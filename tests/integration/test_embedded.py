"""The embedded servers: private folders, root, restarts, kill -9, and foreigners on the same port."""

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import nats
import psutil
import pytest
from nats.errors import Error as NatsError
from nats.js.api import StorageType

from deploy.embedded import EmbeddedError, Server, free_port, start_nats, start_postgres
from deploy.embedded.server import lock_data
from deploy.installation import NatsUser, nats_config

pytestmark = [pytest.mark.integration, pytest.mark.whole]
PASSWORD = "a-password-for-tests-only"
ADMIN = NatsUser("admin", PASSWORD, publish_allow=(">",), subscribe_allow=(">",))


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder that only its owner may enter, below another such folder."""
    folder = tmp_path / "closed" / "run"
    folder.mkdir(parents=True)
    for path in (folder, folder.parent):
        path.chmod(0o700)
    return folder


@pytest.fixture
def started() -> Iterator[list[Server]]:
    """Servers that a test starts; what still lives at its end is stopped."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.stop()


def _postgres(folder: Path, port: int, *, durable: bool = True, password: str = PASSWORD) -> Server:
    log = folder / "postgres.log"
    return start_postgres(folder / "pg", port=port, superuser_password=password, durable=durable, log=log)


def _nats(folder: Path, port: int, monitor_port: int, *users: NatsUser, name: str = "headgate-test") -> Server:
    config = nats_config(
        port=port,
        monitor_port=monitor_port,
        store_dir=folder / "nats" / "store",
        server_name=name,
        users=list(users or (ADMIN,)),
        durable=True,
    )
    return start_nats(folder / "nats", port=port, monitor_port=monitor_port, config=config, log=folder / "nats.log")


def _varz(monitor_port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{monitor_port}/varz") as answer:
        shown: dict[str, Any] = json.load(answer)
    return shown


async def _count(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM kept"))
    finally:
        await connection.close()


async def test_postgres_keeps_data_over_a_restart_and_over_kill_9(private: Path, started: list[Server]) -> None:
    port = free_port()
    server = _postgres(private, port)
    started.append(server)
    connection = await asyncpg.connect(server.url)
    await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
    durability = [await connection.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit")]
    durability.append(await connection.fetchval("SHOW full_page_writes"))
    assert durability == ["on", "on", "on"]
    assert await connection.fetchval("SHOW unix_socket_directories") == ""
    assert await connection.fetchval("SHOW server_version_num") >= "180000"
    await connection.close()
    server.stop()
    assert not server.alive
    assert server.process.returncode == 0

    server = _postgres(private, port)
    started.append(server)
    connection = await asyncpg.connect(server.url)
    await connection.execute("INSERT INTO kept VALUES (2)")
    children = psutil.Process(server.pid).children(recursive=True)
    server.kill()
    assert children
    assert not [c.pid for c in children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]
    assert server.process.returncode == -signal.SIGKILL
    connection.terminate()

    server = _postgres(private, port)
    started.append(server)
    assert await _count(server.url) == 2
    assert [stat.S_IMODE(p.stat().st_mode) for p in (private, private.parent)] == [0o700, 0o700]


async def test_postgres_restarts_when_only_its_first_process_was_killed(private: Path, started: list[Server]) -> None:
    server = _postgres(private, free_port())
    started.append(server)
    connection = await asyncpg.connect(server.url)
    await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
    server.process.kill()
    server.wait(10)
    connection.terminate()
    # The orphans still hold the lock for a moment: the start has to wait for them by itself.
    again = _postgres(private, free_port())
    started.append(again)
    assert await _count(again.url) == 1


def test_postgres_never_has_uid_0_inside(postgres_server: Server) -> None:
    inside, outside, _ = Path(f"/proc/{postgres_server.pid}/uid_map").read_text().split("\n")[0].split()
    assert int(outside) == 0
    assert (int(inside) != 0) == (os.geteuid() == 0)


def test_wrong_password_is_said_and_nothing_is_left_running(private: Path) -> None:
    port = free_port()
    _postgres(private, port, durable=False).stop()
    with pytest.raises(EmbeddedError, match="the password does not fit the data"):
        _postgres(private, port, durable=False, password="another-password")
    _postgres(private, port, durable=False).stop()


def test_postgres_clears_a_pid_file_that_names_a_foreign_process(private: Path) -> None:
    port = free_port()
    server = _postgres(private, port, durable=False)
    pid_file = private / "pg" / "postmaster.pid"
    text = pid_file.read_text()
    server.kill()
    pid_file.write_text(text.replace(str(server.pid), str(os.getppid()), 1))
    _postgres(private, port, durable=False).stop()


def test_a_folder_in_use_is_refused(private: Path, started: list[Server]) -> None:
    server = _postgres(private, free_port(), durable=False)
    started.append(server)
    with pytest.raises(EmbeddedError, match=f"in use by another server \\(process {server.pid}\\)"):
        lock_data(private / "pg.lock", timeout_seconds=0.2)


def test_data_of_another_kind_or_version_is_refused(private: Path) -> None:
    (private / "pg").mkdir()
    (private / "pg" / "letters.txt").write_text("mine")
    with pytest.raises(EmbeddedError, match="not a PostgreSQL database"):
        _postgres(private, free_port())
    (private / "pg" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedError, match="is from PostgreSQL 12"):
        _postgres(private, free_port())


def test_postgres_does_not_trust_a_foreign_server_on_its_port(private: Path, postgres_server: Server) -> None:
    port = int(postgres_server.url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(EmbeddedError, match=f"port {port} on 127.0.0.1 is taken"):
        _postgres(private, port, durable=False)


async def test_nats_is_durable_and_keeps_messages_over_kill_9(private: Path, started: list[Server]) -> None:
    port, monitor_port = free_port(), free_port()
    server = _nats(private, port, monitor_port)
    started.append(server)
    varz = _varz(monitor_port)
    assert varz["jetstream"]["config"]["sync_always"] is True
    assert varz["feature_flags"]["js_ack_fc_v2"] is True
    assert varz["max_payload"] == 8 * 1024 * 1024
    assert stat.S_IMODE((private / "nats" / "nats.conf").stat().st_mode) == 0o600
    client = await nats.connect(server.url, allow_reconnect=False)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept.>"], storage=StorageType.FILE)
    await client.jetstream().publish("kept.a", b"1")
    server.kill()
    await client.close()

    server = _nats(private, port, monitor_port)
    started.append(server)
    client = await nats.connect(server.url)
    assert (await client.jetstream().stream_info("KEPT")).state.messages == 1
    subscription = await client.jetstream().pull_subscribe("kept.>", durable="reader")
    message = (await subscription.fetch(1))[0]
    assert message.reply.startswith("$JS.ACK._.")  # the new form: domain and account come first
    await message.ack_sync()
    await client.close()


async def test_nats_users_may_do_only_what_is_listed(private: Path, started: list[Server]) -> None:
    writer = NatsUser("writer", PASSWORD, publish_allow=("in.>",), publish_deny=("in.secret",))
    reader = NatsUser("reader", PASSWORD, subscribe_allow=("in.*", "_INBOX.>"), allow_responses=True)
    server = _nats(private, free_port(), free_port(), ADMIN, writer, reader)
    started.append(server)
    errors: list[str] = []

    async def note(error: Exception) -> None:
        errors.append(str(error))

    host = server.url.rpartition("@")[2]
    writing = await nats.connect(f"nats://writer:{PASSWORD}@{host}", error_cb=note, allow_reconnect=False)
    reading = await nats.connect(f"nats://reader:{PASSWORD}@{host}", error_cb=note, allow_reconnect=False)
    received = await reading.subscribe("in.*")
    await reading.flush()
    for subject in ("in.a", "in.secret", "out.a"):
        await writing.publish(subject, b"x")
    await writing.subscribe("in.a")
    await reading.publish("in.b", b"x")
    await writing.flush()
    await reading.flush()
    assert (await received.next_msg(timeout=30)).subject == "in.a"
    assert received.pending_msgs == 0
    assert len(errors) == 4
    assert all("permissions violation" in error.lower() for error in errors)
    await writing.close()
    await reading.close()
    with pytest.raises(NatsError, match="Authorization Violation"):
        await nats.connect(f"nats://{host}", allow_reconnect=False, max_reconnect_attempts=1, error_cb=note)


def test_nats_does_not_trust_a_foreign_server_on_its_ports(private: Path, started: list[Server]) -> None:
    port, monitor_port = free_port(), free_port()
    started.append(_nats(private, port, monitor_port))
    for own_port, own_monitor_port in ((port, free_port()), (free_port(), monitor_port)):
        with pytest.raises(EmbeddedError, match="is taken by another program"):
            _nats(private / "second", own_port, own_monitor_port)


def test_nats_refuses_a_configuration_with_its_reason(private: Path) -> None:
    with pytest.raises(EmbeddedError, match="unknown field"):
        start_nats(private, port=free_port(), monitor_port=free_port(), config="bogus: 1\n", log=private / "log")


@pytest.mark.parametrize(
    "user",
    [
        NatsUser('a" b', PASSWORD),
        NatsUser("a", "short"),
        NatsUser("a", PASSWORD + '"}'),
        NatsUser("a", PASSWORD, publish_allow=('x" >',)),
    ],
)
def test_nats_config_refuses_what_would_need_quoting(user: NatsUser, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must match"):
        nats_config(port=1, monitor_port=2, store_dir=tmp_path, server_name="n", users=[user], durable=True)


_SUPERVISOR = """
import sys
from pathlib import Path
from typing import Any
from tests.integration.test_embedded import _nats, _postgres
folder, port, nats_port, monitor_port = Path(sys.argv[1]), *map(int, sys.argv[2:])
print(_postgres(folder, port).pid, _nats(folder, nats_port, monitor_port).pid, flush=True)
sys.stdin.read()
"""


def test_servers_end_with_a_killed_supervisor(private: Path) -> None:
    ports = [str(free_port()) for _ in range(3)]
    supervisor = subprocess.Popen(
        [sys.executable, "-c", _SUPERVISOR, str(private), *ports],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    servers = [psutil.Process(int(pid)) for pid in supervisor.stdout.readline().split()]
    assert len(servers) == 2
    supervisor.kill()
    supervisor.wait(10)
    supervisor.stdin.close()
    supervisor.stdout.close()
    # Both locks are free only when every process that used the data is gone.
    lock_data(private / "pg.lock").close()
    lock_data(private / "nats" / "nats.lock").close()
    assert "database system is shut down" in (private / "postgres.log").read_text()
