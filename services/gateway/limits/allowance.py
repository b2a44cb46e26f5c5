"""What a caller is told of its limit.

Headers: ``RateLimit`` and ``RateLimit-Policy`` of draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.gateway.domain.rates import WINDOW_S, Rate


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether this request may pass, and how many more may in the window; another may in ``reset_s`` seconds.

    Of requests that gateways count together, ``remaining`` is what this one last heard.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    backend: str = "memory"

    def headers(self, rate: Rate) -> dict[str, str]:
        """The fields that tell the caller: those of the draft, and those that callers of the facility system read."""
        return {
            "RateLimit-Policy": f'"{rate}";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"{rate}";r={self.remaining};t={self.reset_s}',
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_s),
            "X-RateLimit-Policy": f"{self.limit};w={WINDOW_S}",
            "X-RateLimit-Backend": self.backend,
        }


class Store(Protocol):
    """A place where several gateways count together."""

    async def hit(self, rate: Rate, per_minute: int, key: str, cost: int) -> Allowance | None:
        """Count one request of a caller; None: the store is away."""

    async def close(self) -> None:
        """Give back what it holds."""
