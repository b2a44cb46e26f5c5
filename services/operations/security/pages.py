"""Answers how risky a site is run: with names for those who may see them, and without."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

from libs.common.contracts.audit.conduct import SensitiveDeed
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.token_survey import TokenSurvey
from libs.common.contracts.operations import security as contract
from libs.common.contracts.operations.security import (
    TREND_DAYS,
    ActionCounts,
    ActorRisk,
    ActorWanted,
    Coverage,
    Dashboard,
    DashboardWanted,
    Guard,
    NamedTokens,
    Posture,
    TokenCounts,
    TrendDay,
    UserCounts,
)
from libs.common.contracts.preflight import Overall
from libs.common.problems import NotFound
from libs.common.service import Read, Table
from libs.common.settings import Settings
from services.operations.runbook.judging import judged
from services.operations.runbook.readings import Desk
from services.operations.security.judging import anomalies_of, risk_of
from services.operations.security.reading import Actor, Facts, Reader
from services.operations.security.settings import snapshot

TOP_ACTORS = 10
RECENT = 20
# Checks of the runbook that are about who gets in, what can be proved, and what can be got back.
GUARDS = (
    "startup_preflight",
    "audit_chain_integrity",
    "audit_head_recent",
    "audit_witnessed",
    "token_expiry_pressure",
    "rate_limit_backend",
    "tls_certificate",
    "backup_recent",
    "dr_rehearsal_recent",
    "alert_channel_guard",
    "deploy_smoke_checklist",
)
LIST_DAYS = "SELECT day, score, level, complete FROM security_day WHERE site = $1 AND day >= $2 ORDER BY day"
LIST_SENSITIVE = """
SELECT seq, time, site, actor, action, subject, outcome FROM sensitive_deed
WHERE site = ANY ($1::text[]) AND ($2::text IS NULL OR actor = $2) ORDER BY seq DESC LIMIT $3
"""


async def show_dashboard(read: Read, wanted: DashboardWanted) -> Dashboard:
    """The whole, now."""
    facts = await Reader(read, read.site).read(days=wanted.days)
    risk, found, survey = risk_of(facts), anomalies_of(facts), facts.survey
    worst: Overall = "warning" if found else "ok"
    if risk.level == "critical" or any(one.status == "critical" for one in found):
        worst = "critical"
    return Dashboard(
        generated_at=read.now,
        site=read.site,
        window_days=facts.days,
        window_start=facts.since,
        window_end=read.now,
        zone=facts.zone,
        policy_source=facts.policy.source,
        policy_version=facts.policy.version,
        overall_status=worst,
        risk=risk,
        users=_users(survey),
        tokens=_token_counts(survey),
        named_tokens=_named(survey),
        coverage=_coverage(survey),
        actions=_actions(facts),
        anomalies=found,
        top_actors=[one.shown(name) for name, one in _top(facts)],
        recent_sensitive_events=await _sensitive(read, facts, None),
        recommendations=[f"{one.message}: {one.action}" for one in risk.why],
        trend=await _trend(read),
    )


async def show_actor(read: Read, wanted: ActorWanted) -> ActorRisk:
    """One user's share. Raises `NotFound` for who is no user and did nothing."""
    facts = await Reader(read, read.site).read(days=wanted.days, actor=wanted.actor)
    if facts.survey is not None and not facts.survey.total_users and facts.actors is not None and not facts.actors:
        raise NotFound(f"There is no user {wanted.actor}, and nobody of that name did anything in these days.")
    return ActorRisk(
        generated_at=read.now,
        actor=wanted.actor,
        site=read.site,
        window_days=facts.days,
        risk=risk_of(facts),
        actions=None if facts.actors is None else facts.actors.get(wanted.actor, Actor()).shown(wanted.actor),
        named_tokens=_named(facts.survey),
        recent_sensitive_events=await _sensitive(read, facts, wanted.actor),
    )


