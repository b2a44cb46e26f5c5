"""Counts what people did and what was refused to them, a page of the log at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from libs.common.contracts.audit import conduct as contract
from libs.common.contracts.audit.conduct import (
    MAX_CALLERS,
    OTHERS,
    PAGE_ENTRIES,
    ROUTINE,
    SENSITIVE,
    Conduct,
    ConductWanted,
    Deeds,
    Refused,
    SensitiveDeed,
)
from libs.common.contracts.gateway.refusals import refusals_counted
from libs.common.service import Read, Table
from services.audit.entries import full_type

SELECT_HEAD = "SELECT seq FROM head"
# The record of a command that came by HTTP is what has an address. Whose actor has a colon is no person: a service,
# a webhook or a service account, which may work at night. What the edge refused is counted as that (COUNT_REFUSED).
COUNT_DEEDS = """
SELECT date_bin('15 minutes', time, timestamptz 'epoch') AS began_at, site, actor, count(*) AS action_count,
    count(*) FILTER (WHERE outcome = 'applied' AND type <> ALL ($4::text[])) AS deed_count,
    count(*) FILTER (WHERE outcome <> 'applied') AS failed_count,
    count(*) FILTER (WHERE type = ANY ($3::text[])) AS sensitive_count
FROM entry WHERE seq > $1 AND seq <= $2 AND client_address IS NOT NULL AND position(':' IN actor) = 0
    AND NOT CASE WHEN outcome = 'refused' AND source = '/headgate/gateway' AND payload IS NOT NULL
        THEN coalesce(convert_from(payload, 'UTF8')::jsonb #>> '{data,at_edge}' = 'true', false) ELSE false END
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
LIST_SENSITIVE = """
SELECT seq, time, site, actor, type, subject, outcome FROM entry
WHERE seq > $1 AND seq <= $2 AND client_address IS NOT NULL AND position(':' IN actor) = 0 AND type = ANY ($3::text[])
ORDER BY seq DESC LIMIT 500
"""
COUNT_REFUSED = """
WITH told AS (
    SELECT convert_from(payload, 'UTF8')::jsonb -> 'data' AS data FROM entry
    WHERE seq > $1 AND seq <= $2 AND type = $3 AND site = 'global'
), counted AS (
    SELECT (data ->> 'minute')::timestamptz AS minute, one.who, one.status, one.count
    FROM told CROSS JOIN LATERAL jsonb_to_recordset(data -> 'items') AS one (who text, status integer, count bigint)
    UNION ALL
    SELECT (data ->> 'minute')::timestamptz, $4, 401, (data ->> 'overflow_count')::bigint FROM told
    WHERE (data ->> 'overflow_count')::bigint > 0
)
SELECT date_bin('15 minutes', minute, timestamptz 'epoch') AS began_at, who, status, sum(count)::bigint AS count
FROM counted GROUP BY 1, 2, 3 ORDER BY count DESC, 1, 2, 3
"""


async def count(read: Read, wanted: ConductWanted) -> Conduct:
    """The next page; one that is empty ends where it began."""
    head: int = await read.pool.fetchval(SELECT_HEAD)
    until = max(wanted.after_seq, min(head, wanted.after_seq + PAGE_ENTRIES))
    bounds = wanted.after_seq, until
    sensitive = [full_type(name) for name in SENSITIVE]
    routine = [full_type(name) for name in ROUTINE]
    deeds = await read.pool.fetch(COUNT_DEEDS, *bounds, sensitive, routine)
    refused = await read.pool.fetch(COUNT_REFUSED, *bounds, refusals_counted.type, OTHERS)
    listed = await read.pool.fetch(LIST_SENSITIVE, *bounds, sensitive)
    return Conduct(
        until_seq=until,
        head_seq=head,
        deeds=[Deeds(**dict(row)) for row in deeds],
        refused=_folded(refused),
        sensitive=[SensitiveDeed(**dict(row), action=_action(row["type"])) for row in listed],
    )


def _folded(rows: Sequence[Any]) -> list[Refused]:
    """The callers with the most refusals by name, and the addresses beyond them as one."""
    found: dict[tuple[Any, str, int], int] = {}
    for place, row in enumerate(rows):
        who = OTHERS if place >= MAX_CALLERS and row["who"].startswith("address:") else row["who"]
        key = row["began_at"], who, row["status"]
        found[key] = found.get(key, 0) + row["count"]
    return [Refused(began_at=at, who=who, status=status, count=n) for (at, who, status), n in found.items()]


def _action(type_: str) -> str:
    return type_.removeprefix("headgate.").removesuffix(".v1")


TABLE = Table(queries={contract.count_conduct: count})
