"""The runbook: what is looked at in a running installation, and when that is worth a person's time."""

from __future__ import annotations

from dataclasses import dataclass

from libs.common.contracts.base import GET, Json, Open, Query, Time
from libs.common.contracts.preflight import Overall


@dataclass(frozen=True, slots=True)
class Watched:
    """One check: what it looks at, when it is warning and critical (empty: never), and what to do then."""

    id: str
    watches: str
    warning: str
    critical: str
    action: str


CATALOGUE = (
    Watched(
        "startup_preflight",
        "the preflight of every service, made anew",
        "a preflight check warns",
        "one is in error, or a service does not answer",
        "`headgate preflight show --refresh` says what to do about each.",
    ),
    Watched(
        "services_answering",
        "whether each service says how it is getting on",
        "",
        "a service does not answer",
        "Start it; its log says why it ended. What was accepted for it waits.",
    ),
    Watched(
        "dead_letters_held",
        "messages that could not be applied and wait for a decision",
        "",
        "there is one",
        "`headgate dead-letters list`: mend the cause and replay it, or drop it.",
    ),
    Watched(
        "consumer_lag",
        "messages that wait for a service",
        "1,000 on one durable",
        "10,000 on one durable",
        "See whether the service works at all (its log, `headgate_handler_failures`); add a replica if it is slow.",
    ),
    Watched(
        "oldest_pending",
        "the age of the oldest event or command that a service has not applied",
        "5 minutes",
        "30 minutes",
        "Start the service, or look at what it keeps failing at; events are dropped after 30 days.",
    ),
    Watched(
        "outbox_age",
        "the age of the oldest message that a service has said and not sent",
        "1 minute",
        "10 minutes",
        "NATS is away, full or frozen: `/readyz` says which.",
    ),
    Watched(
        "inbox_growth",
        "the oldest id that a service keeps to know repeats",
        "older than 31 days, so it is not tidied up",
        "",
        "See why the job `prune` of that service does not run: `headgate jobs list`.",
    ),
    Watched(
        "stream_fill",
        "how full the streams are that refuse when they are full",
        "80 %",
        "95 %",
        "Find what does not consume (`oldest_pending`), or what fills the bucket; of reports keep fewer days.",
    ),
    Watched(
        "job_runs",
        "the jobs of all services: how they ended last, and whether those that always run did",
        "one failed, or is more than 10 minutes late",
        "",
        "`headgate jobs list`, and the reason in `headgate jobs runs JOB`.",
    ),
    Watched(
        "escalation_on_time",
        "the tracker's own check that escalations took their steps when they were due",
        "its last run found late steps",
        "its last run failed, or found what is critical",
        "See what the tracker waits for: `headgate jobs runs escalation_check`.",
    ),
    Watched(
        "audit_chain_integrity",
        "the newest 2,000 links of the audit log, recomputed",
        "another verification is running",
        "a link does not fit",
        "Touch nothing. Verify the whole log (`headgate audit verify`), and compare with the head you noted elsewhere.",
    ),
    Watched(
        "audit_head_recent",
        "the age of the newest entry of the audit log",
        "26 hours (jobs alone make entries daily), or there is none",
        "",
        "See whether the audit service applies events (`oldest_pending`).",
    ),
    Watched(
        "api_latency_p95",
        "how fast the HTTP API answered in the last hour, by route",
        "p95 of a route is 450 ms",
        "900 ms",
        "`headgate latency show` names the route.",
    ),
    Watched(
        "api_burn_rate",
        "how fast the error budget is spent, in 5 minutes and in an hour",
        "twice as fast as allowed, in both",
        "ten times, in both",
        "Look for 5xx and slow routes: `headgate latency show`.",
    ),
    Watched(
        "token_expiry_pressure",
        "live tokens of active users that stop working within 3 days",
        "there is one",
        "",
        "Issue new ones, and revoke those that nobody uses: `headgate tokens list`.",
    ),
    Watched(
        "ops_daily_check_archive",
        "the files of the newest daily check in the store",
        "there is none yet",
        "one is gone, or is not what was stored",
        "Run the check again (`headgate ops check`); see whether the bucket `checks` is full.",
    ),
)


class RunbookCheck(Open):
    """``message`` says what was found, ``action`` what to do if it is not ok. ``detail`` has the figures."""

    id: str
    status: Overall
    message: str
    action: str
    detail: Json = {}


class Runbook(Open):
    """Every check, each time: one that could not be made is critical with the reason. The whole is as its worst."""

    generated_at: Time
    overall_status: Overall
    check_count: int
    warning_count: int
    critical_count: int
    checks: list[RunbookCheck]


show_runbook = Query(
    "operations.runbook.get",
    result=Runbook,
    permission="operations:read",
    http=GET("/api/ops/runbook/checks"),
    summary="Make every check of the runbook now",
    sited=False,
)
