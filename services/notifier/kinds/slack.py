"""The kind ``slack``: an incoming webhook of Slack, in Block Kit (https://docs.slack.dev/reference/block-kit/blocks)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.notifier.claims import Claimed
from services.notifier.domain.escaping import shortened, slack
from services.notifier.domain.message import Message, label
from services.notifier.kinds.request import Request, address_of, json_request
from services.notifier.kinds.ways import Ways

MAX_BLOCKS, MAX_SECTION, MAX_HEADER = 50, 3_000, 150
MAX_ALL = 12_000  # Slack refuses about 13,200 characters in all blocks together as msg_blocks_too_long
MAX_FALLBACK = 3_000
_MARKS = {"critical": "🔴", "warning": "🟠", "resolved": "🟢", "info": "🔵"}


def request_of(message: Message, claimed: Claimed, ways: Ways) -> Request:
    """One attempt. Raises `VaultError` if the address can't be opened."""
    return json_request(address_of(claimed, ways.vault), document_of(message), claimed)


def document_of(message: Message) -> dict[str, Any]:
    """The message as Slack takes it. ``text`` is what notifications and screen readers show."""
    title = shortened(f"{_MARKS[message.severity]} {message.title}", MAX_HEADER)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}}]
    left = MAX_ALL
    for text in _sections(_lines(message)):
        if len(blocks) == MAX_BLOCKS or len(text) > left:
            break
        left -= len(text)
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": text}})
    return {
        "text": shortened(slack(": ".join(filter(None, (message.title, message.what)))), MAX_FALLBACK),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _lines(message: Message) -> Iterable[str]:
    """Lines in Slack's markup, the links before what may be cut."""
    links = [
        f"<{_url(url)}|{label(name, message.language)}>"
        for name, url in (("acknowledge", message.acknowledge_link), ("link", message.link))
        if url
    ]
    if message.templated:
        yield from ([" · ".join(links)] if links else [])
        yield from (slack(line) for line in message.body_text.splitlines())
        return
    if message.what:
        yield slack(message.what)
    if links:
        yield " · ".join(links)
    yield from (f"*{slack(name)}:* {slack(text)}" for name, text in message.parts())


def _url(url: str) -> str:
    return slack(url).replace("|", "%7C")


def _sections(lines: Iterable[str]) -> Iterable[str]:
    """Lines put together to as few texts as may be, each within the limit of a section."""
    text = ""
    for line in lines:
        one = shortened(line, MAX_SECTION)
        if text and len(text) + 1 + len(one) > MAX_SECTION:
            yield text
            text = one
        else:
            text = f"{text}\n{one}" if text else one
    if text.strip():
        yield text
