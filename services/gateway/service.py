"""The gateway's table of contents: identity is changed by contracts that its own loop answers."""

from __future__ import annotations

from libs.common.contracts.gateway import CONTRACT
from libs.common.contracts.gateway.me import get_me
from libs.common.contracts.gateway.sites import create_site, list_sites
from libs.common.contracts.gateway.tokens import issue_token, list_tokens, revoke_token
from libs.common.contracts.gateway.users import create_user, get_user, list_users, patch_user
from libs.common.service import Service
from services.gateway import sites, tokens, users

SERVICE = Service(
    contract=CONTRACT,
    commands={
        create_site: sites.create_site,
        create_user: users.create_user,
        patch_user: users.patch_user,
        issue_token: tokens.issue_token,
        revoke_token: tokens.revoke_token,
    },
    queries={
        list_sites: sites.list_sites,
        list_users: users.list_users,
        get_user: users.get_user,
        list_tokens: tokens.list_tokens,
        get_me: tokens.get_me,
    },
)
