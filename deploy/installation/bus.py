"""The users of the bus with the rights that the contracts give them, and the configuration that names them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from deploy.installation.nats_config import Callout, NatsUser, nats_config
from libs.common.admin import derived_password
from libs.common.permissions import SYSTEM_USER, all_permissions, inbox_prefix
from libs.common.topology import Topology
from libs.common.user_jwt import account_seed, public_key

ADMIN = "admin"


def nats_users(secret: str, topology: Topology) -> list[NatsUser]:
    """The administrator first, then one user for each service with the rights that its contracts need."""
    admin = NatsUser(ADMIN, derived_password(secret, "nats", ADMIN), (">",), (), (">",))
    return [admin] + [
        NatsUser(
            service,
            derived_password(secret, "nats", service),
            publish_allow=allowed.publish,
            publish_deny=allowed.publish_deny,
            subscribe_allow=allowed.subscribe,
            allow_responses=True,
        )
        for service, allowed in all_permissions(topology).items()
    ]


def callout(secret: str) -> Callout:
    """Strangers are judged by the gateway, which alone has the seed of this key, and may end their connections."""
    system = NatsUser(
        SYSTEM_USER,
        derived_password(secret, "nats", SYSTEM_USER),
        publish_allow=("$SYS.REQ.SERVER.*.KICK", "$SYS.REQ.SERVER.PING.CONNZ"),
        subscribe_allow=(f"{inbox_prefix('gateway')}.>",),
    )
    return Callout(public_key(account_seed(secret)), system)


def keeper_token(secret: str) -> str:
    """The token by which the keeper reports backups and rehearsals; the gateway knows its SHA-256 only."""
    return f"hg_{derived_password(secret, 'token', 'keeper')}"


def gateway_secrets(secret: str) -> dict[str, str]:
    """What the gateway alone knows, as its environment."""
    return {
        "HEADGATE_WEBHOOK_SECRET": derived_password(secret, "webhook", "gateway"),
        "HEADGATE_BUS_ACCOUNT_SEED": account_seed(secret),
        "HEADGATE_BUS_SYSTEM_PASSWORD": derived_password(secret, "nats", SYSTEM_USER),
        "HEADGATE_KEEPER_TOKEN_SHA256": hashlib.sha256(keeper_token(secret).encode()).hexdigest(),
    }


def rehearsal_user(password: str) -> NatsUser:
    """Who may do everything on a bus that is there for rehearsals only."""
    return NatsUser("rehearsal", password, publish_allow=(">",), subscribe_allow=(">",))


def rehearsal_bus(
    user: NatsUser, *, port: int, monitor_port: int, store_dir: str | Path, host: str = "127.0.0.1"
) -> str:
    """The text of nats-server's configuration for rehearsals: what it holds may be lost at any moment."""
    return nats_config(
        port=port,
        monitor_port=monitor_port,
        store_dir=store_dir,
        server_name="headgate-rehearsal",
        users=[user],
        durable=False,
        listen_host=host,
        monitor_host=host,
        max_file_store_bytes=1 << 50,  # streams reserve their limits; how much there really is, says the disk
    )


def bus_config(
    secret: str, topology: Topology, *, port: int, monitor_port: int, store_dir: str | Path, host: str = "127.0.0.1"
) -> str:
    """The text of nats-server's configuration for this installation; the store is as large as its streams may grow."""
    reserved_bytes = sum(stream.max_bytes or 0 for stream in topology.streams())
    return nats_config(
        port=port,
        monitor_port=monitor_port,
        store_dir=store_dir,
        server_name=f"headgate-{topology.namespace}",
        users=nats_users(secret, topology),
        durable=True,
        listen_host=host,
        monitor_host=host,
        max_file_store_bytes=reserved_bytes + 1024**3,
        callout=callout(secret),
    )
