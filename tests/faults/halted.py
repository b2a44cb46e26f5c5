"""Runs the tracker and has it stand still at a moment that a test chose, so that kill -9 hits just that one:
``python -m tests.faults.halted``.

Between the commit and what follows it there is no lock to hold, as there is before the commit.
"""

from __future__ import annotations

import asyncio
import os
import runpy
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from libs.common import loop, outcomes
from libs.common.bus import Bus
from libs.common.outcomes import Ended

PATH = "HEADGATE_HALT_PATH"  # says where to stand still; gone once it does
Moment = Literal["tell", "ack"]  # committed, and nobody told; told, and not acknowledged


def order(path: Path, moment: Moment, message_type: str) -> None:
    """Have the tracker stand still when it has committed a message of this type."""
    path.write_text(f"{moment} {message_type}")


def stands(path: Path) -> bool:
    """Whether the order has still to be followed."""
    return path.exists()


def taken(path: Path, moment: Moment, types: Sequence[str]) -> bool:
    """Whether this is the moment that was ordered; then the order is gone."""
    if not path.exists() or path.read_text() not in {f"{moment} {one}" for one in types}:
        return False
    path.unlink()
    return True


def plant(path: Path) -> None:
    """Put the halts into the loop."""
    right_tell, right_batch = outcomes.tell, loop.Consumer._transaction

    async def here(moment: Moment, types: Sequence[str]) -> None:
        if taken(path, moment, types):
            await asyncio.Event().wait()

    in_hand: ContextVar[Sequence[str]] = ContextVar("in_hand", default=())

    async def tell(bus: Bus, service: str, ended: Sequence[Ended], *more: Any) -> None:
        await here("tell", in_hand.get())
        await right_tell(bus, service, ended, *more)

    async def batch(self: loop.Consumer, messages: list[loop.Message]) -> None:
        in_hand.set([message.event.type for message in messages])
        right_ack = self.puller.ack

        async def ack(*deliveries: Any) -> None:
            await here("ack", in_hand.get())
            await right_ack(*deliveries)

        self.puller.ack = ack  # type: ignore[method-assign]
        try:
            await right_batch(self, messages)
        finally:
            self.puller.ack = right_ack  # type: ignore[method-assign]

    outcomes.tell = tell
    loop.Consumer._transaction = batch  # type: ignore[method-assign]


if __name__ == "__main__":
    plant(Path(os.environ[PATH]))
    runpy.run_module("services.tracker", run_name="__main__")
