"""Settings, read from the environment (prefix ``HEADGATE_``); docs/reference/settings.md is generated from here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.common.contracts.governance.reports import MAX_REPORT_BYTES
from libs.common.roster import place


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
    namespace: str = Field(
        "headgate", pattern=r"^[a-z0-9]{1,20}$", description="First token of every NATS subject of this installation."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["json", "text"] = Field("json", description="`json` for machines, `text` for a terminal.")
    pool_size: int = Field(8, ge=2, le=100, description="PostgreSQL connections of one process at the most.")
    command_wait_s: float = Field(10.0, ge=0, le=60, description="How long a changing request waits for its outcome.")
    requests_per_minute: int = Field(6000, ge=1, description="Requests that one token may make in a minute.")
    anonymous_requests_per_minute: int = Field(
        120, ge=1, description="Requests without a valid token that one address may make in a minute."
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
    audit_origin: str | None = Field(
        None,
        description="The audit log's name in its checkpoints, best its address without `https://`, such as "
        "`headgate.example/audit`; `<namespace>/audit` if not set.",
    )
    audit_public: bool = Field(
        False,
        description="Whether anybody may read the audit log's checkpoint and tiles (`/audit/…`, hashes only) without a "
        "token; a setting of the gateway.",
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
    backup_dir: Path | None = Field(
        None,
        description="Folder that `headgate backup` writes to and reads from; if not set, `backups` in the data folder.",
    )
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
    check_retention_days: int = Field(60, ge=1, le=395, description="How long archives of daily checks are kept.")
    cluster_secret: SecretStr | None = Field(
        None, description="Secret from which the services' passwords are derived; made in the data folder if not set."
    )

    def port_of(self, service: str) -> int:
        """The HTTP port of one service: the gateway's, or one of those above it."""
        return self.http_port + place(service) if self.http_port else 0
