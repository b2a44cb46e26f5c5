"""The newest report of each sender, for formats whose parts stand inside the report (scanners, alert groups).

While such a report can't be read, nobody knows which parts it was about, so no fact can be put in its place. It fails
the rules that read its kind until the same sender (its part, else its file's name) sends one that can be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from libs.common.problems import Invalid
from libs.common.service import Tx
from libs.judge.facts import MAX_PARTS, Seen
from services.governance.inputs.parts import RESOLVED_KEPT

# Newest by effective time, then by id, like a fact, among all and among the actor's. The rows are locked until
# the transaction ends.
UPSERT_HEAD = """
WITH noted AS (
INSERT INTO report_heads AS heads (site, subject, version, kind, sender, voice, signal_id, time, readable,
    good_signal_id, good_time)
SELECT $1, subject, $3, $4, $5, voice, $6::bigint, $7::timestamptz, $8::boolean, CASE WHEN $8 THEN $6 END,
    CASE WHEN $8 THEN $7 END
FROM unnest($2::text[]) AS subject CROSS JOIN (SELECT '' UNION SELECT $9::text) AS said (voice)
ORDER BY subject, voice
ON CONFLICT (site, subject, version, kind, sender, voice) DO UPDATE
SET signal_id = CASE WHEN (EXCLUDED.time, EXCLUDED.signal_id) > (heads.time, heads.signal_id)
        THEN EXCLUDED.signal_id ELSE heads.signal_id END,
    readable = CASE WHEN (EXCLUDED.time, EXCLUDED.signal_id) > (heads.time, heads.signal_id)
        THEN EXCLUDED.readable ELSE heads.readable END,
    time = greatest(EXCLUDED.time, heads.time),
    good_signal_id = CASE WHEN heads.good_time IS NULL
            OR (EXCLUDED.good_time, EXCLUDED.good_signal_id) > (heads.good_time, heads.good_signal_id)
        THEN EXCLUDED.good_signal_id ELSE heads.good_signal_id END,
    good_time = greatest(EXCLUDED.good_time, heads.good_time)
RETURNING subject, voice, heads.xmax = 0 AS is_new
)
SELECT subject FROM noted WHERE voice = '' AND is_new ORDER BY subject
"""
# A readable head only guards against an older report that is still under way, which after days none is.
DROP_READ = """
DELETE FROM report_heads
WHERE site = $1 AND subject = $2 AND version = $3 AND kind = $4 AND readable AND time < $5
"""
COUNT_HEADS = """
SELECT count(*) FROM (
    SELECT 1 FROM report_heads
    WHERE site = $1 AND subject = $2 AND version = $3 AND kind = $4 AND voice = '' LIMIT $5
) AS found
"""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends reports of a kind about something: ``name`` is the sender's part, else the name of its file."""

    kind: str
    subject: str
    version: str
    name: str


async def note_report(tx: Tx, sender: Sender, subjects: Iterable[str], signal: Seen, *, readable: bool) -> None:
    """Note a new report of a sender for each subject that it is about. Raises `Invalid`: there are too many senders."""
    about = (sorted(set(subjects)), sender.version, sender.kind, sender.name)
    word = (signal.signal_id, signal.time, readable, tx.actor)
    new = await tx.connection.fetch(UPSERT_HEAD, tx.site, *about, *word)
    for subject in (row["subject"] for row in new):
        await _refuse_too_many(tx, replace(sender, subject=subject))


async def _refuse_too_many(tx: Tx, sender: Sender) -> None:
    about = (tx.site, sender.subject, sender.version, sender.kind)
    if await tx.connection.fetchval(COUNT_HEADS, *about, MAX_PARTS + 1) <= MAX_PARTS:
        return
    await tx.connection.execute(DROP_READ, *about, tx.now - RESOLVED_KEPT)
    if await tx.connection.fetchval(COUNT_HEADS, *about, MAX_PARTS + 1) > MAX_PARTS:
        raise Invalid(
            f"{sender.kind} of {sender.subject} would have more than {MAX_PARTS} senders; use the same part and file "
            "names again in each report instead of new ones. Nothing of this request was stored.",
            max_parts=MAX_PARTS,
        )
