"""A site with people, chains and items, over which the autopilot watches."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson
import pytest

from libs.common.cloudevents import CloudEvent, decode
from libs.common.contracts.base import Nothing
from libs.common.contracts.tracker import autopilot as contract
from libs.common.contracts.tracker.autopilot import Force, PreviewBody, RunBody
from libs.common.contracts.tracker.autopilot_policy import (
    PolicyBody,
    set_policy,
)
from libs.common.contracts.tracker.autopilot_reports import (
    SummaryWindow,
)
from libs.common.contracts.tracker.chains import CHAINS, Chain, Chains, Level, Target
from libs.common.contracts.versions import Publication
from libs.common.ids import uuid7
from libs.common.problems import Conflict
from libs.common.service import Tx
from services.tracker.autopilot import evaluation, flight, reports
from tests.integration.tracker_crew import NEVER_ASKED, Office

# Of an item of the plan the assignee is told; of others the boss.
CHAIN = Chain(name="test", calendar="always", levels=(Level(targets=(Target(item="assignee"), Target(user="boss"))),))


class Cockpit(Office):
    """A site with people, chains, and items that are due."""

    async def configure(self, **settings: Any) -> Any:
        return await self.ordered(set_policy, PolicyBody(**settings))

    async def preview(self, **given: Any) -> Any:
        return await self.ordered(contract.preview, PreviewBody(**given))

    async def run(self, **given: Any) -> Any:
        return await self.ordered(contract.run_autopilot, RunBody(**given))

    async def refused(self, **given: Any) -> Any:
        """The problem that a run ends with; what it did is taken back, as the loop does."""
        with pytest.raises(Conflict) as caught:
            await self.order(contract.run_autopilot, RunBody(**given))
        return caught.value

    async def guard(self, *, force: bool = False) -> Any:
        return await evaluation.get_guard(self.read(), Force(force=force))

    async def clock(self) -> Any:
        """A run by the clock; its record."""
        message = CloudEvent(str(uuid7()), "/headgate/tracker", "job", site=self.site, actor="service:tracker")
        async with self.pool.acquire() as connection, connection.transaction():
            tx = Tx("tracker", connection, message, self.now)
            await flight.run_by_clock(tx)
        self.told += [decode(one.payload) for one in tx.staged]
        return orjson.loads(await flight.latest(self.read(), Nothing()))

    async def summary(self, days: int = 7) -> Any:
        return await reports.get_summary(self.read(), SummaryWindow(days=days))


async def staffed(pool: asyncpg.Pool) -> Cockpit:
    """One with two operators, a chain, and three items that nobody has."""
    await pool.execute(NEVER_ASKED)
    cockpit = Cockpit(pool)
    await cockpit.hire("ole", "operator")
    await cockpit.hire("pia", "operator")
    chains = Chains(chains=(CHAIN,))
    await cockpit.order(CHAINS.publish, Publication[Chains](content=chains, reason="a test"))
    await cockpit.decided({"a": "fail", "b": "fail", "c": "warning"})
    cockpit.told = []
    return cockpit
