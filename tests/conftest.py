"""Real servers for every test that needs them: one PostgreSQL and one NATS per run, in folders of that run only."""

import asyncio
import secrets
import sys
import traceback
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import structlog
from hypothesis import settings

from deploy.embedded import Server, free_port, start_nats, start_postgres
from deploy.installation import NatsUser, callout, nats_config
from deploy.local import LocalStack
from libs.common import running
from tests.local_traffic import started
from tests.memory import data_folder
from tests.stack import BUS_SECRET, Stack, drop_database, make_stack, make_template
from tests.workers import pytest_collection_modifyitems, pytest_xdist_make_scheduler

__all__ = ["pytest_collection_modifyitems", "pytest_xdist_make_scheduler"]

# An example that takes long on a busy machine is not a wrong one; how fast things are is measured in bench/.
settings.register_profile("headgate", deadline=None)
settings.load_profile("headgate")

# As the services do it. The default draws each frame's variables, for up to 2 s in which nothing else runs.
structlog.configure(
    # What a command of the tool prints is judged, also while services log in the same process.
    logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.set_exc_info,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
)


@pytest.fixture(autouse=True)
def deaths(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What tasks of services died of in a test; it fails by that. In earnest the process ends: here all tests would."""
    found: list[str] = []

    def note(task: str, error: BaseException) -> None:
        found.append(f"{task}: {''.join(traceback.format_exception(error))}")

    monkeypatch.setattr(running, "give_up", note)
    yield found
    assert found == [], "\n".join(["a task of a service died", *found])


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """PostgreSQL without fsync; `url` is the superuser's. Tests make databases or schemas of their own in it."""
    folder = tmp_path_factory.mktemp("postgres")
    with data_folder(folder) as data:
        server = start_postgres(
            data / "data",
            port=free_port(),
            superuser_password=secrets.token_urlsafe(24),
            durable=False,
            log=folder / "postgres.log",
        )
        yield server
        server.stop()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """NATS with JetStream and one user, `admin`, who may do everything. Tests make streams of their own in it."""
    folder = tmp_path_factory.mktemp("nats")
    port, monitor_port = free_port(), free_port()
    admin = NatsUser("admin", secrets.token_urlsafe(24), publish_allow=(">",), subscribe_allow=(">",))
    with data_folder(folder) as data:
        config = nats_config(
            port=port,
            monitor_port=monitor_port,
            store_dir=data / "store",
            server_name=f"headgate-test-{secrets.token_hex(4)}",
            users=[admin],
            durable=False,
            max_file_store_bytes=1 << 50,  # each test's streams reserve their limits
            callout=callout(BUS_SECRET),
        )
        server = start_nats(folder, port=port, monitor_port=monitor_port, config=config, log=folder / "nats.log")
        yield server
        server.stop()


@pytest.fixture(scope="session")
def admin_database_url(postgres_server: Server) -> str:
    """URL of the superuser on the run's PostgreSQL, database `postgres`."""
    return postgres_server.url


@pytest.fixture(scope="session")
def admin_nats_url(nats_server: Server) -> str:
    """URL of the user `admin` on the run's NATS."""
    return nats_server.url


@pytest.fixture(scope="session")
def database_template(admin_database_url: str) -> str:
    """A migrated database that tests copy."""
    return asyncio.run(make_template(admin_database_url))


@pytest_asyncio.fixture
async def stack(admin_database_url: str, admin_nats_url: str, database_template: str) -> AsyncIterator[Stack]:
    """A fresh database and namespace on the run's servers; see tests/stack.py."""
    made = await make_stack(admin_database_url, database_template, admin_nats_url)
    try:
        yield made
    finally:
        await made.close()
        await drop_database(admin_database_url, made.database_url)


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """All of Headgate as `make up` runs it: all processes, generated users and passwords. Ready. Don't kill parts."""
    # The sweeps ask more in a minute than a person may.
    generous = {"HEADGATE_REQUESTS_PER_MINUTE": "1000000", "HEADGATE_ANONYMOUS_REQUESTS_PER_MINUTE": "1000000"}
    made = LocalStack(tmp_path_factory.mktemp("local") / "data", env=generous)
    with started(made):
        yield made
