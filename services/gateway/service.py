"""The gateway's table of contents: identity is changed by contracts that its own loop answers."""

from __future__ import annotations

from libs.common.contracts import gateway as contract
from libs.common.service import Service
from services.gateway import sites, tokens, users

SERVICE = Service(
    contract=contract.CONTRACT,
    commands={
        contract.create_site: sites.create_site,
        contract.create_user: users.create_user,
        contract.patch_user: users.patch_user,
        contract.issue_token: tokens.issue_token,
        contract.revoke_token: tokens.revoke_token,
    },
    queries={
        contract.list_sites: sites.list_sites,
        contract.list_users: users.list_users,
        contract.get_user: users.get_user,
        contract.list_tokens: tokens.list_tokens,
        contract.get_me: tokens.get_me,
    },
)
