"""The audit log, as it is listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import table
from libs.common.contracts.audit.entries import Entry
from libs.common.contracts.base import Page


def entry_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Entries, one a line."""
    rows = [
        (entry.seq, entry.time, short_type(entry.type), entry.site, entry.actor, entry.subject, entry.hash[:12])
        for entry in read_as(Page[Entry], answer).items
    ]
    session.emit(answer, table(("seq", "time", "event", "site", "actor", "subject", "hash"), rows))


def short_type(name: str) -> str:
    """An event's type without what all have in common."""
    return name.removeprefix("headgate.").removesuffix(".v1")


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {Page[Entry]: entry_list}
