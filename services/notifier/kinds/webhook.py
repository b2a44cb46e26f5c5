"""The channel ``webhook``: Standard Webhooks 1.0 (https://www.standardwebhooks.com), the event as it was."""

from __future__ import annotations

from datetime import datetime

from standardwebhooks import Webhook

from libs.common.contracts.notifier.subscriptions import signing_place
from libs.common.vault import Vault
from services.notifier.claims import Claimed
from services.notifier.domain.attempts import webhook_id
from services.notifier.kinds.request import USER_AGENT, Request

CONTENT_TYPE = "application/cloudevents+json"


def request_of(payload: bytes, claimed: Claimed, vault: Vault, now: datetime) -> Request:
    """One attempt, signed with the secret, and with the one before while that is good.

    Raises `VaultError` if a secret can't be opened.
    """
    secrets = [vault.open(claimed.secret, signing_place(claimed.fingerprint))]
    if claimed.previous_secret and claimed.previous_until and claimed.previous_until > now:
        secrets.append(vault.open(claimed.previous_secret, signing_place(claimed.previous_fingerprint or "")))
    message_id, body = webhook_id(claimed.event_id, claimed.lane), payload.decode()
    headers = {
        "content-type": CONTENT_TYPE,
        "user-agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, now, body) for secret in secrets),
    }
    return Request(claimed.endpoint, headers, payload)
