"""What counts as "the server is away": nothing is wrong with the message, so nothing counts against it."""

import asyncpg
import pytest

from libs.common.postgres import UNREACHABLE


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.CrashShutdownError(),
        asyncpg.AdminShutdownError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.DiskFullError(),
        asyncpg.TooManyConnectionsError(),
        # Found by the fault lab: after a kill -9 of Postgres it ended the outbox relay, and with it the process.
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_server_that_is_away_is_not_the_message_s_fault(error: Exception) -> None:
    assert isinstance(error, UNREACHABLE)


@pytest.mark.parametrize("error", [asyncpg.UniqueViolationError(), asyncpg.UndefinedTableError(), ValueError()])
def test_other_errors_count(error: Exception) -> None:
    assert not isinstance(error, UNREACHABLE)
