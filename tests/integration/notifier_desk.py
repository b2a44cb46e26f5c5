"""A notifier behind a real edge, with a receiver on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from libs.common.contracts.governance.halts import HaltTold, line_halted
from libs.common.outbound import Outbound
from libs.common.vault import Vault
from services.notifier.domain.circuits import DEFAULT_POLICY, Policy
from services.notifier.service import make_service
from tests.http_edge import Http
from tests.integration.sink import Sink
from tests.stack import Stack

HERE = ("127.0.0.0/8",)
VAULT_SECRET = "of the tests"
VAULT = Vault.from_secret(VAULT_SECRET)
WAIT_S = 15.0


class Desk:
    """Asks over HTTP as the owner; `halt` makes an event that people know."""

    def __init__(self, http: Http, sink: Sink) -> None:
        self.http, self.stack, self.sink = http, http.stack, sink

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """A request that must end with this status."""
        answer = await self.http.client.request(method, f"/api{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def subscribe(self, path: str = "/hook", **fields: Any) -> dict[str, Any]:
        """A subscription to a path of the receiver."""
        body = {"name": "a test", "event_types": ["governance.line.halted"], "endpoint": self.sink.url(path), **fields}
        made: dict[str, Any] = await self.ask("POST", "/subscriptions", body, 201)
        return made

    async def halt(self, site: str = "global", subjects: str = "*") -> str:
        """An event; returns its id."""
        halt = HaltTold(
            halt_id=1, site=site, subjects=subjects, reason="a test", halted_by="ann", halted_at=self.stack.clock()
        )
        return await self.stack.publish(line_halted, halt, site=site)

    async def deliveries(self, **wanted: Any) -> list[dict[str, Any]]:
        """The newest deliveries."""
        answer = await self.http.client.get("/api/deliveries", params=wanted)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def until(self, state: str, count: int = 1, **wanted: Any) -> list[dict[str, Any]]:
        """Await so many deliveries in a state."""
        async with asyncio.timeout(WAIT_S):
            while len(found := await self.deliveries(state=state, **wanted)) < count:
                await asyncio.sleep(0.05)
        return found

    async def show(self, delivery_id: int) -> dict[str, Any]:
        """One delivery."""
        shown: dict[str, Any] = await self.ask("GET", f"/deliveries/{delivery_id}")
        return shown


async def open_desk(
    stack: Stack,
    sink: Sink,
    policy: Policy = DEFAULT_POLICY,
    *,
    base_url: str = "",
    ways: Mapping[str, Any] | None = None,
    **outbound: Any,
) -> Desk:
    """Start an edge and a notifier that may call this machine; ``ways`` are further ones of the notifier."""
    http = await Http(stack).open(vault_secret=SecretStr(VAULT_SECRET))
    caller = Outbound(**{"allowed_networks": HERE, **outbound})
    service = make_service(caller, VAULT, base_url, policy=policy, **(ways or {}))
    await stack.start(service)
    return Desk(http, sink)
