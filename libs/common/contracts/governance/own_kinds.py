"""Kinds of one's own: what the data of an installation's own signals hold, published for all sites."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from libs.common.contracts.base import Json, Model
from libs.common.contracts.governance.signals import Kind
from libs.common.contracts.versions import Document

MAX_KINDS = 50
Noun = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=r"^[^{}\x00-\x1f]+$")
]
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,59}$")]


class KindDeclared(Model):
    """A kind of signal that rules may read. ``json_schema`` says what its data hold; see docs/reports.md for the words
    that it may use."""

    name: Kind = Field(description="The type of its CloudEvents, such as acme.review")
    noun: Noun = Field(description="What sentences call such a signal, such as design review")
    json_schema: Json
    totals: list[Key] = Field([], max_length=20, description="Numbers of which rules see sum, least and greatest")


class KindsDeclared(Model):
    kinds: list[KindDeclared] = Field([], max_length=MAX_KINDS)

    @model_validator(mode="after")
    def _named_once(self) -> KindsDeclared:
        names = [one.name for one in self.kinds]
        if len(set(names)) < len(names):
            raise ValueError("two kinds have one name")
        return self


KINDS = Document(
    "governance",
    "kinds",
    content=KindsDeclared,
    default=KindsDeclared(),
    path="/api/kinds",
    what="the declared kinds",
)
