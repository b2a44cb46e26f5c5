"""Questions to every service at once: each answer, or the reason why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from libs.common.contracts import CONTRACTS, SERVICES
from libs.common.contracts.base import Nothing, Query
from libs.common.problems import Refusal

ANSWER_S = 3.0  # the edge waits 5 s for the whole

T = TypeVar("T")


class Asks(Protocol):
    """Both a `Tx` and a `Read`."""

    async def ask(self, query: Query, params: Any, /, *, timeout_s: float = ...) -> Any:
        """The answer; raises `Refusal`."""


async def each(
    asker: Asks, question: Callable[[str], Query], services: Sequence[str] = SERVICES
) -> tuple[dict[str, Any], dict[str, str]]:
    """The answers by service, and for those that gave none a sentence that says why."""

    async def one(service: str) -> Any:
        query = CONTRACTS[service].by_name[question(service).name]
        assert isinstance(query, Query)  # noqa: S101 - every contract declares it
        try:
            return await asker.ask(query, Nothing(), timeout_s=ANSWER_S)
        except Refusal as refusal:
            return refusal

    found = dict(zip(services, await asyncio.gather(*(one(service) for service in services)), strict=True))
    silent = {service: one.detail for service, one in found.items() if isinstance(one, Refusal)}
    return {service: one for service, one in found.items() if service not in silent}, silent
