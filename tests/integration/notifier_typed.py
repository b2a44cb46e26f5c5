"""What the tool has the notifier make: a subscription, a channel, a check of the MTTR SLO, an archive of deliveries."""

from __future__ import annotations

import asyncio
import json

from tests.command_line import Tool
from tests.stack import Stack

OLD = """
INSERT INTO notifier.delivery (subscription_id, event_id, site, event_name, state, created_at, ended_at)
SELECT subscription_id, gen_random_uuid(), site, event_name, 'dead', now() - interval '100 days', now()
FROM notifier.delivery WHERE delivery_id = $1
"""


async def archived(stack: Stack, tool: Tool, delivery_id: str) -> str:
    """Check the SLO; have an old delivery, made after this one, archived, and return the archive's number."""
    assert (await tool("jobs", "run", "alert_mttr_slo_check")).exit_code == 0
    connection = await stack.superuser()
    await connection.execute(OLD, int(delivery_id))
    await connection.close()
    done = await tool("jobs", "run", "alert_retention", "--json")
    assert done.exit_code == 0, done.output
    return str(json.loads(done.stdout)["archive"]["archive_id"])


async def subscribe(tool: Tool) -> tuple[str, str]:
    """A subscription, and a delivery of it to a place where nobody listens."""
    words = ("--event-types", "governance.*", "--endpoint", "http://127.0.0.1:9/hook", "--json")
    made = await tool("subscriptions", "create", "--name", "verdicts", *words)
    assert made.exit_code == 0, made.output
    number = str(json.loads(made.stdout)["subscription_id"])
    assert (await tool("subscriptions", "test", number)).exit_code == 0
    while not (found := json.loads((await tool("deliveries", "list", "--json")).stdout)["items"]):
        await asyncio.sleep(0.05)
    return number, str(found[0]["delivery_id"])


async def name_channel(tool: Tool) -> str:
    """A channel to a place where nobody listens."""
    words = ("--name", "ops", "--kind", "slack", "--address", "http://127.0.0.1:9/hook", "--json")
    made = await tool("channels", "create", *words)
    assert made.exit_code == 0, made.output
    return str(json.loads(made.stdout)["channel_id"])
