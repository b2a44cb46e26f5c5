"""A GO that may be over by what a person decided is judged again at once, and not when its facts grow old."""

from __future__ import annotations

from fnmatch import fnmatchcase

from libs.common.service import Tx

EVERYWHERE = "global"
# A run that began before and has not committed yet did not see what was decided; a new one must not begin until this
# is committed. Rows can't be locked one by one: a gate's first run has none, and a NO_GO in flight may become a GO.
_LOCK_HEADS = "LOCK TABLE gate_heads IN SHARE ROW EXCLUSIVE MODE"
SELECT_STANDING_GOS = """
SELECT DISTINCT gate, site, subject FROM valid_gos
WHERE (valid_until IS NULL OR valid_until > $1) AND ($2::text IS NULL OR site = $2)
"""
RECHECK_HEADS = """
UPDATE valid_gos SET valid_until = $1
FROM unnest($2::text[], $3::text[], $4::text[]) AS due (gate, site, subject)
WHERE valid_gos.gate = due.gate AND valid_gos.site = due.site AND valid_gos.subject = due.subject
"""


async def recheck(tx: Tx, *, site: str, subjects: str = "*", gate: str | None = None) -> int:
    """Have each GO of a site (`global`: of every site) judged again whose subject fits the pattern; how many.

    Call it before what was decided is stored: from here on no run can miss it.
    """
    await tx.connection.execute(_LOCK_HEADS)
    rows = await tx.connection.fetch(SELECT_STANDING_GOS, tx.now, None if site == EVERYWHERE else site)
    due = [row for row in rows if fnmatchcase(row["subject"], subjects) and gate in (None, row["gate"])]
    columns = ([row[name] for row in due] for name in ("gate", "site", "subject"))
    await tx.connection.execute(RECHECK_HEADS, tx.now, *columns)
    return len(due)
