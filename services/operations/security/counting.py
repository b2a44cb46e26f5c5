"""Counts the audit log on, page by page: each entry once, since the mark moves in the transaction of its counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from libs.common.contracts.audit.conduct import Conduct, ConductWanted, Deeds, Refused, SensitiveDeed, count_conduct
from libs.common.service import Connection, Tx

MAX_PAGES = 40  # of a run: 200,000 entries
KEPT = timedelta(days=181)

SELECT_MARK = "SELECT seq FROM conduct_mark"
# No row: another run was faster.
MOVE_MARK = "UPDATE conduct_mark SET seq = $2, behind = $3, counted_at = $4 WHERE seq = $1 RETURNING seq"
ADD_DEEDS = """
INSERT INTO conduct (began_at, site, actor, action_count, deed_count, failed_count, sensitive_count)
SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
ON CONFLICT (began_at, site, actor) DO UPDATE SET action_count = conduct.action_count + excluded.action_count,
    deed_count = conduct.deed_count + excluded.deed_count, failed_count = conduct.failed_count + excluded.failed_count,
    sensitive_count = conduct.sensitive_count + excluded.sensitive_count
"""
ADD_REFUSED = """
INSERT INTO refused_request (began_at, who, status, count)
SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::smallint[], $4::bigint[])
ON CONFLICT (began_at, who, status) DO UPDATE SET count = refused_request.count + excluded.count
"""
ADD_SENSITIVE = """
INSERT INTO sensitive_deed (seq, time, site, actor, action, subject, outcome)
SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
ON CONFLICT (seq) DO NOTHING
"""
FORGET_DEEDS = "DELETE FROM conduct WHERE began_at < $1"
FORGET_REFUSED = "DELETE FROM refused_request WHERE began_at < $1"
FORGET_SENSITIVE = "DELETE FROM sensitive_deed WHERE time < $1"


async def count_on(tx: Tx) -> None:
    """Count what is new in the log, as far as one run goes. Raises `Refusal` when the audit service does not answer."""
    after: int = await tx.connection.fetchval(SELECT_MARK)
    for _ in range(MAX_PAGES):
        page: Conduct = await tx.ask(count_conduct, ConductWanted(after_seq=after), timeout_s=5.0)
        behind = page.head_seq - page.until_seq  # below 0: the log is shorter than what was counted
        if await tx.connection.fetchval(MOVE_MARK, after, page.until_seq, behind, tx.now) is None:
            return
        await _add(tx.connection, page)
        after = page.until_seq
        if behind <= 0:
            return


async def forget(connection: Connection, tx: Tx) -> None:
    """Remove what no window reaches any more."""
    for statement in (FORGET_DEEDS, FORGET_REFUSED, FORGET_SENSITIVE):
        await connection.execute(statement, tx.now - KEPT)


async def _add(connection: Connection, page: Conduct) -> None:
    for statement, rows, names in (
        (ADD_DEEDS, page.deeds, tuple(Deeds.model_fields)),
        (ADD_REFUSED, page.refused, tuple(Refused.model_fields)),
        (ADD_SENSITIVE, page.sensitive, tuple(SensitiveDeed.model_fields)),
    ):
        if rows:
            await connection.execute(statement, *_columns(rows, names))


def _columns(rows: Sequence[Deeds | Refused | SensitiveDeed], names: Sequence[str]) -> list[list[object]]:
    return [[getattr(row, name) for row in rows] for name in names]
