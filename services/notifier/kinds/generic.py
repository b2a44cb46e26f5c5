"""The kind ``generic``: the message as plain JSON, for whatever takes that; signed if the channel has a secret."""

from __future__ import annotations

from dataclasses import replace

from standardwebhooks import Webhook

from services.notifier.claims import Claimed
from services.notifier.domain.message import Message
from services.notifier.kinds.request import Request, address_and_secret, json_request
from services.notifier.kinds.ways import Ways


def request_of(message: Message, claimed: Claimed, ways: Ways) -> Request:
    """One attempt. Raises `VaultError` if the address can't be opened."""
    document = {
        "event_id": str(claimed.event_id),
        "event_name": message.event_name,
        "site": claimed.site,
        "severity": message.severity,
        "title": message.title,
        "text": message.body_text,
        "what": message.what,
        "where": message.where,
        "why": message.why,
        "who": message.who,
        "by_when": message.by_when.isoformat() if message.by_when else None,
        "facts": [{"label": label, "text": text} for label, text in message.facts],
        "link": message.link or None,
        "acknowledge_link": message.acknowledge_link or None,
        "dedup_key": message.dedup_key or None,
        "language": message.language,
    }
    address, secret = address_and_secret(claimed, ways.vault)
    made = json_request(address, document, claimed)
    if not secret:
        return made
    at = claimed.claimed_at  # some seconds ago at the most
    signature = Webhook(secret).sign(made.headers["webhook-id"], at, made.body.decode())
    signed = {"webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    return replace(made, headers={**made.headers, **signed})
