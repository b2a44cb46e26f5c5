"""What a person reads of an event: what, where, why, who, by when, and a link; the same for all kinds of channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from services.notifier.domain.escaping import markup

Language = Literal["en", "ko"]
Severity = Literal["info", "warning", "critical", "resolved"]

MAX_TITLE, MAX_WHAT, MAX_WHERE, MAX_WHY, MAX_WHO = 150, 600, 400, 1_000, 300
MAX_LABEL, MAX_FACT, MAX_FACTS = 80, 300, 60
MAX_KEY, MAX_LINK = 255, 2_000
MAX_BODY = 40_000

_LABELS: dict[str, tuple[str, str]] = {
    "where": ("Where", "위치"),
    "why": ("Why", "이유"),
    "who": ("Who", "담당"),
    "by_when": ("By when", "기한"),
    "link": ("Details", "자세히"),
    "acknowledge": ("Acknowledge", "확인 처리"),
}


def label(name: str, language: Language) -> str:
    """A part's name for people: of ``where``, ``why``, ``who``, ``by_when``, ``link`` or ``acknowledge``."""
    return _LABELS[name][language == "ko"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Each text is one line, free of what nobody sees, and within its limit, but escaped for no format.

    ``by_when`` is in the zone in which it is to be shown. ``link`` and ``acknowledge_link`` are absolute addresses or
    empty. ``dedup_key`` is the same for what is about the same trouble: what is ``resolved`` ends what was told before.
    ``body_text`` and ``body_html`` are the whole message. ``templated``: they are a site's own wording, so that a
    channel shows ``title`` and ``body_text`` and makes nothing of the parts. ``note``: what went wrong with the site's
    own wording, if anything did; the message is the built-in one then.
    """

    title: str
    what: str = ""
    where: str = ""
    why: str = ""
    who: str = ""
    by_when: datetime | None = None
    severity: Severity = "info"
    facts: tuple[tuple[str, str], ...] = ()
    link: str = ""
    acknowledge_link: str = ""
    language: Language = "en"
    dedup_key: str = ""
    event_name: str = ""
    body_text: str = ""
    body_html: str = ""
    templated: bool = False
    note: str = ""

    @property
    def by_when_text(self) -> str:
        """The time with its zone, to the minute; empty if there is none."""
        return shown_time(self.by_when) if self.by_when else ""

    def parts(self) -> Iterator[tuple[str, str]]:
        """Label and text of where, why, who and by when, as far as they are known, and then of each fact."""
        for name, text in (
            ("where", self.where),
            ("why", self.why),
            ("who", self.who),
            ("by_when", self.by_when_text),
        ):
            if text:
                yield label(name, self.language), text
        yield from self.facts

    def plain(self) -> str:
        """The whole in plain text, built from the parts."""
        head = [self.title, *([self.what] if self.what else []), ""]
        about = [f"{name}: {text}" for name, text in self.parts()]
        links = [f"{label(name, self.language)}: {url}" for name, url in self._links()]
        return "\n".join([*head, *about, *([""] if links else []), *links]).strip()

    def html(self) -> str:
        """The whole in HTML, built from the parts: a fragment without styles of others, scripts or pictures."""
        rows = "".join(
            f'<tr><td style="padding:2px 12px 2px 0;vertical-align:top;color:#555">{markup(name)}</td>'
            f'<td style="padding:2px 0">{markup(text)}</td></tr>'
            for name, text in self.parts()
        )
        links = " · ".join(
            f'<a href="{markup(url)}">{markup(label(name, self.language))}</a>' for name, url in self._links()
        )
        return (
            f'<h2 style="font-size:1.1em">{markup(self.title)}</h2>'
            + (f"<p>{markup(self.what)}</p>" if self.what else "")
            + (f"<table>{rows}</table>" if rows else "")
            + (f"<p>{links}</p>" if links else "")
        )

    def _links(self) -> Iterator[tuple[str, str]]:
        if self.acknowledge_link:
            yield "acknowledge", self.acknowledge_link
        if self.link:
            yield "link", self.link


def shown_time(at: datetime) -> str:
    """A time to the minute, with the name of the zone that it is in: ``2026-03-02 18:00 (Asia/Seoul)``."""
    zone = at.tzinfo or UTC
    name = getattr(zone, "key", None) or at.tzname() or "UTC"
    return f"{at:%Y-%m-%d %H:%M} ({name})"
