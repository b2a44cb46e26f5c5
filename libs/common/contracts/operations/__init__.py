"""Operations: watches the installation itself, and says what it found as signals that gates judge."""

from __future__ import annotations

from libs.common.contracts.collect import collect
from libs.common.contracts.jobs import jobs_query
from libs.common.contracts.preflight import preflight_event, preflight_query
from libs.common.contracts.vitals import vitals_query
from libs.common.roster import SERVICES

CONTRACT = collect(
    __name__,
    hears=(*(preflight_event(service).name for service in SERVICES), "audit.fork.seen"),
    sends=("governance.signal.record",),
    asks=(
        *(question(service).name for service in SERVICES for question in (preflight_query, vitals_query, jobs_query)),
        "gateway.backlogs.list",
        "gateway.tokens.expiring",
        "gateway.sites.every",
        "notifier.dispatches.get",
        "notifier.alerting.get",
        "audit.head.get",
        "audit.log.get",
        "audit.chain.verify",
        "audit.witnesses.list",
        "audit.archiving.get",
        "audit.integrity.sample",
        "metrics.latency.get",
        "metrics.job_runs.count",
        "notifier.alerts.sum",
        "notifier.noise.review",
        "tracker.duties.count",
        "metrics.slo.list",
        "audit.conduct.count",
        "gateway.tokens.survey",
        "gateway.token_policy.show",
        "tracker.calendar.show",
        "governance.integrity.sample",
        "governance.kinds.wanted",
        "notifier.integrity.sample",
    ),
)
