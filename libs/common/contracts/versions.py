"""Documents: what a person publishes for a site, version by version. One declaration gives a kind all its operations.

    CHAINS = Document("tracker", "chains", content=Chains, default=Chains(), path=f"{BASE}/chains", what="the chains")

A service's contract finds the declaration like an operation; `libs.common.versions.table` answers it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints

from libs.common.contracts.base import GET, POST, PUT, Command, Event, Json, Model, Nothing, Open, Page, Query, Time
from libs.common.contracts.changes import FieldChange
from libs.common.contracts.granting import Granter
from libs.common.contracts.names import printable_name
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound, TooLarge

C = TypeVar("C", bound=Model)

MAX_VERSION = 2**31 - 1
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(printable_name)
]
Source = Literal["own", "global", "default"]
WHY = "Why, in a line; it stays in the history"
EXPECTED = "Refuse (409) unless this is the site's own newest version; 0: it has none"


class Published(Open, Generic[C]):
    """The document that is in force for a site, and where it comes from.

    ``source`` says whose it is: the site's ``own``, that of ``global``, or the ``default`` of the code, which has
    version 0, no author and no time. ``own_version`` counts the site's own versions, 0 if it has none: what
    ``expected_version`` is compared with. ``digest`` is the SHA-256 (hex) of the content as JSON with sorted keys.
    """

    source: Source
    version: int
    own_version: int
    digest: str
    author: str | None
    reason: str
    restores: int | None = None
    published_at: Time | None
    content: C


class Publication(Model, Generic[C]):
    content: C = Field(description="The whole document; it replaces the one before")
    reason: Reason = Field(description=WHY)
    expected_version: int | None = Field(None, ge=0, le=MAX_VERSION, description=EXPECTED)


class Rollback(Model):
    version: int = Field(ge=1, le=MAX_VERSION, description="The version whose content is published again")
    reason: Reason = Field(description=WHY)
    expected_version: int | None = Field(None, ge=0, le=MAX_VERSION, description=EXPECTED)


class PublicationSealed(Publication[C], Granter, Generic[C]):
    """What travels on the bus of a document that gives rights: the edge adds what the caller may."""


class RollbackSealed(Rollback, Granter):
    """What travels on the bus, like `PublicationSealed`."""


class VersionFilter(Model):
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class VersionKey(Model):
    version: int = Field(ge=1, le=MAX_VERSION, description="Which of the site's own versions")


class DiffKey(VersionKey):
    against: int | None = Field(
        None, ge=0, le=MAX_VERSION, description="The version to compare with (else the one before); 0: the default"
    )


class VersionInfo(Open):
    """A version without its content. ``restores`` is the version that a roll-back published again."""

    version: int
    digest: str
    author: str
    reason: str
    restores: int | None
    published_at: Time


class VersionShown(VersionInfo):
    content: Json


class Difference(Open):
    """``path`` is a JSON Pointer (RFC 6901); lists are compared place by place."""

    path: str
    kind: Literal["added", "removed", "changed"]
    before: Any = None
    after: Any = None


class Diff(Open):
    """What made ``version`` of ``against``; ``left_out`` counts the differences beyond the first 500."""

    version: int
    against: int
    differences: list[Difference]
    left_out: int


class DocumentPublished(Open):
    """``changes``: against what was in force at the site until then, by JSON Pointers (RFC 6901) into the content.

    ``changes_left_out`` counts those beyond the first 500, or 64 KiB.
    """

    site: str
    version: int
    digest: str
    author: str
    reason: str
    restores: int | None
    published_at: Time
    content: Json
    changes: list[FieldChange] = []
    changes_left_out: int = 0


@dataclass(eq=False)
class Document(Generic[C]):
    """A kind of document: its operations and its event, made from a few words.

    ``noun`` names it in operations (``<service>.<noun>.publish``), events (``….published``) and the table of versions.
    ``content`` refuses unknown keys; ``default`` is what holds where nobody has published. ``what`` names it in a
    sentence. Who publishes needs the permission ``write``; a version that is published for the site ``global`` is in
    force at every site that has none of its own. ``sited`` false: there is one for the whole installation.
    ``grants``: it gives rights, so the edge adds what the caller may, by the seal of the noun's name.
    """

    service: str
    noun: str
    content: type[C]
    default: C
    path: str
    what: str
    read: str = "policy:read"
    write: str = "policy:write"
    sited: bool = True
    grants: bool = False
    show: Query = field(init=False)
    publish: Command = field(init=False)
    rollback: Command = field(init=False)
    versions: Query = field(init=False)
    version: Query = field(init=False)
    diff: Query = field(init=False)
    published: Event = field(init=False)

    def __post_init__(self) -> None:
        if self.content.model_config.get("extra") != "forbid":
            raise ValueError(f"{self.name}: its content must refuse unknown keys")
        result: Any = Published[self.content]  # type: ignore[name-defined]
        body: Any = (PublicationSealed if self.grants else Publication)[self.content]
        denied = (Forbidden,) if self.grants else ()
        own = f"{self.path}/versions"
        self.show = self._query("show", Nothing, result, self.path, f"Show {self.what} in force")
        self.publish = Command(
            f"{self.name}.publish",
            body=body,
            result=result,
            permission=self.write,
            http=PUT(self.path, seal=self.noun if self.grants else None),
            errors=(Conflict, Invalid, TooLarge, *denied),
            summary=f"Publish a new version of {self.what}",
            sited=self.sited,
        )
        self.rollback = Command(
            f"{self.name}.rollback",
            body=RollbackSealed if self.grants else Rollback,
            result=result,
            permission=self.write,
            http=POST(f"{self.path}/rollback", seal="granted_rollback" if self.grants else None),
            errors=(NotFound, Conflict, Invalid, *denied),
            summary=f"Publish an earlier version of {self.what} again, exactly as it was",
            sited=self.sited,
        )
        self.versions = self._query(
            "versions", VersionFilter, Page[VersionInfo], own, f"List the site's own versions of {self.what}"
        )
        self.version = self._query(
            "version", VersionKey, VersionShown, f"{own}/{{version}}", f"Show a version of {self.what}", NotFound
        )
        self.diff = self._query(
            "diff", DiffKey, Diff, f"{own}/{{version}}/diff", f"What a version of {self.what} changed", NotFound
        )
        self.published = Event(
            f"{self.name}.published", data=DocumentPublished, summary=f"A version of {self.what} was published"
        )

    @property
    def name(self) -> str:
        """``service.noun``, which begins the names of its operations."""
        return f"{self.service}.{self.noun}"

    def _query(self, verb: str, params: type[Model], result: Any, path: str, summary: str, *errors: Any) -> Query:
        return Query(
            f"{self.name}.{verb}",
            params=params,
            result=result,
            permission=self.read,
            http=GET(path),
            errors=errors,
            summary=summary,
            sited=self.sited,
        )

    def declared(self) -> Iterator[Command | Query | Event]:
        """Its operations and its event."""
        yield from (self.show, self.publish, self.rollback, self.versions, self.version, self.diff, self.published)
