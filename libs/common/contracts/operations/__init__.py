"""Operations: watches the installation itself, and says what it found as signals that gates judge."""

from __future__ import annotations

from libs.common.contracts.collect import collect
from libs.common.contracts.jobs import jobs_query
from libs.common.contracts.preflight import preflight_event, preflight_query
from libs.common.contracts.vitals import vitals_query
from libs.common.roster import SERVICES

CONTRACT = collect(
    __name__,
    hears=tuple(preflight_event(service).name for service in SERVICES),
    sends=("governance.signal.record",),
    asks=(
        *(question(service).name for service in SERVICES for question in (preflight_query, vitals_query, jobs_query)),
        "gateway.backlogs.list",
        "gateway.tokens.expiring",
        "gateway.sites.every",
        "audit.head.get",
        "audit.chain.verify",
        "metrics.latency.get",
    ),
)
