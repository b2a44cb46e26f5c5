"""Templates: a site's own wording of messages to people, a document that people publish, and a preview of any."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from libs.common.contracts.base import POST, Json, Model, Open, Query, Time, Token
from libs.common.contracts.notifier.channels import Language
from libs.common.contracts.notifier.deliveries import EventName
from libs.common.contracts.notifier.pacing import EventType
from libs.common.contracts.versions import Document
from libs.common.problems import Conflict, Invalid, NotFound

MAX_TEMPLATES = 50
MAX_BYTES = 20 * 1024
PATH = "/api/templates"


def _bounded(source: str) -> str:
    if len(source.encode()) > MAX_BYTES:
        raise ValueError(f"a template has at most {MAX_BYTES} bytes")
    return source


Source = Annotated[str, Field(max_length=MAX_BYTES), AfterValidator(_bounded)]


class Template(Model):
    """Title and text of some events in one language, in Jinja2: they read ``event``, ``data`` and ``message``."""

    name: Token = Field(description="What subscriptions and channels call it")
    language: Language = Field("en", description="Which of the two languages it is in")
    event_types: tuple[EventType, ...] = Field(
        ("*",), min_length=1, max_length=50, description="Which events it words; of several the first that fits"
    )
    title: Source = Field("{{ message.title }}", min_length=1, description="One line")
    body: Source = Field(min_length=1, description="The text, which every kind of channel escapes as it must")
    html: Source = Field("", description="For e-mail, where it shall be more than the text; values are escaped")


class Templates(Model):
    """A site's templates. Several of one name and language may each be for other events."""

    templates: tuple[Template, ...] = Field((), max_length=MAX_TEMPLATES)


class TemplatePreview(Model):
    """Which template is shown with which event. Without a template, the built-in wording is."""

    template: Template | None = Field(None, description="One that need not be published")
    name: Token | None = Field(None, description="Else one that is in force")
    language: Language = Field("en", description="In which language, unless a template is given")
    event_id: UUID | None = Field(None, description="An event that the notifier has kept")
    event: Json | None = Field(None, description="Else any event, as a CloudEvent in JSON")
    event_name: EventName = Field("governance.gate.decided", description="Else a sample of this one")


class Part(Open):
    label: str
    text: str


class TemplatePreviewed(Open):
    """A message as people would get it. ``note``: why the template was not used, if it failed.

    ``text`` is the whole in plain text; ``slack``, ``teams`` and ``html`` are the same as these channels show it.
    """

    event_id: str
    event_name: str
    title: str
    severity: Literal["info", "warning", "critical", "resolved"]
    parts: list[Part]
    by_when: Time | None
    link: str
    templated: bool
    note: str
    text: str
    slack: str
    teams: str
    html: str


TEMPLATES = Document(
    "notifier",
    "templates",
    content=Templates,
    default=Templates(),
    path=PATH,
    what="the message templates",
    read="subscription:read",
    write="subscription:write",
)
preview_template = Query(
    "notifier.templates.preview",
    params=TemplatePreview,
    result=TemplatePreviewed,
    permission="subscription:read",
    http=POST(f"{PATH}/preview"),
    errors=(NotFound, Invalid, Conflict),
    summary="Show what people would read of an event, by a template or as built in; nothing is sent",
)
