"""What may be wider on a stream or durable than this version declares, and what must be as it says.

A newer version hears more events and may keep more. What it widened still serves this one, which runs beside it in a
rolling upgrade and comes back after a rollback: so only what is narrower, or of another kind, is a difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeVar

from nats.js.api import ConsumerConfig, StreamConfig

Config = TypeVar("Config", StreamConfig, ConsumerConfig)

# Of these the larger one includes the smaller one.
REACHES = (
    "max_age", "max_bytes", "max_msgs_per_subject", "max_msg_size", "duplicate_window", "ack_wait", "max_ack_pending",
)  # fmt: skip
_NEVER_BOUNDLESS = ("duplicate_window", "ack_wait")  # there 0 is no bound that was taken away
_EXACT_STREAM = (
    "retention", "discard", "storage", "allow_direct", "allow_atomic", "allow_msg_schedules", "allow_rollup_hdrs",
    "allow_msg_counter", "persist_mode",
)  # fmt: skip
_EXACT_DURABLE = ("ack_policy", "max_deliver")


def subjects_of(config: StreamConfig | ConsumerConfig) -> set[str]:
    """What a stream takes or a durable hears; a durable without filters hears everything."""
    if isinstance(config, StreamConfig):
        return set(config.subjects or ())
    one = [config.filter_subject] if config.filter_subject else []
    return set(config.filter_subjects or one or (">",))


def covers(pattern: str, subject: str) -> bool:
    """Whether everything that ``subject`` matches is matched by ``pattern``, too."""
    wider, narrower = pattern.split("."), subject.split(".")
    for place, part in enumerate(wider):
        if part == ">":
            return len(narrower) > place
        if place >= len(narrower) or narrower[place] == ">" or part not in ("*", narrower[place]):
            return False
    return len(wider) == len(narrower)


def _uncovered(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    patterns = list(there)
    return sorted(one for one in wanted if not any(covers(pattern, one) for pattern in patterns))


def _exact(config: StreamConfig | ConsumerConfig) -> tuple[str, ...]:
    return _EXACT_STREAM if isinstance(config, StreamConfig) else _EXACT_DURABLE


def _reach(name: str, value: Any) -> float:
    return math.inf if name not in _NEVER_BOUNDLESS and value in (None, 0, -1) else float(value or 0)


def differences(want: Config, have: Config) -> list[str]:
    """Each way in which what is there is not enough for what this version declares, as words."""
    rows = [f"{one} is missing" for one in _uncovered(subjects_of(want), subjects_of(have))]
    for name in _exact(want):
        wanted, found = getattr(want, name), getattr(have, name)
        if wanted is not None and wanted != found and not (not wanted and not found):
            rows.append(f"{name} is {found!r}, should be {wanted!r}")
    for name in REACHES:
        wanted, found = getattr(want, name, None), getattr(have, name, None)
        if wanted is not None and _reach(name, found) < _reach(name, wanted):
            rows.append(f"{name} is {found!r}, should be {wanted!r} at least")
    return rows


def surplus(want: Config, have: Config) -> list[str]:
    """Each way in which more is there than this version declares, as words."""
    rows = [f"also {one}" for one in _uncovered(subjects_of(have), subjects_of(want))]
    for name in REACHES:
        wanted, found = getattr(want, name, None), getattr(have, name, None)
        if wanted is not None and _reach(name, found) > _reach(name, wanted):
            rows.append(f"{name} {found!r}, not {wanted!r}")
    return rows


def widened(want: Config, have: Config) -> Config:
    """What is there, made wide enough for this version, too: nothing that another version needs is lost."""
    changes = {name: getattr(want, name) for name in _exact(want) if getattr(want, name) is not None}
    for name in REACHES:
        wanted, found = getattr(want, name, None), getattr(have, name, None)
        if wanted is not None and _reach(name, found) < _reach(name, wanted):
            changes[name] = wanted
    # One that covers another stands for both: the server refuses subjects of one durable that overlap.
    both = subjects_of(want) | subjects_of(have)
    subjects = sorted(one for one in both if _uncovered([one], both - {one}))
    if isinstance(want, StreamConfig):
        return have.evolve(**changes, subjects=subjects)
    alone = len(subjects) == 1
    filters = {"filter_subject": subjects[0] if alone else None, "filter_subjects": None if alone else subjects}
    return have.evolve(**changes, **filters)
