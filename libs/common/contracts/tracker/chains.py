"""Chains: who is told of an item that is due, after which wait, how often again. One document per site."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from libs.common.contracts.base import Model, Token
from libs.common.contracts.names import Name
from libs.common.contracts.tracker.items import BASE
from libs.common.contracts.versions import Document

MAX_MINUTES = 30 * 24 * 60


class Target(Model):
    """Who or what is told: exactly one of the fields.

    ``item`` is somebody that the item itself names: its assignee, or its owner role. ``role`` is a role of Headgate's
    users, ``user`` one of them, ``channel`` a channel of whoever delivers (``all``: each of them).
    """

    item: Literal["assignee", "owner_role"] | None = None
    role: Name | None = None
    user: Name | None = None
    channel: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> Target:
        if len(self.given) != 1:
            raise ValueError("a target has exactly one of item, role, user and channel")
        return self

    @property
    def given(self) -> dict[str, str]:
        """The field that is given, with its value."""
        return self.model_dump(exclude_none=True)


class Level(Model):
    """``wait_minutes`` count from when the level before was told (of the first level: from the start).

    The level is told again every ``repeat_minutes``, ``max_repeats`` times at the most, until the next one's turn.
    ``on_empty``: when nobody of its targets is there, ``skip`` goes on to the next level at once, ``wait`` waits until
    somebody is.
    """

    wait_minutes: int = Field(0, ge=0, le=MAX_MINUTES)
    targets: tuple[Target, ...] = Field(min_length=1, max_length=20)
    repeat_minutes: int | None = Field(None, ge=5, le=MAX_MINUTES)
    max_repeats: int = Field(0, ge=0, le=100)
    on_empty: Literal["skip", "wait"] = "skip"

    @model_validator(mode="after")
    def _repeats(self) -> Level:
        if (self.repeat_minutes is None) != (self.max_repeats == 0):
            raise ValueError("repeat_minutes and max_repeats go together: give both, or neither")
        return self


class Chain(Model):
    """``rules``, ``priorities`` and ``gates`` say which items it is for; an empty list means all of them.

    ``calendar``: whether waits and repeats count working time of the site's calendar, or all time.
    """

    name: Token
    rules: tuple[Name, ...] = Field((), max_length=200)
    priorities: tuple[int, ...] = Field((), max_length=4)
    gates: tuple[Token, ...] = Field((), max_length=50)
    calendar: Literal["business", "always"] = "business"
    levels: tuple[Level, ...] = Field(min_length=1, max_length=10)

    @model_validator(mode="after")
    def _waits(self) -> Chain:
        if any(level.wait_minutes == 0 for level in self.levels[1:]):
            raise ValueError("from the second level on a level waits for at least a minute; else put both in one level")
        return self


_ALL = Target(channel="all")
DEFAULT_LEVEL = Level(
    targets=(Target(item="assignee"), Target(item="owner_role"), _ALL), repeat_minutes=24 * 60, max_repeats=30
)


class Chains(Model):
    """How a site escalates. Of the chains, the first that matches an item is the item's.

    ``include_due_soon_hours``: an item escalates from so long before it is due; 0: when it is overdue.
    """

    enabled: bool = True
    notify_enabled: bool = True
    include_due_soon_hours: int = Field(12, ge=0, le=168)
    chains: tuple[Chain, ...] = Field((Chain(name="default", levels=(DEFAULT_LEVEL,)),), max_length=20)

    @model_validator(mode="after")
    def _names(self) -> Chains:
        names = [chain.name for chain in self.chains]
        if len(set(names)) < len(names):
            raise ValueError("two chains have the same name")
        return self


CHAINS = Document(
    "tracker",
    "chains",
    content=Chains,
    default=Chains(),
    path=f"{BASE}/escalate/chains",
    what="the escalation chains",
)
