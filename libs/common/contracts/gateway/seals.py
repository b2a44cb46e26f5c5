"""What a caller may send where the edge adds fields of its own."""

from __future__ import annotations

from pydantic import BaseModel

from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.accounts import AccountCreate, AccountPatch
from libs.common.contracts.gateway.federation import Federation
from libs.common.contracts.gateway.grants import GrantGive, GrantKey
from libs.common.contracts.gateway.passwords import PasswordChange, PasswordInvite
from libs.common.contracts.gateway.personal import UserErase
from libs.common.contracts.gateway.rights import PermissionAsk
from libs.common.contracts.gateway.roles import RoleCreate, RoleKey, RolePatch
from libs.common.contracts.gateway.second_factors import FactorCode
from libs.common.contracts.gateway.sessions import SessionRevoke, SessionsEnd, SessionsRevoke
from libs.common.contracts.gateway.shares import ShareCreate
from libs.common.contracts.gateway.sign_in import SignIn
from libs.common.contracts.gateway.subscribers import SubscriberCreate, SubscriberKey
from libs.common.contracts.gateway.teams import TeamCreate, TeamKey, TeamPatch
from libs.common.contracts.gateway.tokens import TokenIssue, TokenKey, TokenRotate, TokensRevoke
from libs.common.contracts.gateway.users import UserCreate, UserKey, UserPatch
from libs.common.contracts.gateway.webhooks import WebhookCreate, WebhookRotate
from libs.common.contracts.governance.approvals import CandidateWord
from libs.common.contracts.governance.delegations import DelegationRequest
from libs.common.contracts.governance.groups import Groups
from libs.common.contracts.governance.publishing import PolicyWord
from libs.common.contracts.governance.runs import RunKey
from libs.common.contracts.notifier.channels import ChannelChange, ChannelCreate
from libs.common.contracts.notifier.subscriptions import SubscriptionCreate, SubscriptionRotate
from libs.common.contracts.tracker.comments import CommentKey
from libs.common.contracts.versions import Publication, Rollback

# By the name in `Http.seal`; the model on the bus has more fields.
SEALED_BODIES: dict[str, type[BaseModel]] = {
    "token": TokenIssue,
    "token_rotation": TokenRotate,
    "tokens": TokensRevoke,
    "password_code": PasswordInvite,
    "password_change": PasswordChange,
    "password_key": UserKey,
    "second_factor": Nothing,
    "factor_confirm": FactorCode,
    "factor_drop": FactorCode,
    "step_up": FactorCode,
    "scope": TokenKey,
    "subscriber": SubscriberCreate,
    "subscriber_key": SubscriberKey,
    "caller": Nothing,
    "caller_session": Nothing,
    "sessions": SessionsEnd,
    "user_session": SessionRevoke,
    "user_sessions": SessionsRevoke,
    "permission": PermissionAsk,
    "keys": Nothing,
    "share": ShareCreate,
    "role": RoleCreate,
    "role_change": RolePatch,
    "role_key": RoleKey,
    "user": UserCreate,
    "user_change": UserPatch,
    "user_erase": UserErase,
    "account": AccountCreate,
    "account_change": AccountPatch,
    "team": TeamCreate,
    "team_change": TeamPatch,
    "team_key": TeamKey,
    "grant": GrantGive,
    "grant_key": GrantKey,
    "sign_in": Publication[SignIn],
    "federation": Publication[Federation],
    "groups": Publication[Groups],
    "granted_rollback": Rollback,
    "for_others": CommentKey,
    "webhook": WebhookCreate,
    "webhook_secret": WebhookRotate,
    "approver": CandidateWord,
    "delegator": DelegationRequest,
    "policy_approver": PolicyWord,
    "person": RunKey,
    "channel": ChannelCreate,
    "channel_change": ChannelChange,
    "subscription": SubscriptionCreate,
    "subscription_secret": SubscriptionRotate,
}
