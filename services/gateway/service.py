"""The gateway's table of contents: identity is changed by contracts that its own loop answers."""

from __future__ import annotations

from libs.common.contracts.gateway import CONTRACT
from libs.common.service import Service
from services.gateway import backlogs, sites, subscribers, tokens, users, webhooks

SERVICE = Service.of(
    CONTRACT,
    sites.TABLE,
    users.TABLE,
    tokens.TABLE,
    webhooks.TABLE,
    subscribers.TABLE,
    backlogs.TABLE,
    keys=(
        ("webhooks", ("webhook_secret",)),
        ("subscribers", ("bus_account_seed",)),
        ("vault", ("vault_secret", "vault_key_file")),
    ),
)