async def show_posture(settings: Settings, read: Read, _params: Nothing) -> Posture:
    """The risk without names, and the runbook's checks that are about security."""
    facts = await Reader(read, read.site).read()
    risk = risk_of(facts)
    checks = {one.id: one for one in judged(await Desk(settings, read, read.pool, read.now).read()).checks}
    guards = [Guard(**checks[name].model_dump(include=set(Guard.model_fields))) for name in GUARDS]
    words = {one.status for one in guards} | {"critical" if risk.level == "critical" else "ok"}
    worst: Overall = "critical" if "critical" in words else "warning" if "warning" in words else "ok"
    return Posture(
        generated_at=read.now,
        site=read.site,
        overall_status=worst,
        risk=risk,
        guards=guards,
        settings=await snapshot(settings, read),
        trend=await _trend(read),
    )


def _users(survey: TokenSurvey | None) -> UserCounts | None:
    if survey is None:
        return None
    return UserCounts(total_users=survey.total_users, active_users=survey.active_users)


def _token_counts(survey: TokenSurvey | None) -> TokenCounts | None:
    if survey is None:
        return None
    return TokenCounts(
        active_tokens=survey.active_tokens,
        expiring=survey.expiring.count,
        stale=survey.stale.count,
        rotate_overdue=survey.rotate_overdue.count,
        never_rotated=survey.never_rotated.count,
        dormant=survey.dormant.count,
        wildcard_scope_tokens=survey.wildcard.count,
        non_owner_wildcard_tokens=survey.wildcard_non_owner.count,
        shared=survey.shared.count,
    )


def _named(survey: TokenSurvey | None) -> NamedTokens | None:
    if survey is None:
        return None
    return NamedTokens(
        expiring=survey.expiring.items,
        rotate_overdue=survey.rotate_overdue.items,
        never_rotated=survey.never_rotated.items,
        dormant=survey.dormant.items,
        non_owner_wildcard=survey.wildcard_non_owner.items,
        shared=survey.shared.items,
    )


def _coverage(survey: TokenSurvey | None) -> Coverage | None:
    if survey is None:
        return None
    names = survey.active_users_without_token
    lacking = survey.users_without_second_factor
    return Coverage(
        active_users_without_token=len(names),
        usernames=names[:50],
        users_without_second_factor=len(lacking),
        without_second_factor=lacking[:50],
    )


def _actions(facts: Facts) -> ActionCounts | None:
    if facts.actors is None:
        return None
    return ActionCounts(
        total=facts.total("action_count"),
        failed=facts.total("failed_count"),
        refused_requests=sum(facts.refused.values()),
        sensitive_total=facts.total("sensitive_count"),
        off_hours_total=facts.total("off_hours_count"),
        unique_actors=sum(one.action_count > 0 for one in facts.actors.values()),
        counted_until=facts.counted_at,
    )


def _top(facts: Facts) -> list[tuple[str, Actor]]:
    def weight(item: tuple[str, Actor]) -> tuple[int, int, str]:
        name, one = item
        return -(one.failed_count + one.refused_count + one.sensitive_count), -one.action_count, name

    return sorted((facts.actors or {}).items(), key=weight)[:TOP_ACTORS]


async def _sensitive(read: Read, facts: Facts, actor: str | None) -> list[SensitiveDeed]:
    rows = await read.pool.fetch(LIST_SENSITIVE, facts.sites, actor, RECENT)
    return [SensitiveDeed(**dict(row)) for row in rows]


async def _trend(read: Read) -> list[TrendDay]:
    since: date = read.now.date() - timedelta(days=TREND_DAYS)
    return [TrendDay(**dict(row)) for row in await read.pool.fetch(LIST_DAYS, read.site, since)]


def table(settings: Settings) -> Table:
    """What this module answers; the guards go by the settings."""
    return Table(
        queries={
            contract.show_dashboard: show_dashboard,
            contract.show_actor: show_actor,
            contract.show_posture: partial(show_posture, settings),
        }
    )
