"""What belongs to one installation and is made once: its secrets, and the bus users and addresses derived from them.

Used by the local supervisor and by the containers' one-shot steps, so that both make the very same thing.
"""

from deploy.installation.bus import (
    ADMIN,
    bus_config,
    callout,
    gateway_secrets,
    keeper_token,
    nats_users,
    rehearsal_bus,
    rehearsal_user,
)
from deploy.installation.nats_config import Callout, NatsUser, nats_config, users_config
from deploy.installation.secrets import InstallationError, checked_secret, kept_secret, write_private

__all__ = [
    "ADMIN",
    "Callout",
    "InstallationError",
    "NatsUser",
    "bus_config",
    "callout",
    "checked_secret",
    "gateway_secrets",
    "keeper_token",
    "kept_secret",
    "nats_config",
    "nats_users",
    "rehearsal_bus",
    "rehearsal_user",
    "users_config",
    "write_private",
]
