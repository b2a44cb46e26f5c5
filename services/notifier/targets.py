"""Targets: what is called, the endpoint of a subscription or a channel, which has its number below zero."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from libs.common.problems import NotFound

SELECT_NAMES = """
SELECT subscription_id AS target, name FROM subscription WHERE subscription_id = ANY ($1::bigint[])
UNION ALL
SELECT -channel_id, name FROM channel WHERE channel_id = ANY (SELECT -number FROM unnest($1::bigint[]) AS number)
"""
# A person's own channel is of no site.
SELECT_TARGET = """
SELECT true FROM subscription WHERE subscription_id = $1 AND site = $2
UNION ALL SELECT true FROM channel WHERE channel_id = -$1 AND (site = $2 OR person <> '')
"""


async def names_of_targets(source: Any, numbers: Iterable[int]) -> dict[int, str]:
    """What people call targets, off a pool or a connection."""
    return {row["target"]: row["name"] for row in await source.fetch(SELECT_NAMES, list(numbers))}


async def check_target(source: Any, target: int, site: str) -> None:
    """Raise `NotFound` for a target that the site does not have."""
    if not await source.fetchval(SELECT_TARGET, target, site):
        raise NotFound(f"There is no target {target} in this site; GET /api/subscriptions and /api/channels list them.")
