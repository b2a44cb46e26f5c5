"""The catalogue of the runbook: what each check looks at, and when that is worth a person's time."""

from __future__ import annotations

from dataclasses import dataclass


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
        "audit_witnessed",
        "whether the witnesses of the audit log cosign it",
        "one has not for half an hour",
        "one saw another history of the log",
        "`headgate audit witnesses` says who saw what, and what to give a witness that refuses.",
    ),
    Watched(
        "audit_archive_signing",
        "whether each month of the audit log that is over was archived, signed by the log's key",
        "the log has no key, or a month waits for 3 hours",
        "a month waits for 7 days",
        "`headgate audit archive make MONTH` says what is in its way.",
    ),
    Watched(
        "evidence_archive_integrity_batch",
        "what the newest batch found that read a sample of stored evidence anew (daily)",
        "something is missing, there was nothing to read, or there is no batch of the last 26 hours",
        "something is not what was stored, or can't be read",
        "`headgate integrity latest` names each; restore it from a backup (docs/operations.md).",
    ),
    Watched(
        "api_latency_p95",
        "how fast the HTTP API answered in the last hour, by route (`HEADGATE_WATCHED_ROUTES`)",
        "p95 of a route is 450 ms, or no route had 8 requests",
        "900 ms",
        "`headgate latency show` names the route. Without requests see whether samples arrive (`oldest_pending`).",
    ),
    Watched(
        "api_burn_rate",
        "the SLOs: how fast their error budgets are spent",
        "a ticket burns, a budget is spent, or no SLO had 8 requests in the last hour",
        "a page burns: 14.4 times as fast as allowed in 5 minutes and an hour, or 6 times in 30 minutes and 6 hours",
        "`headgate slo list` names it; look for 5xx and slow routes: `headgate latency show`.",
    ),
    Watched(
        "token_expiry_pressure",
        "live tokens of active users that stop working within 3 days",
        "there is one",
        "",
        "Issue new ones, and revoke those that nobody uses: `headgate tokens list`.",
    ),
    Watched(
        "rate_limit_backend",
        "where requests are counted against the rate limits (`HEADGATE_RATE_LIMIT_STORE`)",
        "the store does not answer, so each gateway counts by itself",
        "the store does not answer, so no request passes (`HEADGATE_RATE_LIMIT_AWAY`); or the gateway does not say",
        "Start the Valkey or Redis again; until then as many times the limit may pass as there are gateways.",
    ),
    Watched(
        "tls_certificate",
        "the certificate with which the gateway itself speaks TLS (`HEADGATE_TLS_CERT_FILE`)",
        "it ends within 21 days",
        "it is over, its files can't be used, or the gateway does not say",
        "Put a new chain and its key in the place of the old ones: the gateway takes them within 10 s, and logs it.",
    ),
    Watched(
        "ops_daily_check_archive",
        "the files of the newest daily check in the store",
        "there is none yet",
        "one is gone, or is not what was stored",
        "Run the check again (`headgate ops check`); see whether the bucket `checks` is full.",
    ),
    Watched(
        "deploy_smoke_checklist",
        "the smoke test of the newest deployment to the environment of the gates, and the checklist that it went by",
        "there is none, it is older than 48 hours, or it is not fully bound: the runbook was critical, one could not "
        "go back, the checklist is another by now, the main page was not looked at",
        "it failed, or the main page did",
        "`headgate deploy smoke --deploy-id …` after each deployment, and when the checklist or the guide has changed.",
    ),
    Watched(
        "migration_rollback_guide",
        "the rollback guide that deployments are bound to, as the server holds it",
        "",
        "there is none, or it is not what was uploaded",
        "`headgate guides upload FILE`.",
    ),
    Watched(
        "alert_channel_guard",
        "targets of deliveries that keep failing and are left alone",
        "one of another site than `global` is, or one has begun to fail",
        "one of the site `global` is: alerts about the installation may reach nobody",
        "`headgate guard show` names it; mend the receiver, then `headgate guard recover`.",
    ),
    Watched(
        "alert_retry_recent",
        "deliveries that are due, also again, and not sent",
        "one is late by 10 minutes",
        "",
        "Look at the notifier's log and at what the receiver answers: `headgate deliveries list`.",
    ),
    Watched(
        "alert_retention_recent",
        "the job that archives and removes old deliveries",
        "it has not run for 36 hours while something is older than its policy keeps",
        "",
        "`headgate jobs runs alert_retention` says why; a full store of archives keeps everything.",
    ),
    Watched(
        "alert_guard_recovery_recent",
        "probes of what is left alone",
        "one has been due for 3 hours",
        "",
        "See whether the notifier works; `headgate guard recover-batch` probes now.",
    ),
    Watched(
        "alert_mttr_slo_recent",
        "the checks of the mean time to recovery, of each site that has targets",
        "none in 6 hours",
        "",
        "`headgate jobs runs alert_mttr_slo_check`.",
    ),
    Watched(
        "alert_mttr_slo_breach",
        "what the newest of these checks found",
        "targets take longer to recover than the policy allows, or one does not",
        "",
        "`headgate mttr-slo latest` in that site names them.",
    ),
    Watched(
        "alert_noise_policy_documented",
        "what people say of alerts, by the noise policy of each site",
        "more are wrong or missing than it allows, or a review is due: in two weeks 10 were told and nobody judged any",
        "so many weeks one after the other as the policy says",
        "`headgate noise review` in that site; say of alerts whether they were right: `headgate verdicts give`.",
    ),
    Watched(
        "backup_recent",
        "the newest good backup that the keeper, or whoever rehearsed, has told of",
        "it is 26 hours old, there is none yet, or the last try failed",
        "it is 50 hours old, the newest is damaged, or there is none after 50 hours of daily checks",
        "See that the keeper runs (`make up` starts it, compose has it; else `headgate dr work`) and what it says; "
        "`headgate backup create` makes one now.",
    ),
    Watched(
        "backup_room",
        "the room that is left where backups lie, as the keeper told it",
        "less than three times the newest backup, or nobody has told",
        "less than 1.2 times the newest backup: the next one may not fit",
        "Keep fewer (`headgate backup prune`, `HEADGATE_BACKUP_KEEP_…`), or set another `HEADGATE_BACKUP_DIR`.",
    ),
    Watched(
        "dr_rehearsal_recent",
        "the newest rehearsal: a backup really restored and compared",
        "none in 35 days",
        "what was restored was not what was backed up",
        "`headgate dr rehearse`; `headgate rehearsals latest` says what did not hold.",
    ),
    Watched(
        "ops_quality_weekly_report_recent",
        "the age of the newest weekly quality report that counts",
        "8 days, or there is none yet",
        "",
        "`headgate jobs run ops_quality_report_weekly` makes one; by itself it is made on Fridays at 23:40 UTC.",
    ),
    Watched(
        "ops_quality_weekly_report_streak",
        "in how many weeks in a row a quality report was made",
        "fewer than 4 (in the first weeks fewer than have begun), or there is none yet",
        "",
        "Make one each week: `headgate quality streak` shows the weeks, `headgate quality list` says which count.",
    ),
    Watched(
        "runbook_critical_monthly_review",
        "past months' deployments where the runbook and the test did not agree, and what people said of each",
        "a past month with deployments was not reviewed, or somebody's word on what was found is missing",
        "",
        "`headgate reviews run --month …`, `headgate reviews candidates --undecided`, `headgate reviews decide`.",
    ),
)
