"""What people say of alerts, and the review of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from libs.common import versions
from libs.common.columns import listed, names_of
from libs.common.contracts.base import Nothing, Page
from libs.common.contracts.changes import newly
from libs.common.contracts.notifier import noise
from libs.common.contracts.notifier import verdicts as contract
from libs.common.contracts.notifier.noise import NOISE, NOISE_DOCUMENT, NoiseCounts, NoiseReview, NoiseWeek
from libs.common.contracts.notifier.verdicts import (
    Missed,
    MissedBody,
    MissedFilter,
    MissedWithdraw,
    MissedWithdrawn,
    Verdict,
    VerdictBody,
    VerdictFilter,
)
from libs.common.listing import Listing, newest
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from services.notifier.domain.noise import WEEK, Counts, Limits, judge, monday
from services.notifier.figures import policies

_VERDICT, _MISSED = listed(names_of(Verdict)), listed(names_of(Missed))
AHEAD = timedelta(minutes=5)  # how far a person's clock may run before ours

# The delivery is held, so that it is not removed meanwhile.
SELECT_ALERT = """
SELECT delivery_id, event_id, event_name, created_at FROM delivery WHERE delivery_id = $1 AND site = $2 FOR SHARE
"""
SELECT_NEWEST = """
SELECT verdict FROM verdict WHERE site = $1 AND delivery_id = $2 ORDER BY verdict_id DESC LIMIT 1
"""
INSERT_VERDICT = f"""
INSERT INTO verdict (delivery_id, event_id, event_name, site, verdict, reason, judged_by, judged_at, alerted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {_VERDICT}
"""  # noqa: S608 - names of our own class
INSERT_MISSED = f"""
INSERT INTO missed_alert (site, what, happened_at, reason, recorded_by, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_MISSED}
"""  # noqa: S608
WITHDRAW_MISSED = f"""
UPDATE missed_alert SET withdrawn_by = $3, withdrawn_at = $4, withdrawn_reason = $5
WHERE missed_id = $1 AND site = $2 AND withdrawn_at IS NULL RETURNING {_MISSED}
"""  # noqa: S608
KNOWS_MISSED = "SELECT EXISTS (SELECT FROM missed_alert WHERE missed_id = $1 AND site = $2)"
# Of each event the newest word, by when it was first told: however many it was sent to, it is one alert. What counts is
# in periods that $2 begins and $3 ends, place by place.
COUNT_VERDICTS = """
SELECT place, verdict AS word, count(*) AS count FROM (
    SELECT DISTINCT ON (event_id) event_id, verdict, min(alerted_at) OVER (PARTITION BY event_id) AS alerted_at
    FROM verdict
    WHERE site = $1 AND event_id IN (
        SELECT event_id FROM verdict WHERE site = $1 AND alerted_at >= $4 AND alerted_at < $5)
    ORDER BY event_id, verdict_id DESC
) AS said JOIN unnest($2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS period (begins_at, ends_at, place)
    ON alerted_at >= begins_at AND alerted_at < ends_at
GROUP BY place, verdict
UNION ALL
SELECT place, 'missed', count(*) FROM missed_alert
JOIN unnest($2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS period (begins_at, ends_at, place)
    ON happened_at >= begins_at AND happened_at < ends_at
WHERE site = $1 AND withdrawn_at IS NULL AND happened_at >= $4 AND happened_at < $5
GROUP BY place
"""
LIST_VERDICTS = Listing(
    table="verdict",
    columns=_VERDICT,
    scope={"site": "text", "delivery_id": "bigint"},
    order=newest("verdict_id"),
)
LIST_MISSED = Listing(table="missed_alert", columns=_MISSED, scope={"site": "text"}, order=newest("missed_id"))


async def judge_delivery(tx: Tx, body: VerdictBody) -> Verdict:
    """Keep what somebody says of an alert. Raises `NotFound`; `Conflict` for taking back what nobody has said."""
    alert = await tx.connection.fetchrow(SELECT_ALERT, body.delivery_id, tx.site)
    if alert is None:
        raise NotFound(f"There is no delivery {body.delivery_id} in this site; GET /api/deliveries lists them.")
    if body.verdict == "withdrawn":
        before = await tx.connection.fetchval(SELECT_NEWEST, tx.site, body.delivery_id)
        if before in (None, "withdrawn"):
            raise Conflict(f"Nothing is said of the delivery {body.delivery_id} that could be taken back.")
    row = await tx.connection.fetchrow(
        INSERT_VERDICT, body.delivery_id, alert["event_id"], alert["event_name"], tx.site, body.verdict,
        body.reason or "", tx.actor, tx.now, alert["created_at"],
    )  # fmt: skip
    assert row is not None  # noqa: S101 - an INSERT returns its row
    given = Verdict(**row)
    tx.emit(contract.verdict_given, given, subject=str(given.delivery_id))
    return given


async def list_verdicts(read: Read, wanted: VerdictFilter) -> Page[Verdict]:
    """A page of what was said of a delivery, newest first; also of one that is kept no more. Raises `Invalid`."""
    given = {"site": read.site, "delivery_id": wanted.delivery_id}
    found = await LIST_VERDICTS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[Verdict](items=[Verdict(**row) for row in found.rows], next_cursor=found.next_cursor)


async def record_missed(tx: Tx, body: MissedBody) -> Missed:
    """Keep that an alert did not come. Raises `Invalid` for one of the future."""
    if body.happened_at > tx.now + AHEAD:
        raise Invalid("happened_at lies in the future: what has not happened can't have been missed.")
    row = await tx.connection.fetchrow(
        INSERT_MISSED, tx.site, body.what, body.happened_at, body.reason or "", tx.actor, tx.now
    )
    assert row is not None  # noqa: S101 - an INSERT returns its row
    missed = Missed(**row)
    tx.emit(contract.missed_recorded, missed, subject=str(missed.missed_id))
    return missed


async def withdraw_missed(tx: Tx, body: MissedWithdraw) -> Missed:
    """Say that it was none after all. Raises `NotFound`, `Conflict` if that was said already."""
    row = await tx.connection.fetchrow(WITHDRAW_MISSED, body.missed_id, tx.site, tx.actor, tx.now, body.reason)
    if row is None:
        if await tx.connection.fetchval(KNOWS_MISSED, body.missed_id, tx.site):
            raise Conflict(f"The missed alert {body.missed_id} was withdrawn already.")
        raise NotFound(f"There is no missed alert {body.missed_id} here; GET /api/ops/alerts/missed lists them.")
    missed = Missed(**row)
    told = MissedWithdrawn(**row, changes=newly(missed, "withdrawn_by", "withdrawn_at", "withdrawn_reason"))
    tx.emit(contract.missed_withdrawn, told, subject=str(missed.missed_id))
    return missed


async def list_missed(read: Read, wanted: MissedFilter) -> Page[Missed]:
    """A page of the alerts that did not come, newest first. Raises `Invalid`."""
    found = await LIST_MISSED.page(read.pool, {"site": read.site}, limit=wanted.limit, cursor=wanted.cursor)
    return Page[Missed](items=[Missed(**row) for row in found.rows], next_cursor=found.next_cursor)


async def review(read: Read, _params: Nothing) -> NoiseReview:
    """How many alerts were wrong or missing. Raises `Conflict` if the policy can't be read."""
    policy = (await versions.current(read.pool, NOISE_DOCUMENT, read.site)).content
    limits = Limits(policy.false_positive_percent, policy.false_negative_percent, policy.critical_weeks)
    this_week = monday(read.now)
    begins = [read.now - timedelta(days=policy.review_window_days)]
    begins += [this_week - WEEK * (number + 1) for number in range(max(policy.critical_weeks, 2))]
    ends = [read.now + AHEAD, *(one + WEEK for one in begins[1:])]
    window, *weeks = await _counts(read, begins, ends)
    status, message = judge(window, weeks, limits)
    return NoiseReview(
        generated_at=read.now,
        policy=policy,
        status=status,
        message=message,
        window_days=policy.review_window_days,
        window=NoiseCounts(**_shown(window, limits)),
        weeks=[
            NoiseWeek(**_shown(one, limits), begins_at=begin, ends_at=begin + WEEK)
            for one, begin in zip(weeks, begins[1:], strict=True)
        ],
    )


async def _counts(read: Read, begins: Sequence[datetime], ends: Sequence[datetime]) -> list[Counts]:
    """The counts of periods."""
    found: list[Counter[str]] = [Counter() for _ in begins]
    for row in await read.pool.fetch(COUNT_VERDICTS, read.site, begins, ends, min(begins), max(ends)):
        found[row["place"] - 1][row["word"]] = row["count"]
    return [Counts(one["true_positive"], one["false_positive"], one["missed"]) for one in found]


def _shown(counts: Counts, limits: Limits) -> dict[str, Any]:
    return {
        "reviewed_count": counts.right + counts.wrong,
        "true_positive_count": counts.right,
        "false_positive_count": counts.wrong,
        "missed_count": counts.missed,
        "false_positive_rate_percent": counts.wrong_percent,
        "false_negative_rate_percent": counts.missed_percent,
        "status": counts.standing(limits),
    }


DOCUMENT = versions.table(NOISE_DOCUMENT)
POLICY = policies.table(NOISE)
TABLE = Table(
    commands={
        contract.judge_delivery: judge_delivery,
        contract.record_missed: record_missed,
        contract.withdraw_missed: withdraw_missed,
    },
    queries={
        contract.list_verdicts: list_verdicts,
        contract.list_missed: list_missed,
        noise.review_noise: review,
    },
)
