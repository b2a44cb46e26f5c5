"""Questions of one service to another, over the bus: declared in the contract's ``asks``, bounded in time."""

from __future__ import annotations

from typing import Any

import orjson
from opentelemetry.trace import SpanKind
from pydantic import BaseModel, TypeAdapter, ValidationError

from libs.common.bus import Bus
from libs.common.cloudevents import CloudEvent
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Query
from libs.common.ids import uuid7
from libs.common.problems import Refusal, Unavailable
from libs.common.telemetry import span

ASK_TIMEOUT_S = 2.0
MAX_ASK_TIMEOUT_S = 10.0
_ADAPTERS: dict[str, TypeAdapter[Any]] = {}


class Asker:
    """Asks the services that this one's contract names, once ``bus`` is set."""

    def __init__(self, service: str, bus: Bus | None = None) -> None:
        self._service, self.bus = service, bus

    async def ask(
        self,
        query: Query,
        params: BaseModel,
        *,
        about: CloudEvent,
        actor: str,
        site: str,
        sites: tuple[str, ...],
        permissions: frozenset[str] = frozenset(),
        timeout_s: float = ASK_TIMEOUT_S,
    ) -> Any:
        """The answer in the query's declared shape. ``about`` is the message that this service works on meanwhile.

        Raises `ValueError` for a question that the contract does not declare; `Unavailable` or `TimedOut` if nobody
        answers, or not in time, or not in the declared shape; and the refusal that the other service answered with.
        """
        if not CONTRACTS[self._service].may_ask(query):
            raise ValueError(f"{self._service} may not ask {query.name}; its contract package says what it asks")
        if self.bus is None:
            raise RuntimeError(f"{self._service} is not connected yet")
        if not 0 < timeout_s <= MAX_ASK_TIMEOUT_S:
            raise ValueError(f"timeout_s must be above 0 and at most {MAX_ASK_TIMEOUT_S:g}")
        data = {
            "params": params.model_dump(mode="json", exclude_unset=True),
            "sites": sites,
            "permissions": sorted(permissions),
        }
        with span(self._service, f"ask {query.name}", about.traceparent, SpanKind.CLIENT) as traceparent:
            envelope = CloudEvent(
                id=str(uuid7()),
                source=f"/headgate/{self._service}",
                type=query.type,
                time=about.time,
                site=site,
                actor=actor,
                correlationid=about.correlationid or about.id,
                causationid=about.id,
                traceparent=traceparent,
            )
            reply = await self.bus.ask(query, envelope, orjson.dumps(data), timeout_s=timeout_s)
        if reply.status != 200:
            raise _refusal(query, reply.status, reply.body)
        adapter = _ADAPTERS.get(query.name)
        if adapter is None:
            adapter = _ADAPTERS[query.name] = TypeAdapter(query.result)
        try:
            return adapter.validate_json(reply.body)
        except ValidationError as error:
            raise Unavailable(f"The {query.service} service answered in another shape than declared.") from error


def _refusal(query: Query, status: int, body: bytes) -> Refusal:
    """What the other service refused with; a fault of its own is no fault of the message: it may work later."""
    try:
        detail = str(orjson.loads(body)["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        detail = f"status {status}"
    kinds = {kind.status: kind for kind in Refusal.__subclasses__()}
    if status in kinds:
        return kinds[status](detail)
    return Unavailable(f"The {query.service} service could not answer {query.name}: {detail}")
