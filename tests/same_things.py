"""That a command's record is about the same thing as the events that it caused: looked at behind every test."""

from __future__ import annotations

import asyncpg

from libs.common.contracts import find
from libs.common.contracts.base import Command
from libs.common.resources import NEW, kind_of
from libs.common.running import Running

BROKEN: tuple[type[Exception], ...] = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
# About many things at once: of each it tells by itself.
MANY = frozenset({"tracker.escalation.run"})
SELECT_TOLD = """
WITH told AS (
    SELECT kind, convert_from(payload, 'UTF8')::jsonb AS said FROM outbox WHERE kind IN ('record', 'event')
    ORDER BY id DESC LIMIT 2000
)
SELECT record.said ->> 'type' AS type, record.said ->> 'subject' AS subject, record.said ->> 'outcome' AS outcome,
       array_agg(event.said ->> 'subject') AS subjects, array_agg(DISTINCT event.said ->> 'type') AS types
FROM told AS record JOIN told AS event ON event.said ->> 'causationid' = record.said ->> 'id'
WHERE record.kind = 'record' AND event.kind = 'event' GROUP BY record.said
"""


async def misnamed(running: Running) -> list[str]:
    """The commands of a service whose records are about another thing than their events of the same kind."""
    try:
        rows = await running.pool.fetch(SELECT_TOLD, timeout=5)
    except BROKEN:
        return []  # what a test has broken is not looked at
    found = []
    for row in rows:
        name = row["type"].removeprefix("headgate.").removesuffix(".v1")
        command = find(name)
        if not isinstance(command, Command) or name in MANY:
            continue
        kind = f"headgate.{kind_of(command)}."
        same = [one for one in row["types"] if one.startswith(kind)]
        subject = row["subject"] or ""
        new = row["outcome"] != "applied" and subject.partition(":")[0] == NEW
        if same and not new and subject not in row["subjects"]:
            found.append(f"{name} is about {subject!r}, its {', '.join(same)} about {row['subjects'][:5]}")
    return found
