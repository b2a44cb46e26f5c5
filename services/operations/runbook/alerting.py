"""Checks of alerting itself: what the notifier says of its guard, its jobs and its judges."""

from __future__ import annotations

from libs.common.contracts.notifier.alerting import Alerting
from libs.common.contracts.preflight import Overall
from services.operations.runbook.found import Check, Found, age_text, some
from services.operations.runbook.readings import Readings

NO_SITES = "in no site"


def _of(at: Readings) -> Alerting:
    found: Alerting = at.of("alerting")
    return found


def alert_channel_guard(at: Readings) -> Found:
    """Targets that are left alone, or begin to be."""
    told = _of(at)
    named = some([f"{one.name or one.target} ({one.site}, {one.event_type}): {one.error}" for one in told.targets])
    figures = {
        "quarantined_count": told.quarantined_global_count + told.quarantined_other_count,
        "warning_count": told.failing_count,
    }
    if told.quarantined_global_count:
        return "critical", f"{told.quarantined_global_count} are quarantined: {named}", figures
    if told.quarantined_other_count or told.failing_count:
        return "warning", named, figures
    return "ok", "no target keeps failing", figures


def alert_retry_recent(at: Readings) -> Found:
    """Whether what is due is sent."""
    told = _of(at)
    figures = {"late_count": told.late_count}
    if not told.late_count:
        return "ok", "what is due is sent", figures
    age = age_text(at.now - told.oldest_late_at) if told.oldest_late_at else "some time"
    return "warning", f"{told.late_count} deliveries are late, the oldest by {age}", figures


def alert_retention_recent(at: Readings) -> Found:
    """Whether old deliveries go."""
    sites = _of(at).unkept_sites
    text = f"it has not run for 36 hours while something is over, in {some(sites)}"
    return "warning" if sites else "ok", text if sites else "nothing waits for it", {"sites": sites}


def alert_guard_recovery_recent(at: Readings) -> Found:
    """Whether what is quarantined is probed."""
    count = _of(at).unprobed_count
    text = f"{count} quarantined targets were due for a probe 3 hours ago" if count else "probes are sent in time"
    return "warning" if count else "ok", text, {"unprobed_count": count}


def alert_mttr_slo_recent(at: Readings) -> Found:
    """Whether the MTTR SLO is checked."""
    sites = _of(at).unchecked_sites
    text = f"no check in 6 hours in {some(sites)}" if sites else "it is checked wherever there are targets"
    return "warning" if sites else "ok", text, {"sites": sites}


def alert_mttr_slo_breach(at: Readings) -> Found:
    """What its newest checks say."""
    sites = _of(at).breaching_sites
    return (
        "warning" if sites else "ok",
        f"targets take too long to recover in {some(sites)}" if sites else f"it is broken {NO_SITES}",
        {"sites": sites},
    )


def alert_noise_policy_documented(at: Readings) -> Found:
    """What people say of alerts, and whether they say anything."""
    found = _of(at).noise
    parts = [f"{one.site}: {'nobody has judged any alert of the window' if one.due else one.message}" for one in found]
    critical = any(one.status == "critical" for one in found)
    word: Overall = "critical" if critical else "warning" if found else "ok"
    return word, some(parts) or f"the limits are exceeded {NO_SITES}", {"sites": [one.site for one in found]}


CHECKS: tuple[Check, ...] = (
    alert_channel_guard,
    alert_retry_recent,
    alert_retention_recent,
    alert_guard_recovery_recent,
    alert_mttr_slo_recent,
    alert_mttr_slo_breach,
    alert_noise_policy_documented,
)
