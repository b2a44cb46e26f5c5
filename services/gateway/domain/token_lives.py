"""When a token stops, and what there is to say before: by its end, by its age, and by how long nobody used it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Ending = Literal["expired", "rotation", "idle", "sign_in", "age"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy as durations. ``expiry_leads``: how long before the end it is told, the longest first.

    ``max_life``: also of tokens that were issued when more was allowed. ``sign_in_within``: how long ago a person's
    last sign-in with the provider may be.
    """

    rotate_after: timedelta
    rotate_lead: timedelta
    rotation_required: bool
    max_idle: timedelta
    idle_lead: timedelta
    expiry_leads: tuple[timedelta, ...]
    sign_in_within: timedelta = timedelta(days=30)
    max_life: timedelta = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of a token. ``active_at``: when it was used last, or began to count as unused.

    A ``standing`` token is the last way in: neither its age nor idleness ends it. ``signed_in_at``: when the person was
    last vouched for by a provider; None: no provider knows that person.
    """

    created_at: datetime
    expires_at: datetime
    active_at: datetime
    standing: bool = False
    signed_in_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What has been told of a token: the shortest lead of its end, how much of its rotation, and when its idleness."""

    expiry_lead: timedelta | None = None
    rotation: int = 0
    idle_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What to do with a token now. ``lead``, ``rotation`` and ``idle``: what is to be told, where it was not yet."""

    ended: Ending | None = None
    lead: timedelta | None = None
    rotation: int = 0
    idle: bool = False


def ends(life: Life, rules: Rules) -> tuple[datetime, Ending]:
    """When the token stops if nobody uses it from now on, and by which rule."""
    found: list[tuple[datetime, Ending]] = [(life.expires_at, "expired")]
    if not life.standing:
        found.append((life.active_at + rules.max_idle, "idle"))
        if rules.rotation_required:
            found.append((life.created_at + rules.rotate_after, "rotation"))
        if life.signed_in_at is not None:
            found.append((life.signed_in_at + rules.sign_in_within, "sign_in"))
        if life.created_at + rules.max_life < life.expires_at:
            found.append((life.created_at + rules.max_life, "age"))
    return min(found)


def last_day(life: Life, rules: Rules) -> datetime:
    """When the token stops even if it is used all the time."""
    found = [own_end(life, rules)]
    if rules.rotation_required and not life.standing:
        found.append(life.created_at + rules.rotate_after)
    if life.signed_in_at is not None and not life.standing:
        found.append(life.signed_in_at + rules.sign_in_within)
    return min(found)


def own_end(life: Life, rules: Rules) -> datetime:
    """The token's own end, or the policy's longest life if that is sooner."""
    return life.expires_at if life.standing else min(life.expires_at, life.created_at + rules.max_life)


def due(life: Life, told: Told, rules: Rules, now: datetime) -> Due:
    """What a look at ``now`` finds. Rotation is told twice: 1 before the age is reached, 2 when it is."""
    at, ending = ends(life, rules)
    if at <= now:
        return Due(ended=ending)
    leads = [lead for lead in rules.expiry_leads if own_end(life, rules) <= now + lead]
    lead = min(leads, default=None)
    if lead is not None and told.expiry_lead is not None and told.expiry_lead <= lead:
        lead = None
    rotate_at = life.created_at + rules.rotate_after
    rotation = 2 if rotate_at <= now else 1 if rotate_at - rules.rotate_lead <= now else 0
    idle = not life.standing and life.active_at + rules.max_idle - rules.idle_lead <= now
    if told.idle_at is not None and told.idle_at >= life.active_at:
        idle = False
    return Due(lead=lead, rotation=rotation if rotation > told.rotation else 0, idle=idle)
