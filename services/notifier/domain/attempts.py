"""What follows from an attempt: delivered, another try at a later time, or given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal
from uuid import UUID

FIRST_DELAY_S = 5.0
GROWTH = 3.0
JITTER = 0.2  # a delay is up to this part shorter or longer, so that what failed together does not come together again
GONE = 410


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often something is tried, and how long it waits at the most between two tries."""

    max_attempts: int
    max_delay_s: float


LONG = Schedule(12, 4 * 3600.0)  # about 17 hours
SHORT = Schedule(5, 60.0)  # two minutes, and what the tries take: for what somebody waits for


@dataclass(frozen=True, slots=True)
class Next:
    """``delay_s`` until the next try of one that is ``retrying``. ``disable``: the receiver wants nothing more."""

    state: Literal["delivered", "retrying", "dead"]
    delay_s: float = 0.0
    disable: bool = False


def delay_s(attempt_count: int, chance: float, schedule: Schedule = LONG) -> float:
    """How long to wait after so many attempts; ``chance`` is a random number from 0 to 1."""
    plain = min(FIRST_DELAY_S * GROWTH ** (attempt_count - 1), schedule.max_delay_s)
    return plain * (1 - JITTER + 2 * JITTER * chance)


def after_answer(
    status: int, retry_after_s: float | None, attempt_count: int, chance: float, schedule: Schedule = LONG
) -> Next:
    """What follows from an answer. ``retry_after_s``: what the receiver asked for; it counts up to the longest wait."""
    if 200 <= status < 300:
        return Next("delivered")
    if status == GONE:
        return Next("dead", disable=True)
    again = after_silence(attempt_count, chance, schedule)
    if again.state == "retrying" and retry_after_s is not None:
        return Next("retrying", max(again.delay_s, min(retry_after_s, schedule.max_delay_s)))
    return again


def after_silence(attempt_count: int, chance: float, schedule: Schedule = LONG) -> Next:
    """What follows when no answer came."""
    if attempt_count >= schedule.max_attempts:
        return Next("dead")
    return Next("retrying", delay_s(attempt_count, chance, schedule))


def retry_after_s(text: str | None, now: datetime) -> float | None:
    """The seconds that a ``Retry-After`` asks for (RFC 9110, 10.2.3: a number, or a date); None if it asks nothing."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:12])
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds(), 0.0)


def sentence(status: int) -> str:
    """What is wrong with an answer that is no success, for a person."""
    try:
        words = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        words = str(status)
    if 300 <= status < 400:
        return f"The receiver answered {words}; redirects are not followed."
    return f"The receiver answered {words}."


def webhook_id(event_id: UUID, lane: int) -> str:
    """The ``webhook-id`` of a delivery: the same at each try, so that a receiver can drop repeats.

    ``lane`` is the subscription's number, or below zero that of a channel.
    """
    return f"{event_id}-{lane}" if lane >= 0 else f"{event_id}-c{-lane}"
