"""Texts from outside made harmless: cleaned, shortened, and escaped for the format that shows them.

Names of tests, findings and subjects come from whoever sends reports. None may begin a line of its own, call a whole
channel, hide what it says, or become markup.
"""

from __future__ import annotations

import html
import re

# Marks that turn the direction of text around (Unicode 15, UAX 9), and signs that nobody sees: with them a text reads
# as something else than it is.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0e\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
_BREAKS = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_SPACES = re.compile(r"\s+")
_CALL = re.compile(r"@(?=channel|here|everyone)", re.IGNORECASE)
_CARD = re.compile(r"[\\`*_\[\]()<>#~|!]")
_CARD_LIST = re.compile(r"^(\s*)([-+]|\d+(?=[.)]))", re.MULTILINE)
CUT = "…"


def shortened(text: str, limit: int) -> str:
    """At most ``limit`` characters; what was cut ends in ``…``."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + CUT


def line(text: object, limit: int) -> str:
    """One line of what people can see, at most ``limit`` characters. None is an empty text."""
    if text is None:
        return ""
    whole = str(text)
    seen = _SPACES.sub(" ", _unseen(_BREAKS.sub(" ", whole[: limit * 8]))).strip()
    return shortened(seen + CUT if len(whole) > limit * 8 and len(seen) <= limit else seen, limit)


def lines(text: str, limit: int) -> str:
    """The same with its line breaks, of which at most two stand together."""
    seen = _unseen(_BREAKS.sub("\n", text[: limit * 8]))
    return shortened(re.sub(r"[ \t]+\n", "\n", re.sub(r"\n{3,}", "\n\n", seen)).strip(), limit)


def _unseen(text: str) -> str:
    return _INVISIBLE.sub("", _CONTROLS.sub("", text))


def slack(text: str) -> str:
    """For ``mrkdwn`` of Slack: no link, no mention, and nobody is called by ``@channel``, ``@here`` or ``@everyone``.

    Slack asks for three characters to be escaped (https://docs.slack.dev/messaging/formatting-message-text).
    """
    calm = _CALL.sub("@\u2060", text)
    return calm.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def card(text: str) -> str:
    """For a TextBlock of an Adaptive Card, which reads a part of Markdown: every sign that would mean something.

    Mentions there need an entity of their own, so a text alone calls nobody.
    """
    return _CARD_LIST.sub(r"\1\\\2", _CARD.sub(r"\\\g<0>", text))


def markup(text: str) -> str:
    """For HTML, in an element or in a quoted attribute."""
    return html.escape(text, quote=True)
