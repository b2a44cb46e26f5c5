"""What the audit tests share: events to record, and the log as its queries show it."""

from __future__ import annotations

from typing import Any

from libs.common.contracts.audit.chain import verify_chain
from libs.common.contracts.audit.entries import list_entries
from libs.common.contracts.gateway.sites import SiteView, site_created
from libs.common.personal import PERMISSION
from tests.stack import Stack


def site_view(stack: Stack, number: int, title: str = "A site") -> SiteView:
    return SiteView(site=f"s{number}", title=title, created_at=stack.clock())


async def record(stack: Stack, count: int, **options: Any) -> list[str]:
    """Publish events and await that the log has them."""
    ids = [await stack.publish(site_created, site_view(stack, n), **options) for n in range(count)]
    await stack.idle("audit")
    return ids


async def verified(stack: Stack, **params: Any) -> dict[str, Any]:
    answer = await stack.query(verify_chain, params)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


async def listed(stack: Stack, sites: tuple[str, ...] = ("*",), **params: Any) -> dict[str, Any]:
    answer = await stack.query(list_entries, params, sites=sites, permissions=(PERMISSION,))
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found
