"""Keeps the open failures of each part, in the transaction that stores a report. What counts: `domain.failures`."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import asyncpg

from libs.common.service import Tx
from libs.judge.failures import KIND, Mark, Shown, follow, shown_by

SELECT_OPEN = "SELECT fact_id, test, signal_id, time FROM open_failures WHERE fact_id = ANY ($1::bigint[])"
# Reports (of all, or of one voice) that came before the one at hand and were made after it, and what one shows.
SELECT_NEWER = """
SELECT signal_id, least(time, received_at) AS time FROM signals
WHERE site = $1 AND subject = $2 AND version = $3 AND kind = 'test.junit' AND judged AND valid AND part = $4
    AND ($8::text = '' OR actor = $8) AND (least(time, received_at), signal_id) > ($5::timestamptz, $6::bigint)
ORDER BY least(time, received_at) DESC, signal_id DESC LIMIT $7
"""
SELECT_SHOWN = "SELECT data FROM signals WHERE signal_id = $1"
UPSERT_OPEN = """
INSERT INTO open_failures (fact_id, digest, test, signal_id, time)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::bigint[], $5::timestamptz[])
ON CONFLICT (fact_id, digest) DO UPDATE SET signal_id = EXCLUDED.signal_id, time = EXCLUDED.time
"""
DELETE_OPEN = """
DELETE FROM open_failures USING unnest($1::bigint[], $2::bytea[]) AS closed (fact_id, digest)
WHERE open_failures.fact_id = closed.fact_id AND open_failures.digest = closed.digest
"""

MAX_NEWER = 1_000

Stored = tuple[asyncpg.Record, Any]  # a row of `signals.INSERT_SIGNALS`, and the signal's data


def is_test_report(row: asyncpg.Record) -> bool:
    """Whether open failures follow from this new signal: a valid test report of a version that is judged.

    Without a version nothing ends the life of a failed test that was deleted, so there the newest report is all.
    """
    return bool(row["valid"] and row["fact_id"] is not None and row["kind"] == KIND and row["version"])


async def keep_failures(tx: Tx, reports: Sequence[Stored]) -> None:
    """Bring the open failures up to date with these new reports, whose parts' facts this transaction has locked.

    The lock makes two replicas that store reports of one part wait for each other, and the second sees the first's.
    """
    if not reports:
        return
    of_part: dict[int, list[Stored]] = {}
    for report in reports:
        of_part.setdefault(report[0]["fact_id"], []).append(report)
    kept: dict[int, dict[str, Mark]] = {fact_id: {} for fact_id in of_part}
    for row in await tx.connection.fetch(SELECT_OPEN, list(of_part)):
        kept[row["fact_id"]][row["test"]] = (row["time"], row["signal_id"])
    opened: list[tuple[int, bytes, str, Mark]] = []
    closed: list[tuple[int, bytes]] = []
    for fact_id, stored in of_part.items():
        shown = [shown_by(data, (row["time"], row["signal_id"])) for row, data in stored]
        before = kept[fact_id]
        after = follow(before, shown, await _passed(tx, stored[0][0], shown))
        opened += [(fact_id, _digest(test), test, mark) for test, mark in after.items() if before.get(test) != mark]
        closed += [(fact_id, _digest(test)) for test in before.keys() - after.keys()]
    if closed:
        await tx.connection.execute(DELETE_OPEN, *map(list, zip(*closed, strict=True)))
    if opened:
        ids, digests, tests, marks = map(list, zip(*opened, strict=True))
        times, signals = map(list, zip(*marks, strict=True))
        await tx.connection.execute(UPSERT_OPEN, ids, digests, tests, signals, times)


async def _passed(tx: Tx, row: asyncpg.Record, shown: Sequence[Shown]) -> dict[str, Mark]:
    """For failing tests the newest report that shows them passing; looked up only when one of the reports came late.

    Reads report by report from the newest on, as far as it must; beyond ``MAX_NEWER`` a test counts as not shown.
    """
    late = [report for report in shown if report.failing and report.mark[1] != row["newest_id"]]
    if not late:
        return {}
    asked = set().union(*(report.failing for report in late))
    about = (tx.site, row["subject"], row["version"], row["part"])
    oldest = min(report.mark for report in late)
    found: dict[str, Mark] = {}
    for newer in await tx.connection.fetch(SELECT_NEWER, *about, *oldest, MAX_NEWER, row["voice"]):
        mark = (newer["time"], newer["signal_id"])
        report = shown_by(await tx.connection.fetchval(SELECT_SHOWN, newer["signal_id"]), mark)
        passing = {test for test in asked if report.passes(test)}
        found |= dict.fromkeys(passing, mark)
        asked -= passing
        if not asked:
            break
    return found


def _digest(test: str) -> bytes:
    return sha256(test.encode()).digest()
