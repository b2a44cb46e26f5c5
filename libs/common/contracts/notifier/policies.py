"""Policies as the facility system's callers know them: one path that shows all of it, and changes what is named.

Behind each is a document with versions, author and reason, whose own paths are there as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, create_model

from libs.common.contracts.base import GET, PUT, Command, Model, Nothing, Open, Query, Time
from libs.common.contracts.versions import EXPECTED, MAX_VERSION, WHY, Document, Reason, Source
from libs.common.problems import Conflict, Invalid, TooLarge

C = TypeVar("C", bound=Model)


class PolicyMeta(Open):
    """``applies_to`` is the site whose policy this is: the asked one, or `global`."""

    version: Literal["v1"] = "v1"
    scope: str
    applies_to: str
    policy_key: str
    updated_at: Time | None


class PolicyShown(Open, Generic[C]):
    """The policy in force. ``updated_at`` is null for the default; ``source`` and versions as in the document."""

    meta: PolicyMeta
    policy_key: str
    updated_at: Time | None
    source: Source
    version: int
    own_version: int
    policy: C


class PolicyChange(Model):
    """Settings to change; what is absent or null stays as it is."""

    reason: Reason = Field("Set with PUT on the policy.", description=WHY)
    expected_version: int | None = Field(None, ge=0, le=MAX_VERSION, description=EXPECTED)


def _change_of(content: type[Model]) -> type[PolicyChange]:
    fields: dict[str, Any] = {}
    for name, one in content.model_fields.items():
        kind = Annotated[(one.annotation, *one.metadata)] if one.metadata else one.annotation
        fields[name] = (kind | None, Field(None, description=one.description))  # type: ignore[operator]
    made: type[PolicyChange] = create_model(
        f"{content.__name__}Change", __base__=PolicyChange, __doc__=PolicyChange.__doc__, **fields
    )
    return made


@dataclass(eq=False)
class Policy(Generic[C]):
    """A document in that shape at ``path``; its own paths lie below it."""

    document: Document[C]
    path: str
    key: str
    scope: str
    get: Query = field(init=False)
    configure: Command = field(init=False)

    def __post_init__(self) -> None:
        one = self.document
        result: Any = PolicyShown[one.content]  # type: ignore[name-defined]
        self.get = Query(
            f"{one.name}.get",
            params=Nothing,
            result=result,
            permission=one.read,
            http=GET(self.path),
            errors=(Conflict,),
            summary=f"Show {one.what} in force",
        )
        self.configure = Command(
            f"{one.name}.configure",
            body=_change_of(one.content),
            result=result,
            permission=one.write,
            http=PUT(self.path, query=("reason", "expected_version")),
            errors=(Conflict, Invalid, TooLarge),
            summary=f"Change settings of {one.what}; all others stay",
        )
