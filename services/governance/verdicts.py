"""The newest verdict of each line of a site, with what led to it: one statement for a whole page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg

from libs.common.contracts.base import Page
from libs.common.contracts.governance import verdicts as contract
from libs.common.contracts.governance.runs import verdict_word
from libs.common.contracts.governance.verdicts import (
    MAX_REASON_CHARS,
    MAX_REASONS,
    SCORE_RUNS,
    LatestVerdict,
    VerdictFilter,
)
from libs.common.listing import Key, Listing
from libs.common.service import Read, Table

_SCORE = "(summary ->> 'weighted_score_percent')::float8"
_OF_LINE = "made.gate = head.gate AND made.site = head.site AND made.subject = head.subject AND made.line = head.line"
_NEWEST_FIRST = f"FROM runs AS made WHERE {_OF_LINE} ORDER BY run_number DESC LIMIT"
# Each step reads one row off an index, and the scores twenty: how many runs a line has had does not matter. The last
# verdict of either kind is looked for by itself, since each kind has an index; after the last that was otherwise came
# the first that is as it is now.
LINES = f"""(SELECT gate, site, subject, line, decision FROM gate_lines) AS head
CROSS JOIN LATERAL (
    SELECT run_id, run_number, version, artifact_digest, status, decided_at, next_change_at, valid_until,
        {_SCORE} AS score_percent, jsonb_path_query_array(reasons, '$[0 to {MAX_REASONS - 1}]') AS reasons
    {_NEWEST_FIRST} 1
) AS newest
CROSS JOIN LATERAL (SELECT ARRAY(SELECT {_SCORE} {_NEWEST_FIRST} {SCORE_RUNS}) AS scores) AS trend
LEFT JOIN LATERAL (
    SELECT run_id AS last_go_run_id, run_number AS go_number, status AS go_status
    FROM runs AS made WHERE {_OF_LINE} AND made.decision = 'go' ORDER BY run_number DESC LIMIT 1
) AS go ON true
LEFT JOIN LATERAL (
    SELECT run_number AS no_number, status AS no_status
    FROM runs AS made WHERE {_OF_LINE} AND made.decision = 'no_go' ORDER BY run_number DESC LIMIT 1
) AS no ON true
LEFT JOIN LATERAL (
    SELECT made.decided_at AS changed_at FROM runs AS made
    WHERE {_OF_LINE} AND made.run_number > CASE head.decision WHEN 'go' THEN no_number ELSE go_number END
    ORDER BY made.run_number LIMIT 1
) AS turn ON true
LEFT JOIN LATERAL (
    SELECT held.run_id AS held_run_id, held.valid_until AS held_until FROM valid_gos AS held
    WHERE held.gate = head.gate AND held.site = head.site AND held.subject = head.subject
        AND held.version = newest.version AND held.line = head.line AND held.run_id = newest.run_id
) AS valid ON true"""  # noqa: S608 - conditions of our own
LIST_VERDICTS = Listing(
    table=LINES,
    columns="*",
    scope={"site": "text"},
    filters={"gate": "text", "subject": "text", "decision": "text"},
    readings=(("gate", "subject"), ("gate",)),
    order=(Key("gate", "text"), Key("subject", "text"), Key("line", "text")),
)


async def list_verdicts(read: Read, wanted: VerdictFilter) -> Page[LatestVerdict]:
    """A page of the newest verdicts of this site, by gate, subject and line. Raises `Invalid` for a wrong cursor."""
    given = {"site": read.site, **wanted.model_dump(include={"gate", "subject", "decision"})}
    found = await LIST_VERDICTS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[LatestVerdict](items=[_shown(row, read.now) for row in found.rows], next_cursor=found.next_cursor)


def _shown(row: asyncpg.Record, now: datetime) -> LatestVerdict:
    before = None
    if row["changed_at"] is not None:
        was_go = row["decision"] == "no_go"
        before = verdict_word("go", row["go_status"]) if was_go else verdict_word("no_go", row["no_status"])
    held, until = row["held_run_id"] is not None, row["held_until"]
    told: dict[str, Any] = {"holds": held and (until is None or until > now)}
    if held:
        told["valid_until"] = until  # what has come since, such as a halt, may have made it earlier
    told |= {"changed_from": before, "reasons": [_cut(one) for one in row["reasons"]], "scores": row["scores"][::-1]}
    return LatestVerdict.model_validate(dict(row) | told)


def _cut(reason: str) -> str:
    return reason if len(reason) <= MAX_REASON_CHARS else f"{reason[: MAX_REASON_CHARS - 1]}…"


TABLE = Table(queries={contract.list_verdicts: list_verdicts})
