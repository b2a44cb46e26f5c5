"""The gateway's table of contents: identity is changed by contracts that its own loop answers."""

from __future__ import annotations

from libs.common.contracts.gateway import CONTRACT
from libs.common.service import Service
from services.gateway import backlogs, keys, rights, stepping_up, webhooks
from services.gateway.grants import lending, teams
from services.gateway.identity import (
    accounts,
    federation,
    requiring,
    roles,
    rotation,
    sites,
    token_addresses,
    token_lives,
    token_survey,
    tokens,
    users,
)
from services.gateway.passwords import keeping as passwords
from services.gateway.personal import clients, data, erasing
from services.gateway.second_factors import keeping as second_factors
from services.gateway.sessions import entering, logins, sign_in_due, signing_out, turning_away, watching
from services.gateway.sessions import keeping as sessions
from services.gateway.sharing import shares
from services.gateway.subscribing import subscribers

SERVICE = Service.of(
    CONTRACT,
    sites.TABLE,
    users.TABLE,
    rights.TABLE,
    roles.TABLE,
    lending.TABLE,
    teams.TABLE,
    accounts.TABLE,
    tokens.TABLE,
    rotation.TABLE,
    federation.TABLE,
    federation.POLICY,
    sessions.TABLE,
    logins.TABLE,
    watching.JOBS,
    watching.POLICY,
    passwords.TABLE,
    second_factors.TABLE,
    requiring.JOBS,
    stepping_up.TABLE,
    stepping_up.POLICY,
    entering.TABLE,
    entering.POLICY,
    turning_away.TABLE,
    sign_in_due.JOBS,
    signing_out.TABLE,
    token_lives.POLICY,
    token_lives.JOBS,
    token_addresses.TABLE,
    token_survey.TABLE,
    webhooks.TABLE,
    keys.TABLE,
    shares.TABLE,
    subscribers.TABLE,
    backlogs.TABLE,
    clients.TABLE,
    data.TABLE,
    erasing.TABLE,
    keys=(
        ("webhooks", ("webhook_secret",)),
        ("subscribers", ("bus_account_seed",)),
        ("vault", ("vault_secret", "vault_key_file")),
    ),
)
