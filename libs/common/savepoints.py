"""What is only tried within a transaction, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.common.service import Tx


@asynccontextmanager
async def taken_back(tx: Tx) -> AsyncIterator[None]:
    """Whatever is done and staged inside is taken back at its end, however that comes; locks taken inside are freed."""
    staged = len(tx.staged)
    point = tx.connection.transaction()
    await point.start()
    try:
        yield
    finally:
        await point.rollback()
        del tx.staged[staged:]
