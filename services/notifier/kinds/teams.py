"""The kind ``teams``: the address of a workflow of Microsoft Teams that posts an Adaptive Card (https://adaptivecards.io)."""

from __future__ import annotations

from typing import Any

import orjson

from services.notifier.claims import Claimed
from services.notifier.domain.escaping import card
from services.notifier.domain.message import Message, label
from services.notifier.kinds.request import Request, address_of, json_request
from services.notifier.kinds.ways import Ways

MAX_BYTES = 26_000  # Teams takes about 28 KB and refuses the whole message beyond that
CARD = "application/vnd.microsoft.card.adaptive"
_COLOURS = {"critical": "Attention", "warning": "Warning", "resolved": "Good", "info": "Accent"}


def request_of(message: Message, claimed: Claimed, ways: Ways) -> Request:
    """One attempt. Raises `VaultError` if the address can't be opened."""
    return json_request(address_of(claimed, ways.vault), document_of(message), claimed)


def document_of(message: Message) -> dict[str, Any]:
    """The message as a workflow takes it; of a long one the last parts are left out."""
    parts = [] if message.templated else list(message.parts())
    texts = message.body_text.splitlines() if message.templated else [message.what] if message.what else []
    while len(orjson.dumps(found := _document(message, texts, parts))) > MAX_BYTES:
        # A tenth at a time: what is cut is read by nobody, so how much exactly matters little.
        if parts:
            parts = parts[: len(parts) - max(len(parts) // 10, 1)]
        else:
            texts = texts[: len(texts) - max(len(texts) // 10, 1)]
    return found


def _document(message: Message, texts: list[str], parts: list[tuple[str, str]]) -> dict[str, Any]:
    title = {"type": "TextBlock", "text": card(message.title), "size": "Medium", "weight": "Bolder", "wrap": True,
             "color": _COLOURS[message.severity]}  # fmt: skip
    body: list[dict[str, Any]] = [title]
    if texts:
        body.append({"type": "TextBlock", "text": "\n\n".join(map(card, texts)), "wrap": True})
    if parts:
        facts = [{"title": card(name), "value": card(text)} for name, text in parts]
        body.append({"type": "FactSet", "facts": facts})
    actions = [
        {"type": "Action.OpenUrl", "title": label(name, message.language), "url": url}
        for name, url in (("acknowledge", message.acknowledge_link), ("link", message.link))
        if url
    ]
    content: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": message.title,
        "lang": message.language,
        "msteams": {"width": "Full"},
        "body": body,
    }
    if actions:
        content["actions"] = actions
    return {"type": "message", "attachments": [{"contentType": CARD, "contentUrl": None, "content": content}]}
