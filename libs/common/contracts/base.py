"""How a capability is declared: once, as data. See docs/architecture.md, "One declaration per capability".

From a declaration come the HTTP route with its OpenAPI entry, the bus subject, the permission check, the NATS
permissions of the services, the reference pages and the sweep tests. Adding a capability is a model, a declaration
and a handler; nobody edits the gateway for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, TypeAdapter

from libs.common.problems import Refusal

_NAME = re.compile(r"[a-z]+\.[a-z_]+\.[a-z_]+")
_PLACE = re.compile(r"{([a-z_]+)}")


class Model(BaseModel):
    """Base of everything that crosses a wall: unknown fields are refused, so that a typo is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Open(BaseModel):
    """Base of what services answer or tell: consumers ignore fields that a newer service added."""

    model_config = ConfigDict(extra="ignore", frozen=True)


EARLIEST_YEAR, LATEST_YEAR = 1970, 9000


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs its zone, such as 2026-03-01T09:00:00Z")
    if value.year < EARLIEST_YEAR or value.year > LATEST_YEAR:
        # PostgreSQL and Python disagree about the ends of time: what goes in as year 1 comes back as infinity.
        raise ValueError(f"the time must lie in the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    return value.astimezone(UTC)


Time = Annotated[datetime, AfterValidator(_aware)]
Token = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
Site = Token
Line = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(max_length=4000)]
Json = dict[str, Any]

MOST_ROWS = 1_000  # of a list that is no page, where nothing else is asked for

T = TypeVar("T")


class Page(Open, Generic[T]):
    """A page of a list: ``items`` and, if there is more, the ``next_cursor`` to ask with."""

    items: list[T]
    next_cursor: str | None = None


class Nothing(Model):
    """Of an operation that takes no fields."""


@dataclass(frozen=True, slots=True)
class Csv:
    """How a result reads as CSV: ``rows`` names the list in the result, or makes the rows from it as JSON.

    ``filename`` gets a time stamp added. ``more`` gives the cells of a row that it does not hold by their names.
    """

    rows: str | Callable[[Json], Iterable[Json]]
    columns: tuple[str, ...]
    filename: str
    more: Callable[[Json], Json] | None = None

    def filled(self, rows: Iterable[Json]) -> Iterable[Json]:
        """The rows with their further cells."""
        return rows if self.more is None else ({**row, **self.more(row)} for row in rows)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole list as one download: as CSV, or as one JSON object a line."""

    filename: str
    csv: Csv | None = None

    @property
    def suffix(self) -> str:
        """What the path and the file's name end with."""
        return "ndjson" if self.csv is None else "csv"

    @property
    def media_type(self) -> str:
        """The media type of the answer."""
        return "application/x-ndjson" if self.csv is None else "text/csv"


@dataclass(frozen=True, slots=True)
class Http:
    """Where an operation stands in HTTP.

    ``query`` names fields of a command's model that come from the query string (fields in the path are found by
    themselves, the rest is the JSON body). ``csv_path`` is a further path that always answers CSV. ``reader`` names
    a decoder of the gateway for bodies that are not one JSON object; ``seal`` one that adds a secret at the edge.
    ``file`` is the media type of an operation whose answer is a file: its result is a `Blob`, and the edge sends the
    file's bytes instead. ``bucket`` is where files lie that are too large to come along in it.
    ``basic``: the question may also be asked with HTTP Basic, by the user's name and a token as the password, since who
    asks it can send nothing else.
    ``revision`` names the field of the result that counts a thing's changes: its ETag begins with it. ``if_match``
    names the field of a command that says which revision it is about: the edge fills it from ``If-Match``, the service
    compares it where the thing is locked.
    ``whole``: beside a list of pages with CSV, ``<whole>.csv`` and ``<whole>.ndjson`` answer all of it at once.
    ``cost``: for how many requests one counts by the rate limit.
    ``after``: of a list that is no `Page`, the field of its rows that they are ordered by, each another: the next page
    begins with it as the ``cursor``, which the answer's Link says. It holds as many as ``limit`` says, or `MOST_ROWS`.
    """

    method: str
    path: str
    query: tuple[str, ...] = ()
    status: int = 200
    csv: Csv | None = None
    csv_path: str | None = None
    reader: str | None = None
    seal: str | None = None
    also: tuple[str, ...] = ()
    file: str | None = None
    bucket: str | None = None
    basic: bool = False
    revision: str | None = None
    if_match: str | None = None
    whole: str | None = None
    cost: int = 1
    after: str | None = None

    def following(self, rows: list[Json], limit: int | None) -> str | None:
        """The cursor of the page behind these rows; None where they are fewer than were asked for."""
        return str(rows[-1][self.after]) if self.after is not None and len(rows) >= (limit or MOST_ROWS) else None

    @property
    def has_body(self) -> bool:
        """Whether what is not in the path or the query string comes as a JSON body."""
        return self.method != "GET"

    @property
    def path_fields(self) -> tuple[str, ...]:
        """The names in braces, in order."""
        return tuple(_PLACE.findall(self.path))

    @property
    def names_object(self) -> bool:
        """Whether the path names a thing by its number, so that it may lie at any site and be about any subject."""
        return any(name.endswith("_id") for name in self.path_fields)


