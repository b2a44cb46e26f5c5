"""What a local stack is told: from the environment for people, or by hand for a private stack of the demo or a test."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded import free_ports
from deploy.installation import InstallationError, checked_secret, gateway_secrets, kept_secret
from libs.common.admin import derived_password
from libs.common.roster import SERVICES, place
from libs.common.settings import Settings

# What only the supervisor may know; a service gets addresses of its own.
_KEPT_BACK = {
    "HEADGATE_ADMIN_DATABASE_URL", "HEADGATE_ADMIN_NATS_URL", "HEADGATE_CLUSTER_SECRET", "HEADGATE_BOOTSTRAP_TOKEN",
    "HEADGATE_DATABASE_URL", "HEADGATE_NATS_URL",
}  # fmt: skip
_KEPT_AS = "cluster-secret"
_OF_PEOPLE = {"HEADGATE_TOKEN", "HEADGATE_URL"}  # by which whoever started the stack logs in somewhere


@dataclass(frozen=True)
class Options:
    """How to run a local stack. `environment` is what every service starts with, before its own addresses."""

    data_dir: Path
    http_port: int
    http_host: str = "127.0.0.1"
    namespace: str = "headgate"
    cluster_secret: str | None = None
    bootstrap_token: str | None = None
    admin_database_url: str | None = None
    admin_nats_url: str | None = None
    nats_url: str | None = None
    nats_monitor_url: str | None = None
    nats_replicas: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def private(cls, data_dir: Path, http_port: int, extra: Mapping[str, str]) -> Options:
        """A stack of its own: nothing that the caller's environment says about Headgate counts."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HEADGATE_")}
        given = dict(extra)
        return cls(
            data_dir.absolute(),
            http_port or free_ports(len(SERVICES)),
            bootstrap_token=given.pop("HEADGATE_BOOTSTRAP_TOKEN", None),
            environment=kept | given,
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> Options:
        """What the environment says."""
        return cls(
            settings.data_dir.absolute(),
            settings.http_port or free_ports(len(SERVICES)),
            settings.http_host,
            settings.namespace,
            settings.cluster_secret.get_secret_value() if settings.cluster_secret else None,
            settings.bootstrap_token.get_secret_value() if settings.bootstrap_token else None,
            settings.admin_database_url.get_secret_value() if settings.admin_database_url else None,
            settings.admin_nats_url.get_secret_value() if settings.admin_nats_url else None,
            settings.nats_url.get_secret_value() if settings.nats_url else None,
            settings.nats_monitor_url,
            settings.nats_replicas,
            {key: value for key, value in os.environ.items() if key not in _KEPT_BACK},
        )

    def secret(self) -> str:
        """The installation's secret: given, or kept in the data folder. Raises `InstallationError`."""
        if self.cluster_secret is not None:
            return checked_secret(self.cluster_secret, "HEADGATE_CLUSTER_SECRET")
        return kept_secret(self.data_dir / _KEPT_AS)

    @property
    def has_kept_secret(self) -> bool:
        """Whether a secret is kept in the data folder already. Raises `InstallationError` if nobody can say."""
        try:
            return (self.data_dir / _KEPT_AS).exists()
        except OSError as error:
            raise InstallationError(f"{self.data_dir}: {error.strerror}. Choose another HEADGATE_DATA_DIR.") from error

    @property
    def speaks_tls(self) -> bool:
        """Whether the gateway is given a certificate."""
        return bool(self.environment.get("HEADGATE_TLS_CERT_FILE"))

    def port_of(self, service: str) -> int:
        """The HTTP port of one service."""
        return self.http_port + place(service)

    @property
    def reach_host(self) -> str:
        """The address under which this machine reaches the services."""
        return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.http_host, self.http_host)  # noqa: S104  compared only

    def keeper_environment(self) -> dict[str, str]:
        """The whole environment of the keeper: where the servers are says the data folder, its token is derived."""
        values = {key: value for key, value in self.environment.items() if key not in _OF_PEOPLE}
        values |= {
            "PYTHONUNBUFFERED": "1",
            "HEADGATE_DATA_DIR": str(self.data_dir),
            "HEADGATE_NAMESPACE": self.namespace,
        }
        if self.cluster_secret is not None:
            values["HEADGATE_CLUSTER_SECRET"] = self.cluster_secret
        folder = values.get("HEADGATE_BACKUP_DIR", "")
        if folder and "://" not in folder:
            values["HEADGATE_BACKUP_DIR"] = str(Path(folder).absolute())  # it works in another folder
        return values

    def service_environment(
        self, service: str, database_url: str, nats_url: str, monitor_url: str | None
    ) -> dict[str, str]:
        """The whole environment of one service: it learns its own credentials and no one else's."""
        values = {
            "HEADGATE_LOG_FORMAT": "text",
            **self.environment,
            "PYTHONUNBUFFERED": "1",
            "HEADGATE_DATA_DIR": str(self.data_dir),
            "HEADGATE_HTTP_HOST": self.http_host,
            "HEADGATE_HTTP_PORT": str(self.http_port),
            "HEADGATE_NAMESPACE": self.namespace,
            "HEADGATE_DATABASE_URL": database_url,
            "HEADGATE_NATS_URL": nats_url,
        }
        if monitor_url:
            values["HEADGATE_NATS_MONITOR_URL"] = monitor_url
        if service == "governance":
            values["HEADGATE_CAPSULE_SECRET"] = derived_password(self.secret(), "capsule", service)
        if service == "audit":
            values["HEADGATE_AUDIT_SECRET"] = derived_password(self.secret(), "audit log", service)
        if service == "gateway":
            values.update(gateway_secrets(self.secret()))
        if service in ("gateway", "notifier"):
            values["HEADGATE_VAULT_SECRET"] = derived_password(self.secret(), "vault", "headgate")
        if service == "gateway" and self.bootstrap_token:
            values["HEADGATE_BOOTSTRAP_TOKEN"] = self.bootstrap_token
        return values
