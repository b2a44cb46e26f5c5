"""Settings, read from the environment (prefix ``HEADGATE_``); docs/reference/settings.md is generated from here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, IPvAnyNetwork, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.common.contracts.governance.reports import MAX_REPORT_BYTES
from libs.common.contracts.operations.guides import SHIPPED
from libs.common.roster import place

RateClass = Literal["public-read", "public-heavy", "auth-read", "auth-write", "auth-admin", "auth-upload", "auth-heavy"]


class Settings(BaseSettings):
    """What a process of Headgate reads at start. Everything has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="HEADGATE_", extra="ignore", frozen=True)

    http_host: str = Field("127.0.0.1", description="Address on which the gateway and the health pages listen.")
    http_port: int = Field(
        8080, ge=0, le=65530, description="The gateway's port; the other services take the ports above it."
    )
    data_dir: Path = Field(
        Path(".headgate"), description="Folder of the embedded servers' data, the generated secrets and the logs."
    )
    bootstrap_token: SecretStr | None = Field(
        None, description="The first owner's token (`hg_` and 43 characters); if not set, one is made at first start."
    )
    keeper_token_sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the token by which the keeper reports; `make up` and compose derive it.",
    )
    tls_cert_file: Path | None = Field(
        None,
        description="Certificate chain (PEM) with which the gateway speaks TLS by itself; with the key, or not.",
    )
    tls_key_file: Path | None = Field(None, description="The private key (PEM) of the gateway's TLS certificate.")
    trusted_proxies: list[IPvAnyNetwork] = Field(
        [],
        description='Networks of the proxies before the gateway, as JSON: `["10.1.0.0/16"]`. What they say of '
        "a client's address and scheme (`X-Forwarded-For`, `X-Forwarded-Proto`) is believed, of nobody else.",
    )
    public_url: str | None = Field(
        None, description="The address under which people reach the gateway, used in links and documents."
    )
    admin_nats_url: SecretStr | None = Field(
        None,
        description="NATS as an administrator; hosts with commas. When set, no embedded NATS server is started.",
    )
    admin_database_url: SecretStr | None = Field(
        None, description="PostgreSQL as an administrator. When set, no embedded PostgreSQL is started."
    )
    nats_url: SecretStr | None = Field(
        None, description="One service's own NATS address with its credentials; several hosts with commas."
    )
    nats_monitor_url: str | None = Field(
        None, description="The NATS server's monitoring address; without it readiness says `sync: unknown`."
    )
    database_url: SecretStr | None = Field(
        None, description="One service's own PostgreSQL address with its credentials."
    )
    nats_replicas: int | None = Field(
        None,
        ge=1,
        le=5,
        description="How many servers of a NATS cluster hold each stream; the admin step brings streams to it. If not "
        "set, new ones are held by one server, and others stay as they are.",
    )
    namespace: str = Field(
        "headgate", pattern=r"^[a-z0-9]{1,20}$", description="First token of every NATS subject of this installation."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["json", "text"] = Field("json", description="`json` for machines, `text` for a terminal.")
    log_requests: bool = Field(
        True, description="A line of the gateway's log for each HTTP request (docs/ops/MONITORING_REQUIREMENTS.md)."
    )
    pool_size: int = Field(8, ge=2, le=100, description="PostgreSQL connections of one process at the most.")
    command_wait_s: float = Field(10.0, ge=0, le=60, description="How long a changing request waits for its outcome.")
    requests_per_minute: int = Field(
        6000, ge=1, description="Requests by which one token may read in a minute; the other classes follow it."
    )
    anonymous_requests_per_minute: int = Field(
        120,
        ge=1,
        description="Requests without a valid token that one address may make in a minute; half of it as CSV or ICS.",
    )
    rate_classes: dict[RateClass, PositiveInt] = Field(
        {},
        description="Requests of single classes in a minute instead of what follows from the two numbers, as JSON: "
        '`{"auth-upload": 2000}`.',
    )
    requests_at_once: int = Field(100, ge=1, description="Requests that one token may have running in one gateway.")
    rate_limit_url: SecretStr | None = Field(
        None,
        description="A Valkey or Redis in which all gateways count requests together, such as `redis://host:6379/0`.",
    )
    rate_limit_store: Literal["auto", "memory", "nats", "redis"] = Field(
        "auto",
        description="Where requests are counted: each gateway by itself (`memory`), or all together in NATS or Redis; "
        "`auto`: in Redis if there is one, else in NATS.",
    )
    rate_limit_away: Literal["count", "refuse"] = Field(
        "count",
        description="While that place is away: each gateway counts by itself, or nobody passes (503).",
    )
    max_report_bytes: int = Field(
        MAX_REPORT_BYTES, ge=1024, le=MAX_REPORT_BYTES, description="Size of a report that is taken, unpacked."
    )
    report_retention_days: int = Field(
        30, ge=2, le=90, description="How long reports are kept as the tools wrote them; what was read in them stays."
    )
    capsule_secret: SecretStr | None = Field(
        None, description="Secret from which the key is made that signs decisions; `make up` and compose derive it."
    )
    capsule_key_file: Path | None = Field(
        None, description="An Ed25519 private key in PEM that signs decisions instead; a new file is a new key."
    )
    audit_secret: SecretStr | None = Field(
        None,
        description="Secret from which the key is made that signs the audit log; `make up` and compose derive it.",
    )
    audit_key_file: Path | None = Field(
        None, description="An Ed25519 private key in PEM that signs the audit log instead; a new file is a new key."
    )
    audit_pq: bool = Field(
        False,
        description="Whether checkpoints of the audit log are also signed with ML-DSA-44, which holds against quantum "
        "computers, too; the key is made from `HEADGATE_AUDIT_SECRET`.",
    )
    audit_pq_key_file: Path | None = Field(
        None,
        description="An ML-DSA-44 private key in PEM that signs the audit log beside the other; with it "
        "`HEADGATE_AUDIT_PQ` need not be set.",
    )
    audit_origin: str | None = Field(
        None,
        description="The audit log's name in its checkpoints, best its address without `https://`, such as "
        "`headgate.example/audit`; `<namespace>/audit` if not set.",
    )
    audit_witnesses: dict[str, str] = Field(
        {},
        description="Witnesses that are asked to cosign the audit log, their public keys by their addresses, as JSON: "
        '`{"https://witness.example": "witness.example+1a2b3c4d+B…"}`; private networks must be allowed by '
        "`HEADGATE_OUTBOUND_NETWORKS`.",
    )
    audit_retention: dict[str, int] = Field(
        {},
        description="After how many days entries of the audit log lose their bodies, by how their actions begin, as "
        'JSON: `{"default": 2555, "metrics.": 365}`; 90 to 36500, the longest beginning counts. Nothing if not set. '
        "Only what lies in a frozen archive; hashes stay, and all verifies as before. A body does not come back.",
    )
    audit_tsa_url: str | None = Field(
        None,
        description="A time-stamping authority (RFC 3161) that stamps each frozen archive of the audit log, such as "
        "`https://tsa.example/tsr`; private networks must be allowed by `HEADGATE_OUTBOUND_NETWORKS`.",
    )
    audit_public: bool = Field(
        False,
        description="Whether anybody may read the audit log's checkpoint and tiles (`/audit/…`, hashes only) without a "
        "token; a setting of the gateway.",
    )
    sign_in_secrets: dict[str, SecretStr] = Field(
        {},
        description="What providers by which people sign in gave this installation as a client, by their names, as "
        'JSON: `{"acme": "…"}`; a provider without one is shown none. A setting of the gateway.',
    )
    breached_passwords: Path | None = Field(
        None,
        description="A list of lost passwords that nobody may choose, as Have I Been Pwned gives it (SHA-1): a folder "
        "of ranges, or one sorted file. A setting of the gateway.",
    )
    password_hashes_at_once: int = Field(
        1, ge=1, le=16, description="Passwords that one gateway hashes at the same time; others wait, many are refused."
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Secret of the gateway from which those of webhooks are made; `make up` and compose derive it.",
    )
    prometheus_url: SecretStr | None = Field(
        None,
        description="The Prometheus that governance may ask for probes, such as `http://prometheus:9090`; no other is.",
    )
    vault_secret: SecretStr | None = Field(
        None,
        description="Secret from which the key is made that encrypts other systems' secrets; `make up` and compose "
        "derive it.",
    )
    vault_key_file: Path | None = Field(
        None,
        description="Keys that encrypt other systems' secrets instead, one a line (32 bytes in base64): the first "
        "encrypts, all of them open.",
    )
    outbound_networks: list[str] = Field(
        [],
        description='Private networks that users may have called, as JSON: `["10.1.0.0/16"]`; on any port. '
        "Else only public addresses are called.",
    )
    outbound_ports: list[int] = Field([80, 443], description="Ports of public addresses that users may have called.")
    pagerduty_url: str = Field(
        "https://events.pagerduty.com/v2/enqueue",
        description="Where events go for channels of PagerDuty; its European region has another address.",
    )
    smtp_host: str | None = Field(
        None, description="Mail server by which channels of the kind `email` are told; without it there are none."
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection to the mail server is encrypted; what is named is required."
    )
    smtp_user: str | None = Field(None, description="User at the mail server; without it nobody logs in.")
    smtp_password: SecretStr | None = Field(None, description="Password at the mail server.")
    smtp_from: str | None = Field(
        None, description="Whom mail comes from: an address, or `Headgate <headgate@example.com>`."
    )
    guard_failures: int = Field(
        3,
        ge=1,
        le=1000,
        description="Attempts at one type of event that must fail in a row for a target to be left alone.",
    )
    guard_quarantine_minutes: float = Field(
        30,
        ge=1,
        le=1440,
        description="How long such a target is left alone after a failure at the most, before a probe.",
    )
    bus_account_seed: SecretStr | None = Field(
        None,
        description="Seed of the account key (`SA…`) by which the gateway lets subscribers onto the bus; `make up` and "
        "compose derive it. Without it nobody from outside gets in.",
    )
    bus_system_password: SecretStr | None = Field(
        None,
        description="Password of the bus user by whom the gateway ends subscribers' connections; `make up` and compose "
        "derive it.",
    )
    policies_dir: Path | None = Field(
        None, description="Folder of gate policies (YAML) instead of the ones that come with Headgate."
    )
    slo_dir: Path | None = Field(
        None, description="Folder of SLOs (OpenSLO YAML) instead of the ones that come with Headgate."
    )
    watched_routes: list[str] = Field(
        ["*"],
        description="Route templates whose latency is watched, as JSON, such as "
        '`["/api/gates/{gate}/runs", "GET /api/ops/*"]`: those of which the status of the whole and the runbook go.',
    )
    signal_retention_days: int = Field(
        90, ge=1, description="Days after which signals are removed that no stored run used and no fact needs."
    )
    schedules: dict[str, str] = Field(
        {},
        description='Jobs that run at other times, as JSON: `{"<service>.<job>": "<cron> <zone>"}`, such as '
        '`{"governance.ops_governance_gate": "0 7 * * 1-5 Asia/Seoul"}`; `off` switches one off, and `<service>.*` '
        "stands for all jobs of a service.",
    )
    preflight_fail_on_error: bool = Field(
        False, description="Whether a service whose preflight has an error ends at its start, naming the checks."
    )
    preflight_required_env: list[str] = Field(
        ["HEADGATE_DATABASE_URL", "HEADGATE_NATS_URL"],
        description="Names of the environment without which the preflight of every service is in error, as JSON.",
    )
    backup_dir: str | None = Field(
        None,
        description="Folder of backups, or a bucket (`s3://bucket/prefix`, whose `AWS_…` stand in the environment); "
        "if not set, `backups` in the data folder.",
    )
    backup_schedule: str = Field(
        "15 2 * * *",
        description="When the keeper makes a backup: cron, then perhaps a time zone (`30 1 * * * Europe/Berlin`), or "
        "`off`. What was missed is made up.",
    )
    backup_keep_daily: int = Field(7, ge=0, le=10_000, description="Days that keep their last backup.")
    backup_keep_weekly: int = Field(5, ge=0, le=10_000, description="Weeks that keep their last backup.")
    backup_keep_monthly: int = Field(12, ge=0, le=10_000, description="Months that keep their last backup.")
    rehearsal_nats_url: SecretStr | None = Field(
        None,
        description="A NATS server that rehearsals may fill and empty; without it each starts a private one.",
    )
    backup_key_file: Path | None = Field(
        None,
        description="Keys that encrypt backups, one a line (32 bytes in base64): the first encrypts, all of them open. "
        "Without it backups are not encrypted.",
    )
    daily_check_alert_level: Literal["off", "critical", "warning", "always"] = Field(
        "critical", description="From which result on the daily check says so by `operations.alert.raised`."
    )
    check_retention_days: int = Field(
        60, ge=1, le=395, description="How long archives of daily checks and integrity batches are kept."
    )
    quality_report_retention_days: int = Field(
        180, ge=1, le=395, description="How long archives of quality reports are kept."
    )
    deploy_environment: str = Field(
        "production",
        min_length=1,
        max_length=120,
        description="The environment whose deployments the operations gates go by; others are recorded only.",
    )
    deploy_checklist_version: str | None = Field(
        None,
        min_length=1,
        max_length=120,
        description="Version of the checklist of deployments; if not set, `YYYY.MM.vN` by its content.",
    )
    deploy_smoke_recent_hours: int = Field(
        48, ge=1, le=8784, description="Age from which on the runbook warns of the newest deployment's smoke test."
    )
    deploy_require_runbook_gate: bool = Field(
        True, description="Whether a smoke test is a warning when something in the runbook was critical."
    )
    deploy_retention_days: int = Field(
        30, ge=1, le=395, description="How long archived records of smoke tests are kept; the records themselves stay."
    )
    rollback_guide_path: str = Field(
        SHIPPED, min_length=1, max_length=200, description="The rollback guide that deployments are bound to."
    )
    ui_core_path: str = Field(
        "/docs", pattern=r"^/[^?#]*$", max_length=200, description="The main page, which a smoke test asks for."
    )
    ui_core_markers: list[str] = Field(
        ["<title>Headgate", 'id="explorer"'], description="What must stand in that page, as JSON."
    )
    cluster_secret: SecretStr | None = Field(
        None, description="Secret from which the services' passwords are derived; made in the data folder if not set."
    )

    @property
    def rate_limit_place(self) -> Literal["memory", "nats", "redis"]:
        """Where requests are counted."""
        if self.rate_limit_store != "auto":
            return self.rate_limit_store
        return "nats" if self.rate_limit_url is None else "redis"

    def port_of(self, service: str) -> int:
        """The HTTP port of one service: the gateway's, or one of those above it."""
        return self.http_port + place(service) if self.http_port else 0
