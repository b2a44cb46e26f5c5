"""Runs of the notifier's jobs, as the tool has them made: a check of the MTTR SLO, and an archive of deliveries."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from typer.testing import Result

from tests.stack import Stack

OLD = """
INSERT INTO notifier.delivery (subscription_id, event_id, site, event_name, state, created_at, ended_at)
SELECT subscription_id, gen_random_uuid(), site, event_name, 'dead', now() - interval '100 days', now()
FROM notifier.delivery WHERE delivery_id = $1
"""


async def archived(stack: Stack, tool: Callable[..., Awaitable[Result]], delivery_id: str) -> str:
    """Check the SLO; have an old delivery, made after this one, archived, and return the archive's number."""
    assert (await tool("jobs", "run", "alert_mttr_slo_check")).exit_code == 0
    connection = await stack.superuser()
    await connection.execute(OLD, int(delivery_id))
    await connection.close()
    done = await tool("jobs", "run", "alert_retention", "--json")
    assert done.exit_code == 0, done.output
    return str(json.loads(done.stdout)["archive"]["archive_id"])
