"""The kind ``pagerduty``: Events API v2 (https://developer.pagerduty.com/docs/events-api-v2/overview/).

What is about one trouble has one ``dedup_key``: an item's is its episode, so a repeat adds to the incident, an
acknowledged escalation acknowledges it, and ``item.resolved`` resolves it. What is only worth knowing opens an alert of
its own: it must not open again what was resolved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from libs.common.cloudevents import decode
from services.notifier.claims import Claimed
from services.notifier.domain.attempts import webhook_id
from services.notifier.domain.escaping import shortened
from services.notifier.domain.message import Message, label
from services.notifier.kinds.request import Request, Trouble, address_of, json_request
from services.notifier.kinds.ways import Ways

MAX_SUMMARY, MAX_KEY = 1_024, 255
_ACKNOWLEDGES = frozenset({"tracker.escalation.acknowledged", "tracker.escalation.snoozed"})


def request_of(message: Message, claimed: Claimed, ways: Ways) -> Request:
    """One attempt. Raises `VaultError` if the routing key can't be opened."""
    routing_key = address_of(claimed, ways.vault)
    document = {"routing_key": routing_key, **document_of(message, claimed)}
    request = json_request(ways.pagerduty_url, document, claimed, hidden=(routing_key,))
    return replace(request, trouble=_trouble(message, claimed, document))


def _trouble(message: Message, claimed: Claimed, document: dict[str, Any]) -> Trouble | None:
    """The incident that is opened or closed; None for an alert of its own, and for an acknowledgement."""
    key, action = document["dedup_key"], document["event_action"]
    if action == "acknowledge" or key != message.dedup_key[:MAX_KEY] or not claimed.payload:
        return None
    return Trouble(key, decode(claimed.payload).time, ends=action == "resolve")


def document_of(message: Message, claimed: Claimed) -> dict[str, Any]:
    """The event, without its routing key."""
    own_key = webhook_id(claimed.event_id, claimed.lane)  # the same at each try, so that a repeat opens nothing
    if message.dedup_key and message.severity == "resolved":
        return {"event_action": "resolve", "dedup_key": message.dedup_key[:MAX_KEY]}
    if message.dedup_key and claimed.event_name in _ACKNOWLEDGES:
        return {"event_action": "acknowledge", "dedup_key": message.dedup_key[:MAX_KEY]}
    grave = message.severity in ("critical", "warning")
    links = [
        {"href": url, "text": label(name, message.language)}
        for name, url in (("acknowledge", message.acknowledge_link), ("link", message.link))
        if url
    ]
    return {
        "event_action": "trigger",
        "dedup_key": (message.dedup_key if grave and message.dedup_key else own_key)[:MAX_KEY],
        "client": "Headgate",
        **({"client_url": message.link} if message.link else {}),
        "links": links,
        "payload": {
            "summary": shortened(": ".join(filter(None, (message.title, message.what))), MAX_SUMMARY),
            "source": f"headgate/{claimed.site}",
            "severity": message.severity if grave else "info",
            "class": claimed.event_name,
            "custom_details": {"text": message.body_text} if message.templated else dict(message.parts()),
        },
    }
