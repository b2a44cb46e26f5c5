"""The kind ``generic``: the message as plain JSON, for whatever takes that."""

from __future__ import annotations

from services.notifier.claims import Claimed
from services.notifier.domain.message import Message
from services.notifier.kinds.request import Request, address_of, json_request
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
    return json_request(address_of(claimed, ways.vault), document, claimed)
