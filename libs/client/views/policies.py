"""Backtests of policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, table
from libs.common.contracts.governance.backtests import BacktestShown, Flip


def backtest(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """How far a backtest is, and the verdicts that it flips."""
    session.emit(answer, *backtest_view(read_as(BacktestShown, answer)))


def backtest_view(found: BacktestShown) -> list[RenderableType]:
    """A sentence with the counts, a table of the flips, and what was left out."""
    said: list[RenderableType] = [Text(clean(line)) for line in _lines(found)]
    if found.flips:
        said.insert(1, table(("run", "subject", "before", "after", "because of"), map(_row, found.flips)))
    return said


def _lines(found: BacktestShown) -> list[str]:
    lines = [
        f"Backtest {found.backtest_id} of {found.gate} is {found.state}: {found.judged_count} of {found.total_count} "
        f"decisions judged again, {found.flip_count} verdicts differ ({found.to_no_go_count} to NO_GO, "
        f"{found.to_go_count} to GO)."
    ]
    left_out = {
        f"{found.left_out_count} more that differ are only counted": found.left_out_count,
        f"{found.without_capsule_count} were decided before capsules were kept": found.without_capsule_count,
        f"{found.unreadable_count} can't be read any more": found.unreadable_count,
        f"{found.unbound_count} are of subjects that the text does not bind": found.unbound_count,
    }
    lines += [f"{sentence}." for sentence, count in left_out.items() if count]
    if found.unread_kinds:
        lines.append(f"Of kinds that policies did not read then nothing was kept: {', '.join(found.unread_kinds)}.")
    return [*lines, *([found.reason] if found.reason else [])]


def _row(flip: Flip) -> tuple[str, ...]:
    what = f"{flip.subject}@{flip.version}" if flip.version else flip.subject
    rules = [f"{one.id} ({one.before or 'none'} to {one.after or 'none'}): {one.message}" for one in flip.rules]
    return (str(flip.run_id), what, flip.before, flip.after, "; ".join(rules or flip.reasons))


BY_RESULT = {BacktestShown: backtest}
