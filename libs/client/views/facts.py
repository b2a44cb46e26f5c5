"""Facts: what counts of a subject, and what can be ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import table
from libs.common.contracts.governance.facts import FactList, FactShown


def fact_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Facts, one a line, and how to end one."""
    found = read_as(FactList, answer)
    rows = [
        (one.signal_id, _state(one), one.kind, one.part, one.version, f"{one.age_hours:g} h", one.actor or one.source,
         _what(one))
        for one in found.items
    ]  # fmt: skip
    lines: list[Any] = [table(("signal", "state", "kind", "part", "version", "age", "from", "what"), rows)]
    if found.left_out:
        lines.append(Text(f"{found.left_out} more are not listed; name the version or the kind."))
    if any(one.state not in ("good", "retired") or one.stale_for for one in found.items):
        lines += [Text(), Text("What no signal will end, a person can: headgate facts retire SIGNAL --reason …")]
    session.emit(answer, *lines)


def _state(one: FactShown) -> str:
    return f"{one.state}, stale" if one.stale_for and one.state != "retired" else one.state


def _what(one: FactShown) -> str:
    if one.problem:
        return one.problem
    if one.firing_count:
        return f"{one.firing_count} alerts fire"
    more = (
        "" if one.open_test_count <= len(one.open_tests) else f" and {one.open_test_count - len(one.open_tests)} more"
    )
    return f"{', '.join(one.open_tests)}{more}"


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {FactList: fact_list}
