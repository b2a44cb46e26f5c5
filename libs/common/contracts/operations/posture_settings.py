"""The settings that a site's security rests on, as the environment of the operations service says them."""

from __future__ import annotations

from typing import Literal

from libs.common.contracts.base import Open
from libs.common.contracts.gateway.token_policy import TokenPolicy


class RateLimitSettings(Open):
    """Where requests are counted, and what holds while that place is away."""

    store: Literal["memory", "nats", "redis"]
    while_away: Literal["count", "refuse"]
    redis_url_configured: bool
    requests_per_minute: int
    anonymous_requests_per_minute: int
    requests_at_once: int


class EdgeSettings(Open):
    """``own_tls``: the gateway has a certificate of its own. ``trusted_proxies``: how many networks are believed."""

    own_tls: bool
    trusted_proxies: int
    outbound_networks: int
    public_url_configured: bool


class AuditSettings(Open):
    """How the audit log is signed, seen by others, and shortened."""

    algorithms: list[str]
    witnesses: int
    time_stamped: bool
    public_tiles: bool
    retention_days: dict[str, int]


class DeploymentSettings(Open):
    """What a deployment's smoke test must satisfy."""

    environment: str
    smoke_recent_hours: int
    require_runbook_gate: bool


class EvidenceSettings(Open):
    """Where evidence lies, how much of it is hashed anew at a time, and how long archives are kept."""

    storage: Literal["jetstream"] = "jetstream"
    sample_per_table: int
    max_issues: int
    check_retention_days: int
    quality_report_retention_days: int


class AlertSettings(Open):
    """From what on the daily check alerts, and when a failing target is left alone."""

    daily_check_level: str
    guard_failures: int
    guard_quarantine_minutes: float


class BackupSettings(Open):
    """When backups are made and how many are kept. ``encrypted``: with a key of their own."""

    schedule: str
    encrypted: bool
    keep_daily: int
    keep_weekly: int
    keep_monthly: int


class PostureSettings(Open):
    """A snapshot; no secret, and no address of one. ``token_policy`` is the published one, null while it can't be read.

    Where services run with different environments, the gateway's own may say otherwise; ``guards`` say what it does.
    """

    rate_limit: RateLimitSettings
    edge: EdgeSettings
    audit: AuditSettings
    deployments: DeploymentSettings
    evidence: EvidenceSettings
    alerts: AlertSettings
    backups: BackupSettings
    preflight_fail_on_error: bool
    token_policy: TokenPolicy | None
    token_policy_version: int | None
