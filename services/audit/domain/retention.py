"""Classes of actions that keep their bodies for their own time, and which entries say that one has gone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

CLASS = re.compile(r"[a-z]+\.(?:[a-z_]+\.?)*")
"""How actions begin: a service, then as many words as tell them apart, such as ``metrics.`` or ``tracker.item.``."""

ERASED_TYPE = "headgate.audit.bodies.erased.v1"
ERASED_SOURCE = "/headgate/audit"
LEAST_AGE = timedelta(days=89)
"""No body goes before 90 days; a day less, since two clocks are compared."""


class Cover(NamedTuple):
    """What an entry ``audit.bodies.erased`` (number ``seq``) says has gone: bodies of entries between two (inclusive)
    whose types begin with ``prefix``, taken in before ``before``.
    """

    seq: int
    first_seq: int
    last_seq: int
    prefix: str
    before: datetime

    def covers(self, seq: int, type_: str, recorded_at: datetime) -> bool:
        """Whether the body of this entry went so: only of an older one, and never of an entry like itself."""
        return (
            self.first_seq <= seq <= self.last_seq
            and seq < self.seq
            and type_.startswith(self.prefix)
            and type_ != ERASED_TYPE
            and recorded_at < self.before
        )


def cover_of(seq: int, recorded_at: datetime, document: Any) -> Cover | None:
    """What an event says has gone; None if it says nothing of that kind, or what no erasure ever does."""
    if not isinstance(document, Mapping) or (document.get("type"), document.get("source")) != (
        ERASED_TYPE,
        ERASED_SOURCE,
    ):
        return None
    try:
        data = document["data"]
        first_seq, last_seq, name = data["first_seq"], data["last_seq"], data["retention_class"]
        before = datetime.fromisoformat(data["recorded_before"])
        if not type(first_seq) is type(last_seq) is int or before > recorded_at - LEAST_AGE:
            return None
        return Cover(seq, first_seq, last_seq, "" if name == "default" else "headgate." + name, before)
    except (KeyError, TypeError, ValueError):
        return None


def covered(covers: Iterable[Cover], seq: int, type_: str, recorded_at: datetime) -> bool:
    """Whether one of them says that the body of an entry has gone."""
    return any(one.covers(seq, type_, recorded_at) for one in covers)
