"""Groups: named lists of people who may approve, and which users are one person."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from libs.common.contracts.base import Model, Token
from libs.common.contracts.versions import Document

MAX_GROUPS = 100
MAX_MEMBERS = 500


class Group(Model):
    name: Token
    members: Annotated[list[Token], Field(min_length=1, max_length=MAX_MEMBERS)]


class Person(Model):
    """Users that are one human: whatever they approve counts once."""

    name: Token
    users: Annotated[list[Token], Field(min_length=2, max_length=20)]


class Groups(Model):
    """``people`` of the site ``global`` hold at every site, beside the site's own."""

    groups: Annotated[list[Group], Field(max_length=MAX_GROUPS)] = []
    people: Annotated[list[Person], Field(max_length=MAX_MEMBERS)] = []

    @model_validator(mode="after")
    def _one_each(self) -> Groups:
        names = [group.name for group in self.groups]
        users = [user for person in self.people for user in person.users]
        if len(set(names)) < len(names):
            raise ValueError("a group stands here twice")
        if len(set(users)) < len(users):
            raise ValueError("a user is of two people")
        return self


GROUPS = Document(
    "governance",
    "groups",
    content=Groups,
    default=Groups(),
    path="/api/groups",
    what="the groups of people who approve",
    write="identity:write",
    grants=True,
)
