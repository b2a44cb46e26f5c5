"""Templates: what a site has published, looked up for a message; refused when they can't be good; and their preview."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from libs.common import versions
from libs.common.cloudevents import CloudEvent, DecodeError, decode
from libs.common.contracts.notifier import templates as contract
from libs.common.contracts.notifier.templates import (
    TEMPLATES,
    Part,
    Template,
    TemplatePreview,
    TemplatePreviewed,
    Templates,
)
from libs.common.contracts.roles import GUARDED
from libs.common.contracts.versions import Published
from libs.common.listing import Source
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Connection, Read, Table, Tx
from libs.common.telemetry import log
from services.notifier.domain import escaping
from services.notifier.domain.matching import type_pattern
from services.notifier.domain.message import Language
from services.notifier.roll import RAISE_NUMBER
from services.notifier.words.messages import message_of
from services.notifier.words.samples import EVENTS, sample
from services.notifier.words.sandbox import BadTemplate, compiled, html_problem

SELECT_EVENT = "SELECT payload FROM event WHERE event_id = $1 AND site = $2"


@dataclass(frozen=True, slots=True)
class Wordings:
    """The templates in force at a site."""

    content: Templates = TEMPLATES.default

    def has(self, name: str) -> bool:
        """Whether there is one of this name, in any language."""
        return any(one.name == name for one in self.content.templates)

    def find(self, name: str, language: Language, event_name: str) -> Template | None:
        """The first of this name and language that is for the event; None: the built-in wording is."""
        for one in self.content.templates:
            if (one.name, one.language) == (name, language) and type_pattern(one.event_types).fullmatch(event_name):
                return one
        return None


async def wordings_of(source: Source, site: str) -> Wordings:
    """What is in force at a site. Raises `Conflict` for what an older version published and this one can't read."""
    return Wordings((await versions.current(source, TEMPLATES, site)).content)


async def need_template(tx: Tx, name: str) -> None:
    """Raise `Invalid` if the site has no template of this name."""
    if not (await wordings_of(tx.connection, tx.site)).has(name):
        raise Invalid(f"template: no template is called {name} in this site; GET /api/templates lists them.")


class Wordbook:
    """Holds the templates of a process, and reads those of a site anew when something has been published."""

    def __init__(self) -> None:
        self._number, self._sites = 0, dict[str, Wordings]()

    async def read(self, connection: Connection, sites: Iterable[str], number: int) -> None:
        """Have what is in force at these sites at hand. ``number`` is the roll's."""
        if number != self._number:
            self._number = number
            self._sites.clear()
        for site in set(sites) - set(self._sites):
            try:
                self._sites[site] = await wordings_of(connection, site)
            except Conflict as error:  # of a newer Headgate; what is built in needs nobody's templates
                log.warning("templates can't be read", site=site, error=error.detail)
                self._sites[site] = Wordings()

    def find(self, site: str, name: str | None, language: Language, event_name: str) -> tuple[Template | None, str]:
        """The template for an event, if there is one, and what to say where a whole name is gone."""
        if name is None:
            return None, ""
        known = self._sites.get(site, Wordings())
        found = known.find(name, language, event_name)
        return found, "" if known.has(name) else f"The site has no template {name} any more."


async def apply_templates(tx: Tx, published: Published[Templates]) -> None:
    """Put a new version in force. Raises `Invalid` that names each template, part and line that can't be good."""
    found = [
        {"field": f"content.templates.{number}.{part}", "message": said}
        for number, one in enumerate(published.content.templates)
        for part, said in _problems(one, tx.site)
    ]
    if found:
        first = f"{found[0]['field']}: {found[0]['message']}"
        raise Invalid(f"The templates can't be published: {first}.", errors=found)
    await tx.connection.execute(RAISE_NUMBER)


def _problems(template: Template, site: str) -> Iterator[tuple[str, str]]:
    for part in ("title", "body", "html"):
        source, html = getattr(template, part), part == "html"
        try:
            compiled(source, html=html)
        except BadTemplate as error:
            yield part, str(error)
            return
        if html and (problem := html_problem(source)):
            yield part, str(problem)
            return
    pattern = type_pattern(template.event_types)
    names = [name for name in EVENTS if pattern.fullmatch(name)]
    if not names:
        yield "event_types", "no event is called so; docs/reference/events.md lists them all"
        return
    notes = []
    for name in names:  # a field that some events lack is no mistake; one that all of them lack is
        if not (note := message_of(sample(name, site), template.language, template).note):
            return
        notes.append(note)
    yield "body", f"it can't word any event that it is for, such as {names[0]}: {notes[0]}".rstrip(".")


def _preview(base_url: str) -> Any:
    async def preview(read: Read, asked: TemplatePreview) -> TemplatePreviewed:
        """What people would read. Raises `NotFound`, `Invalid`, `Conflict`."""
        template, language = asked.template, asked.language
        if template is not None:
            language = template.language
            if found := next(_problems(template, read.site), None):
                raise Invalid(f"template.{found[0]}: {found[1]}.")
        event = await _event(read, asked)
        if template is None and asked.name is not None:
            template = (await wordings_of(read.pool, read.site)).find(asked.name, language, event.name)
            if template is None:
                raise NotFound(f"No template {asked.name} in {language} is for {event.name}; GET /api/templates.")
        built = message_of(event, language, template, base_url=base_url)
        return TemplatePreviewed(
            event_id=event.id,
            event_name=event.name,
            title=built.title,
            severity=built.severity,
            parts=[Part(label=label, text=text) for label, text in built.parts()],
            by_when=built.by_when,
            link=built.link,
            templated=built.templated,
            note=built.note,
            text=built.body_text,
            slack=escaping.slack(built.body_text),
            teams=escaping.card(built.body_text),
            html=built.body_html,
        )

    return preview


async def _event(read: Read, asked: TemplatePreview) -> CloudEvent:
    """The event that a preview is of. Raises `NotFound`, `Invalid`."""
    if asked.event_id is not None:
        payload = await read.pool.fetchval(SELECT_EVENT, asked.event_id, read.site)
        event = decode(payload) if payload is not None else None
        if event is None or not _may_read(read, event.name):
            raise NotFound(f"The notifier has kept no event {asked.event_id} of this site; GET /api/deliveries.")
        return event
    if asked.event is not None:
        return _given(asked.event, read.site)
    if asked.event_name not in EVENTS:
        raise Invalid(f"event_name: no event is called {asked.event_name}; docs/reference/events.md lists them all.")
    return sample(asked.event_name, read.site)


def _given(document: dict[str, Any], site: str) -> CloudEvent:
    try:
        event = decode(
            orjson.dumps({"id": str(uuid.UUID(int=0)), "source": "/preview", "specversion": "1.0", **document})
        )
    except DecodeError as error:
        raise Invalid(f"event: {error}.") from None
    event.site = site
    return event


def _may_read(read: Read, name: str) -> bool:
    return all(needed in read.permissions for pattern, needed in GUARDED if pattern.fullmatch(name))


def table(base_url: str) -> Table:
    """What this module answers; ``base_url`` begins the links of a preview."""
    published = versions.table(TEMPLATES, applied=apply_templates)
    return Table(
        commands=published.commands,
        queries={**published.queries, contract.preview_template: _preview(base_url)},
    )
