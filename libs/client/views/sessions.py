"""Sessions of people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, table
from libs.common.contracts.gateway.sessions import SessionEnded, SessionsEnded, SessionView


def session_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Sessions, one a line."""
    rows = [
        (one.session_id, one.username, one.opened_at, one.last_seen_at, one.idle_at, one.ends_at, one.address,
         one.agent, "login" if one.program else one.provider or "", "this one" if one.current else "")
        for one in read_as(list[SessionView], answer)
    ]  # fmt: skip
    heads = ("session", "user", "opened", "last seen", "idle at", "ends", "address", "program", "by", "")
    session.emit(answer, table(heads, rows) if rows else Text("No session is open."))


def ended(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """That a session is ended."""
    one = read_as(SessionEnded, answer)
    session.emit(answer, Text(f"Session {one.session_id} of {clean(one.username)} is ended."))


def all_ended(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Which sessions of a person are ended."""
    done = read_as(SessionsEnded, answer)
    numbers = ", ".join(str(number) for number in done.session_ids) or "none, since none was open"
    session.emit(answer, Text(f"Sessions of {clean(done.username)} that are ended: {numbers}."))


View = Callable[[Session, Any, Mapping[str, Any]], int | None]
BY_RESULT: dict[Any, View] = {list[SessionView]: session_list, SessionEnded: ended, SessionsEnded: all_ended}
