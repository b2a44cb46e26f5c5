"""What a caller may send where the edge adds fields of its own."""

from __future__ import annotations

from pydantic import BaseModel

from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.subscribers import SubscriberCreate, SubscriberKey
from libs.common.contracts.gateway.tokens import TokenIssue, TokenKey
from libs.common.contracts.gateway.webhooks import WebhookCreate, WebhookRotate
from libs.common.contracts.governance.approvals import CandidateWord
from libs.common.contracts.governance.delegations import DelegationRequest
from libs.common.contracts.governance.publishing import PolicyWord
from libs.common.contracts.notifier.channels import ChannelChange, ChannelCreate
from libs.common.contracts.notifier.subscriptions import SubscriptionCreate, SubscriptionRotate
from libs.common.contracts.tracker.comments import CommentKey

# By the name in `Http.seal`; the model on the bus has more fields.
SEALED_BODIES: dict[str, type[BaseModel]] = {
    "token": TokenIssue,
    "scope": TokenKey,
    "subscriber": SubscriberCreate,
    "subscriber_key": SubscriberKey,
    "caller": Nothing,
    "for_others": CommentKey,
    "webhook": WebhookCreate,
    "webhook_secret": WebhookRotate,
    "approver": CandidateWord,
    "delegator": DelegationRequest,
    "policy_approver": PolicyWord,
    "channel": ChannelCreate,
    "channel_change": ChannelChange,
    "subscription": SubscriptionCreate,
    "subscription_secret": SubscriptionRotate,
}
