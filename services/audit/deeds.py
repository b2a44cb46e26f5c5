"""Answers what was done to one thing: who, from where, from what to what, and why."""

from __future__ import annotations

from typing import Any

import orjson

from libs.common.contracts.audit import resources as contract
from libs.common.contracts.audit.entries import MAX_LISTED_PAYLOAD_BYTES
from libs.common.contracts.audit.resources import Deed, ResourceFilter
from libs.common.contracts.base import Page
from libs.common.contracts.changes import FieldChange
from libs.common.service import Read, Table
from services.audit.clients import with_clients
from services.audit.domain.content import changes_left_out, changes_of, derived
from services.audit.kinds import types_about

END = 2**62
PAGE_BYTES = 4 * 1024 * 1024  # of the bodies that are read for one page
# The command that caused it, if the asker may see that one's site; a record is its own. found: how many the page holds
# before it is cut to PAGE_BYTES; the first one is always shown.
SELECT_DEEDS = f"""
WITH page AS (
    SELECT seq, octet_length(payload) AS size FROM entry
    WHERE subject = $1 AND type = ANY ($2::text[]) AND seq < $3 AND ($4::text[] IS NULL OR site = ANY ($4))
    ORDER BY seq DESC LIMIT $5
),
sized AS (
    SELECT seq, size, count(*) OVER () AS found, row_number() OVER newest_first AS place,
           sum(CASE WHEN size <= {MAX_LISTED_PAYLOAD_BYTES} THEN size ELSE 0 END) OVER newest_first AS total
    FROM page WINDOW newest_first AS (ORDER BY seq DESC)
)
SELECT entry.seq, entry.time, entry.type, entry.site, entry.actor, entry.outcome, entry.reason, entry.issue,
       entry.trace_id, entry.correlationid,
       CASE WHEN entry.client_address IS NULL THEN cause.seq ELSE entry.seq END AS command_seq,
       coalesce(entry.client_address, cause.client_address) AS client_address,
       coalesce(entry.client_agent, cause.client_agent) AS client_agent,
       CASE WHEN entry.client_address IS NULL THEN cause.actor ELSE entry.actor END AS client_actor,
       CASE WHEN size <= {MAX_LISTED_PAYLOAD_BYTES} THEN entry.payload END AS payload,
       CASE WHEN size IS NULL THEN 'erased' WHEN size > {MAX_LISTED_PAYLOAD_BYTES} THEN 'too_large' END
           AS changes_omitted, found
FROM sized JOIN entry USING (seq)
LEFT JOIN entry AS cause ON cause.event_id = entry.causationid AND cause.client_address IS NOT NULL
    AND ($4::text[] IS NULL OR cause.site = ANY ($4))
WHERE place = 1 OR total <= {PAGE_BYTES} ORDER BY seq DESC
"""  # noqa: S608 - a constant of ours


async def list_deeds(read: Read, wanted: ResourceFilter) -> Page[Deed]:
    """A page, newest first; one with large bodies holds fewer than asked for.

    Raises `Invalid` for a kind of resource that there is not.
    """
    rows: list[Any] = await read.pool.fetch(
        SELECT_DEEDS,
        wanted.resource_id,
        types_about(wanted.resource_type),
        int(wanted.cursor) if wanted.cursor else END,
        read.sites_of(None),
        wanted.limit + 1,
    )
    shown = await with_clients(read, rows[: wanted.limit], by="client_actor")
    more = bool(rows) and rows[0]["found"] > len(shown)
    return Page[Deed](items=[_deed(row) for row in shown], next_cursor=str(shown[-1]["seq"]) if more else None)


def _deed(row: Any) -> Deed:
    said = dict(row)
    payload, type_, _ = said.pop("payload"), said.pop("type"), said.pop("found")
    del said["client_actor"]
    said["correlationid"] = None if said["correlationid"] is None else str(said["correlationid"])
    event = orjson.loads(payload) if payload is not None else None
    changes = [FieldChange(**one) for one in changes_of(event)]
    action = derived(type_, said["actor"]).action
    return Deed(**said, action=action, changes=changes, changes_left_out=changes_left_out(event))


TABLE = Table(queries={contract.list_deeds: list_deeds, contract.find_deeds: list_deeds})
