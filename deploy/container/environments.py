"""What each consumer is told of its own: addresses with its credentials, and what it alone can sign or open."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.installation import ADMIN, gateway_secrets, rehearsal_user
from libs.common.admin import derived_password, service_url
from libs.common.contracts import SERVICES
from libs.common.migrations import login_role


@dataclass(frozen=True)
class Places:
    """Where the servers of the bus are reached: ``host:port``, several with commas; the monitoring page is a URL."""

    bus: str
    monitor_url: str
    rehearsal: str


def environments(secret: str, admin_database_url: str, places: Places) -> dict[str, dict[str, str]]:
    """By consumer, ``admin`` first, its environment: no service holds a password of another."""
    nats_url = f"nats://{ADMIN}:{derived_password(secret, 'nats', ADMIN)}@{places.bus}"
    rehearsal = rehearsal_user(derived_password(secret, "nats", "rehearsal"))
    known = {
        ADMIN: {
            "HEADGATE_ADMIN_DATABASE_URL": admin_database_url,
            "HEADGATE_ADMIN_NATS_URL": nats_url,
            "HEADGATE_CLUSTER_SECRET": secret,
            "HEADGATE_REHEARSAL_NATS_URL": f"nats://{rehearsal.name}:{rehearsal.password}@{places.rehearsal}",
        }
    }
    for service in SERVICES:
        known[service] = {
            "HEADGATE_DATABASE_URL": service_url(
                admin_database_url, login_role(service), derived_password(secret, "postgres", service)
            ),
            "HEADGATE_NATS_URL": service_url(nats_url, service, derived_password(secret, "nats", service)),
            "HEADGATE_NATS_MONITOR_URL": places.monitor_url,
            **_own_secrets(secret, service),
        }
    return known


def _own_secrets(secret: str, service: str) -> dict[str, str]:
    """What one service alone can sign or make, or what two alone can open."""
    vault = {"HEADGATE_VAULT_SECRET": derived_password(secret, "vault", "headgate")}
    if service == "governance":
        return {"HEADGATE_CAPSULE_SECRET": derived_password(secret, "capsule", service)}
    if service == "audit":
        return {"HEADGATE_AUDIT_SECRET": derived_password(secret, "audit log", service)}
    if service == "gateway":
        return {**gateway_secrets(secret), **vault}
    return vault if service == "notifier" else {}
