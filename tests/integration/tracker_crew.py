"""A desk with people, for tests of who gets what."""

from __future__ import annotations

from typing import Any

import orjson

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Command
from libs.common.contracts.gateway.users import UserView, user_changed
from libs.common.contracts.tracker import assignment as contract
from libs.common.contracts.tracker.assignment import AutoAssign, WorkloadFilter
from libs.common.ids import uuid7
from services.tracker import assignment
from tests.integration.tracker_desk import START, Desk

NEVER_ASKED = "UPDATE people_known SET since = now()"  # the gateway is not there to be asked


class Office(Desk):
    """A desk with people. Their names begin with the site's, since the modules' tests share one table of people."""

    async def hire(self, name: str, role: str, *, sites: list[str] | None = None, **more: Any) -> str:
        """A user as the gateway tells of one; returns the username."""
        username = f"{name}-{self.site}"
        given = {"display_name": name, "active": True, "created_at": START, "revision": 1, **more}
        given = {name: value for name, value in given.items() if value is not None}
        data = UserView(username=username, role=role, sites=sites or [self.site], **given)
        message = CloudEvent(str(uuid7()), "/headgate/gateway", user_changed.type, site="global", actor="root")
        await self.apply(message, data, command=False)
        return username

    async def ordered(self, command: Command, body: Any, actor: str = "ann", site: str = "") -> Any:
        """The result of a command."""
        (ended,) = (await self.order(command, body, actor, site)).ended
        return orjson.loads(ended.body)

    async def assign(self, **given: Any) -> Any:
        return await self.ordered(contract.run_auto_assign, AutoAssign(**given))

    async def workload(self, **given: Any) -> contract.Workload:
        return await assignment.get_workload(self.read(), WorkloadFilter(**given))

    def short(self, username: str | None) -> str | None:
        return username and username.removesuffix(f"-{self.site}")
