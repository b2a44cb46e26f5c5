"""What the audit tests share: events to record, and the log as its queries show it."""

from __future__ import annotations

from typing import Any

import asyncpg

from libs.common.contracts.audit.chain import verify_chain
from libs.common.contracts.audit.entries import list_entries
from libs.common.contracts.gateway.sites import SiteView, site_created
from libs.common.personal import PERMISSION
from services.audit import tree
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


async def set_rows_back(superuser: asyncpg.Connection, size: int) -> None:
    """As if the copy of the database of that time were restored: entries, tree, inbox, and what was signed."""
    await superuser.execute("SET search_path = audit")
    await superuser.execute("DELETE FROM inbox WHERE event_id IN (SELECT event_id FROM entry WHERE seq > $1)", size)
    await superuser.execute("DELETE FROM entry WHERE seq > $1", size)
    await superuser.execute("TRUNCATE tile, checkpoint")
    await superuser.execute(
        "UPDATE head SET seq = $1, hash = (SELECT hash FROM entry WHERE seq = $1), tree_size = 0, edges = '{}'", size
    )
    async with superuser.transaction():
        await tree.fill(superuser, size)
