"""Words for people: the message of an event, built in or by a site's template, and the one that stands for many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from itertools import islice
from typing import Any

from libs.common.cloudevents import CloudEvent, format_time
from libs.common.contracts import find
from libs.common.contracts.notifier.templates import Template
from services.notifier.domain import message
from services.notifier.domain.escaping import line, lines
from services.notifier.domain.escaping import markup as escape
from services.notifier.domain.labels import word
from services.notifier.domain.message import Language, Message, Severity, label
from services.notifier.domain.stories import Told, story_of
from services.notifier.words.sandbox import BadTemplate, compiled, render

MAX_ENTRIES = 50  # of a digest
MAX_TEXT, MAX_MEMBERS, MAX_DATA_DEPTH = 2_000, 1_000, 10  # of the data that a template reads
MAX_NOTE = 500
_GRAVEST: tuple[Severity, ...] = ("critical", "warning", "info", "resolved")


def message_of(
    event: CloudEvent,
    language: Language = "en",
    template: Template | None = None,
    *,
    base_url: str = "",
    acknowledge_link: str = "",
    zone: tzinfo = UTC,
) -> Message:
    """The message of an event in a language, with times in ``zone``; links are left out without a ``base_url``.

    Where a site's template fails, it is the built-in one, whose ``note`` says so: no message is lost by its wording.
    """
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
    built = _whole(replace(story_of(told, language, zone, base_url), acknowledge_link=acknowledge_link))
    if template is None:
        return built
    try:
        return _worded(built, event, template)
    except BadTemplate as error:
        note = f"The template {template.name} failed ({error}), so the built-in wording was sent."
        return replace(built, note=line(note, MAX_NOTE))


def _worded(built: Message, event: CloudEvent, template: Template) -> Message:
    """The same message in the words of a template. Raises `BadTemplate`."""
    values = {"event": _about(event), "data": plain(event.data), "message": _shown(built)}
    title = line(render(compiled(template.title), values), message.MAX_TITLE)
    text = lines(render(compiled(template.body), values), message.MAX_BODY)
    if not text:
        raise BadTemplate(1, "its text is empty")
    markup = render(compiled(template.html, html=True), values) if template.html else paragraphs(text)
    if (link := built.acknowledge_link) and link not in text:  # whatever the template says, who is told can answer
        name = label("acknowledge", built.language)
        text, markup = f"{text}\n\n{name}: {link}", f'{markup}<p><a href="{escape(link)}">{escape(name)}</a></p>'
    return replace(built, title=title or built.title, body_text=text, body_html=markup, templated=True)


def paragraphs(text: str) -> str:
    """Plain text as HTML."""
    return "".join(f"<p>{escape(one).replace(chr(10), '<br>')}</p>" for one in text.split("\n\n") if one.strip())


def plain(value: Any, depth: int = 0) -> Any:
    """An event's data as templates read it: each text one clean line, lists and depth within limits."""
    if isinstance(value, str):
        return line(value, MAX_TEXT)
    if depth >= MAX_DATA_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(one, depth + 1) for key, one in islice(value.items(), MAX_MEMBERS)}
    if isinstance(value, list):
        return [plain(one, depth + 1) for one in value[:MAX_MEMBERS]]
    return value if isinstance(value, bool | int | float) else None


def _about(event: CloudEvent) -> dict[str, str]:
    texts = {"id": event.id, "type": event.name, "subject": event.subject, "site": event.site, "actor": event.actor}
    return {name: line(text, MAX_TEXT) for name, text in texts.items()} | {"time": format_time(event.time)}


def _shown(built: Message) -> dict[str, Any]:
    names = ("title", "what", "where", "why", "who", "severity", "link", "acknowledge_link", "language")
    facts = [{"label": name, "text": text} for name, text in built.facts]
    return {name: getattr(built, name) for name in names} | {"by_when": built.by_when_text, "facts": facts}


def digest_of(messages: Sequence[Message], more: int = 0) -> Message:
    """One message for many, in their order: the first `MAX_ENTRIES` by name, and how many more. At least one.

    ``more`` are those of which nothing but the number is known.
    """
    language, count = messages[0].language, len(messages) + more
    counts = Counter(one.severity for one in messages)
    gravest = next(severity for severity in _GRAVEST if counts[severity])
    said = ", ".join(f"{counts[one]} {word(one, language)}" for one in _GRAVEST if counts[one])
    facts = [
        (line(f"{number}. {word(one.severity, language)}", message.MAX_LABEL), _entry(one))
        for number, one in enumerate(messages[:MAX_ENTRIES], 1)
    ]
    if (left := count - MAX_ENTRIES) > 0:
        facts.append((word("more_label", language), word("more", language, count=left)))
    title = f"{word('digest', language, count=count)}: {said}"
    built = Message(title=title, severity=gravest, facts=tuple(facts), language=language, event_name="digest")
    return replace(_whole(built), note=next((one.note for one in messages if one.note), ""))


def _entry(one: Message) -> str:
    why = line(one.why, 100)
    return line(one.title + (f" · {why}" if why else "") + (f" · {one.link}" if one.link else ""), message.MAX_FACT)


def _whole(built: Message) -> Message:
    return replace(built, body_text=built.plain(), body_html=built.html())
