"""Words for people: the message of an event, built in or by a site's template, and the one that stands for many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo

from libs.common.cloudevents import CloudEvent
from libs.common.contracts import find
from services.notifier.domain import message
from services.notifier.domain.escaping import line
from services.notifier.domain.labels import word
from services.notifier.domain.message import Language, Message, Severity
from services.notifier.domain.stories import Told, story_of

MAX_ENTRIES = 50  # of a digest
_GRAVEST: tuple[Severity, ...] = ("critical", "warning", "info", "resolved")


def message_of(
    event: CloudEvent,
    language: Language = "en",
    *,
    base_url: str = "",
    acknowledge_link: str = "",
    zone: tzinfo = UTC,
) -> Message:
    """The message of an event in a language, with times in ``zone``; links are left out without a ``base_url``."""
    declared = find(event.name)
    told = Told(
        event.name,
        event.data if isinstance(event.data, Mapping) else {},
        event.site,
        event.actor,
        event.time,
        event.id,
        getattr(declared, "summary", ""),
    )
    return _whole(replace(story_of(told, language, zone, base_url), acknowledge_link=acknowledge_link))


def digest_of(messages: Sequence[Message]) -> Message:
    """One message for many, in their order: the first `MAX_ENTRIES` by name, and how many more. At least one."""
    language = messages[0].language
    counts = Counter(one.severity for one in messages)
    gravest = next(severity for severity in _GRAVEST if counts[severity])
    said = ", ".join(f"{counts[one]} {word(one, language)}" for one in _GRAVEST if counts[one])
    facts = [
        (line(f"{number}. {word(one.severity, language)}", message.MAX_LABEL), _entry(one))
        for number, one in enumerate(messages[:MAX_ENTRIES], 1)
    ]
    if (left := len(messages) - MAX_ENTRIES) > 0:
        facts.append((word("more_label", language), word("more", language, count=left)))
    title = f"{word('digest', language, count=len(messages))}: {said}"
    return _whole(Message(title=title, severity=gravest, facts=tuple(facts), language=language, event_name="digest"))


def _entry(one: Message) -> str:
    why = line(one.why, 100)
    return line(one.title + (f" · {why}" if why else "") + (f" · {one.link}" if one.link else ""), message.MAX_FACT)


def _whole(built: Message) -> Message:
    return replace(built, body_text=built.plain(), body_html=built.html())
