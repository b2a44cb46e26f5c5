"""A log that the bench fills in bulk is one that the service goes on with, and that its verification believes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import asyncpg
import pytest

from bench import log_fill
from bench.lab import BenchError, Space
from bench.log_checks import check_rows, root_of
from libs.tlog.tiles import Growth
from services.audit import tree
from services.audit.domain.chain import GENESIS, Link
from services.audit.service import make_service
from services.audit.verifications.pieces import Piece, verify_piece
from tests.integration.audit_desk import record
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Stack

pytestmark = pytest.mark.integration
SIZE = 1_300  # some tiles, and a part of one
SELECT_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'audit' ORDER BY indexname"


def _space(stack: Stack) -> Space:
    """All that a fill asks of a space."""
    return cast(Space, SimpleNamespace(topology=stack.topology))


async def _verified(connection: asyncpg.Connection, size: int) -> Piece:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await verify_piece(connection, Piece(Link(0, GENESIS), Growth()), size, [], lambda: False)


async def test_a_filled_log_is_verified_and_grown(stack: Stack) -> None:
    connection = await stack.superuser()
    await connection.execute("SET search_path = audit")
    before = [tuple(row) for row in await connection.fetch(SELECT_INDEXES)]
    for size in (300, SIZE):  # the second goes on behind the first
        await log_fill.write(_space(stack), connection, size)
    assert [tuple(row) for row in await connection.fetch(SELECT_INDEXES)] == before
    await stack.start(make_service(SIGNER))
    await record(stack, 3)
    size = SIZE + 3
    found = await _verified(connection, size)
    assert (found.fault, found.end.seq) == (None, size)
    await check_rows(connection, size, 10)
    for part in (0, 1, 256, SIZE, size):
        assert await root_of(connection, part) == await tree.root_at(connection, part)
    await connection.close()


async def test_a_fill_that_was_ended_goes_on(stack: Stack) -> None:
    connection = await stack.superuser()
    await connection.execute("SET search_path = audit")
    before = [tuple(row) for row in await connection.fetch(SELECT_INDEXES)]
    await connection.execute(log_fill.DROPPED)
    await log_fill._drop(connection, await log_fill._definitions(connection))
    assert len(await connection.fetch(SELECT_INDEXES)) < len(before)
    await log_fill.write(_space(stack), connection, 300)
    assert [tuple(row) for row in await connection.fetch(SELECT_INDEXES)] == before
    assert (await _verified(connection, 300)).end.seq == 300
    await connection.close()


async def test_a_row_that_was_altered_is_found(stack: Stack) -> None:
    connection = await stack.superuser()
    await connection.execute("SET search_path = audit")
    await log_fill.write(_space(stack), connection, 40)
    await connection.execute("UPDATE entry SET actor = 'eve' WHERE seq = 17")
    with pytest.raises(BenchError, match="entry 17 was changed: the column actor"):
        await check_rows(connection, 40, 10)
    await connection.close()
