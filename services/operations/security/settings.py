"""The settings that a site's security rests on, for the posture."""

from __future__ import annotations

from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.token_policy import TOKEN_POLICY
from libs.common.contracts.operations.integrity import IntegrityWanted
from libs.common.contracts.operations.posture_settings import (
    AlertSettings,
    AuditSettings,
    BackupSettings,
    DeploymentSettings,
    EdgeSettings,
    EvidenceSettings,
    PostureSettings,
    RateLimitSettings,
)
from libs.common.problems import Refusal
from libs.common.service import Read
from libs.common.settings import Settings
from services.operations.asked import ANSWER_S


async def snapshot(settings: Settings, read: Read) -> PostureSettings:
    """What this process was told, and the policy of tokens that is in force."""
    try:
        policy = await read.ask(TOKEN_POLICY.show, Nothing(), timeout_s=ANSWER_S)
    except Refusal:
        policy = None
    sample = IntegrityWanted()
    return PostureSettings(
        rate_limit=RateLimitSettings(
            store=settings.rate_limit_place,
            while_away=settings.rate_limit_away,
            redis_url_configured=settings.rate_limit_url is not None,
            requests_per_minute=settings.requests_per_minute,
            anonymous_requests_per_minute=settings.anonymous_requests_per_minute,
            requests_at_once=settings.requests_at_once,
        ),
        edge=EdgeSettings(
            own_tls=settings.tls_cert_file is not None,
            trusted_proxies=len(settings.trusted_proxies),
            outbound_networks=len(settings.outbound_networks),
            public_url_configured=settings.public_url is not None,
        ),
        audit=AuditSettings(
            algorithms=_algorithms(settings),
            witnesses=len(settings.audit_witnesses),
            time_stamped=settings.audit_tsa_url is not None,
            public_tiles=settings.audit_public,
            retention_days=settings.audit_retention,
        ),
        deployments=DeploymentSettings(
            environment=settings.deploy_environment,
            smoke_recent_hours=settings.deploy_smoke_recent_hours,
            require_runbook_gate=settings.deploy_require_runbook_gate,
        ),
        evidence=EvidenceSettings(
            sample_per_table=sample.sample_per_table,
            max_issues=sample.max_issues,
            check_retention_days=settings.check_retention_days,
            quality_report_retention_days=settings.quality_report_retention_days,
        ),
        alerts=AlertSettings(
            daily_check_level=settings.daily_check_alert_level,
            guard_failures=settings.guard_failures,
            guard_quarantine_minutes=settings.guard_quarantine_minutes,
        ),
        backups=BackupSettings(
            schedule=settings.backup_schedule,
            encrypted=settings.backup_key_file is not None,
            keep_daily=settings.backup_keep_daily,
            keep_weekly=settings.backup_keep_weekly,
            keep_monthly=settings.backup_keep_monthly,
        ),
        preflight_fail_on_error=settings.preflight_fail_on_error,
        token_policy=None if policy is None else policy.content,
        token_policy_version=None if policy is None else policy.version,
    )


def _algorithms(settings: Settings) -> list[str]:
    """By what checkpoints of the audit log are signed."""
    twice = settings.audit_pq or settings.audit_pq_key_file is not None
    return ["Ed25519", "ML-DSA-44"] if twice else ["Ed25519"]
