"""When and in which words a subscription to a channel is told: quiet hours, digests, template and language."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from libs.common.contracts.base import Model, Token
from libs.common.contracts.notifier.channels import Language
from libs.common.contracts.zones import WEEKDAYS, Weekday, Zone

MAX_DIGEST_MINUTES = 24 * 60
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")

EventType = Annotated[str, StringConstraints(pattern=r"^[a-z_*]+(\.[a-z_*]+){0,2}$", max_length=120)]


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError("a time of day reads 22:00, from 00:00 to 23:59")
    return text


Clock = Annotated[str, AfterValidator(_clock), WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK.pattern}$"})]


class QuietWindow(Model):
    """From ``begins`` to ``ends`` on the clock of the subscription's zone, on each of the days on which it begins."""

    days: tuple[Weekday, ...] = Field(WEEKDAYS, min_length=1, max_length=7, description="On which days it begins")
    begins: Clock = Field(description="When it begins, such as 22:00")
    ends: Clock = Field(description="When it ends; at or before its begin: on the next day")


class Pacing(Model):
    """Of subscriptions to channels alone: a system that is sent events as they were has no night."""

    template: Token | None = Field(None, description="A published template; else the channel's, else built-in words")
    language: Language | None = Field(None, description="In which language; else in the channel's")
    zone: Zone | None = Field(
        None,
        description="In which time zone quiet hours and times are read; else in that of the site's calendar, or UTC",
    )
    quiet_hours: tuple[QuietWindow, ...] = Field(
        (), max_length=20, description="When nothing is sent; what waits is sent at their end"
    )
    digest_minutes: Literal[0] | Annotated[int, Field(ge=5, le=MAX_DIGEST_MINUTES)] = Field(
        0, description="Every so many minutes what waits is sent in one message, counted from midnight; 0: each at once"
    )
    urgent_priorities: list[Annotated[int, Field(ge=1, le=9)]] = Field(
        [], max_length=9, description="Items of these priorities wait neither for quiet hours nor for a digest"
    )
    urgent_event_types: list[EventType] = Field(
        [], max_length=50, description="Nor do these events, such as governance.line.halted"
    )

    @property
    def paced(self) -> list[str]:
        """What is given of it."""
        return [name for name in Pacing.model_fields if getattr(self, name) not in (None, (), [], 0)]
