"""Signals, as they are listed and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import facts, table
from libs.common.contracts.base import Page
from libs.common.contracts.governance.kinds import SignalKind
from libs.common.contracts.governance.signals import Signal


def signal_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Signals, one a line."""
    rows = [
        (one.signal_id, one.kind, one.part, one.subject, one.version, one.judged, one.valid, one.time)
        for one in read_as(Page[Signal], answer).items
    ]
    columns = ("id", "kind", "part", "subject", "version", "judged", "valid", "time")
    session.emit(answer, table(columns, rows))


def signal(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """A signal, its data as JSON below."""
    one = read_as(Signal, answer)
    pairs = [(name, value) for name, value in one if name != "data"]
    session.emit(answer, facts(pairs))
    if not session.json:
        session.text(orjson.dumps(one.data, option=orjson.OPT_INDENT_2).decode())


def kinds(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Kinds of signals, one a line; the schemas are in the JSON."""
    rows = [
        (one.kind, one.noun, ", ".join(one.keys), ", ".join(made.format for made in one.formats))
        for one in read_as(list[SignalKind], answer)
    ]
    session.emit(answer, table(("kind", "noun", "keys", "formats"), rows))


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    Page[Signal]: signal_list,
    Signal: signal,
    list[SignalKind]: kinds,
}