def GET(path: str, **more: Any) -> Http:  # noqa: N802
    """A reading route; its fields come from path and query string. See `Http` for the keyword arguments."""
    return Http("GET", path, **more)


def POST(path: str, **more: Any) -> Http:  # noqa: N802
    """A changing route; see `Http` for the keyword arguments."""
    return Http("POST", path, **more)


def PUT(path: str, **more: Any) -> Http:  # noqa: N802
    """A changing route; see `Http` for the keyword arguments."""
    return Http("PUT", path, **more)


def PATCH(path: str, **more: Any) -> Http:  # noqa: N802
    """A changing route; see `Http` for the keyword arguments."""
    return Http("PATCH", path, **more)


def DELETE(path: str, **more: Any) -> Http:  # noqa: N802
    """A changing route; see `Http` for the keyword arguments."""
    return Http("DELETE", path, **more)


@dataclass(frozen=True, slots=True)
class _Named:
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name}: a name reads service.noun.verb in lower-case letters")

    @property
    def service(self) -> str:
        """The service that answers or emits it."""
        return self.name.partition(".")[0]

    @property
    def type(self) -> str:
        """Its CloudEvents ``type``."""
        return f"headgate.{self.name}.v1"


@dataclass(frozen=True, slots=True)
class Command(_Named):
    """An order that exactly one service applies once. ``sited`` false: it concerns the installation, not a site.

    ``job``: the job that runs by hand when this is ordered.
    ``about`` gives the id of the thing that it is about, the one that its events say, in names of its body, of its
    result (``{guide.path}:{guide.version}``), or ``{site}`` and ``{actor}``; or makes it of what was asked and what
    came of it. Unsaid, it is the last name in the route, of a published document its site. ``kind``: what kind of thing
    that is, where the name does not say it.
    """

    body: type[BaseModel] = Nothing
    result: Any = Nothing
    permission: str = ""
    http: Http | None = None
    errors: tuple[type[Refusal], ...] = ()
    summary: str = ""
    sited: bool = True
    job: str = ""
    about: str | Callable[[Json, Json], str] = ""
    kind: str = ""

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True, slots=True)
class Query(_Named):
    """A question to any replica of one service. It changes nothing.

    ``logged``: who was answered over HTTP is told to the audit log (by reader, route and minute).
    """

    params: type[BaseModel] = Nothing
    result: Any = Nothing
    permission: str = ""
    http: Http | None = None
    errors: tuple[type[Refusal], ...] = ()
    summary: str = ""
    sited: bool = True
    logged: bool = False

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True, slots=True)
class Event(_Named):
    """A fact in the past tense, for any number of consumers.

    ``stream`` is ``telemetry`` for samples: many and small, not audited and soon forgotten. No promise hangs on one.
    """

    data: type[BaseModel] = Nothing
    stream: Literal["events", "telemetry"] = "events"
    summary: str = ""

    def __hash__(self) -> int:
        return hash(self.name)


Operation = Command | Query


EVERYTHING = (">",)


@dataclass(frozen=True)
class Contract:
    """All that one service promises, and what it needs of others.

    ``hears`` names events, ``sends`` commands and ``asks`` questions of other services; `EVERYTHING` stands for all.
    Durables and the rights on the bus follow from them. ``samples`` are events on the stream of telemetry.
    ``hears_records``: it is told what became of each command, and where it came from (`libs.common.records`).
    """

    service: str
    commands: tuple[Command, ...] = ()
    queries: tuple[Query, ...] = ()
    events: tuple[Event, ...] = ()
    samples: tuple[Event, ...] = ()
    hears: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    hears_records: bool = False
    by_name: dict[str, Command | Query | Event] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        every: tuple[Command | Query | Event, ...] = (*self.commands, *self.queries, *self.events, *self.samples)
        for declared in every:
            if declared.service != self.service:
                raise ValueError(f"{declared.name} is not of the service {self.service}")
            if declared.name in self.by_name:
                raise ValueError(f"{declared.name} is declared twice")
            if declared not in self.samples:  # nobody can subscribe to those, and no log holds them
                self.by_name[declared.name] = declared

    def operations(self) -> Iterator[Operation]:
        """Commands, then queries."""
        yield from self.commands
        yield from self.queries

    def may_send(self, command: Command) -> bool:
        """Whether the service may order this of another."""
        return self.sends == EVERYTHING or command.name in self.sends

    def may_ask(self, query: Query) -> bool:
        """Whether the service may ask this of another."""
        return self.asks == EVERYTHING or query.name in self.asks


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def encode_result(declared: Any, value: Any) -> bytes:
    """JSON bytes of a handler's answer: a model, a list of models, or bytes that Postgres already made."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump_json().encode()
    adapter = _ADAPTERS.get(declared)
    if adapter is None:
        adapter = _ADAPTERS[declared] = TypeAdapter(declared)
    return adapter.dump_json(value)
