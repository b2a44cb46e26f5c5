"""Forecasts: the facts of now, judged at moments to come. Nothing is stored."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial

from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance import forecasts as contract
from libs.common.contracts.governance.forecasts import (
    DEFAULT_DAYS,
    MAX_DAYS,
    Forecast,
    ForecastFeed,
    ForecastFilter,
    GoHeld,
    Renewal,
    Turn,
    VerdictAt,
)
from libs.common.contracts.governance.paths import Repair
from libs.common.contracts.governance.runs import GateTarget
from libs.common.problems import Invalid
from libs.common.service import Read, Table
from libs.judge import forecast as domain
from libs.judge.results import Verdict
from services.governance.catalog import Catalog
from services.governance.forecast_feed import write
from services.governance.gate import gather

SELECT_HELD_UNTIL = """
SELECT run_id, valid_until FROM valid_gos
WHERE gate = $1 AND site = $2 AND subject = $3 AND version = $4 AND line = $5
"""


async def get_forecast(catalog: Catalog, read: Read, wanted: ForecastFilter) -> Forecast:
    """The forecast of a version. Raises `NotFound`, `Invalid`, also for a moment that is over or too far away."""
    at = wanted.at or read.now + timedelta(days=DEFAULT_DAYS)
    if not read.now < at <= read.now + timedelta(days=MAX_DAYS):
        raise Invalid(f"A forecast is of a moment to come, at most {MAX_DAYS} days from now; give such an at.")
    return await _forecast(catalog, read, wanted, at)


async def feed_forecast(catalog: Catalog, read: Read, wanted: ForecastFeed) -> Blob:
    """The same as a calendar. Raises `NotFound`, `Invalid`."""
    found = await _forecast(catalog, read, wanted, read.now + timedelta(days=wanted.days))
    content = await asyncio.to_thread(write, found)
    return Blob.of(content, media_type="text/calendar; charset=utf-8", filename=f"headgate-{wanted.gate}-forecast.ics")


async def _forecast(catalog: Catalog, read: Read, wanted: GateTarget, at: datetime) -> Forecast:
    target = await catalog.target(read.pool, wanted, read.site)
    policy = (await catalog.in_force(read.pool, target.gate, target.site)).policy(target.subject)
    target = target.placed(policy)
    about = await gather(read.pool, policy, target, read.now, at)
    # It is judged up to a hundred times, and others want answers meanwhile.
    found = await asyncio.to_thread(domain.forecast, policy, about.facts, about.standing, read.now, at)
    held = await read.pool.fetchrow(SELECT_HELD_UNTIL, *target.key)
    return Forecast(
        gate=target.gate,
        site=target.site,
        subject=target.subject,
        version=target.version,
        line=target.line,
        now=_verdict_at(read.now, found.now),
        then=_verdict_at(at, found.then),
        breaks_at=found.breaks_at,
        known_until=found.known_until,
        held=None if held is None else GoHeld(**held),
        turns=[Turn.model_validate(turn, from_attributes=True) for turn in found.turns],
        renewals=[Renewal.model_validate(one, from_attributes=True) for one in found.renewals],
        repairs=[
            Repair(
                rule_id=rule.id,
                owner_role=rule.owner_role,
                sla_hours=rule.sla_hours,
                action=rule.action,
                reason=rule.message,
            )
            for rule in found.repairs
        ],
    )


def _verdict_at(at: datetime, verdict: Verdict) -> VerdictAt:
    return VerdictAt(
        at=at,
        decision=verdict.decision,
        verdict=verdict.verdict,
        weighted_score_percent=verdict.summary.weighted_score_percent,
        reasons=list(verdict.reasons),
    )


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(
        queries={
            contract.get_forecast: partial(get_forecast, catalog),
            contract.feed_forecast: partial(feed_forecast, catalog),
        }
    )
