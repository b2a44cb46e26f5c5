"""Approvals: who said what of a candidate, and who is still wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, table
from libs.client.views.gate import headline
from libs.common.contracts.governance.approvals import Approvals, ApprovalSaid, GivenApproval


def approvals(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Where a candidate stands."""
    found = read_as(Approvals, answer)
    about = f"{found.gate} gate, {found.subject} {found.version}".strip()
    lines = [Text(clean(about)), Text(f"evidence  {found.evidence_sha256}")]
    lines += [Text(clean(sentence), style="red") for sentence in (*found.otherwise, *found.pending)]
    if not found.wanted:
        lines.append(Text("This gate wants no approvals."))
    elif not found.pending:
        lines.append(Text("All approvals that are wanted are there.", style="green"))
    if found.excluded:
        lines.append(
            Text(clean(f"They asked for it or told its facts, so they can't approve: {', '.join(found.excluded)}"))
        )
    rows = [(one.approval_id, _word(one), _who(one), one.given_at, one.void or "counts", one.reason)
            for one in found.approvals]  # fmt: skip
    session.emit(answer, *lines, *([table(("", "word", "who", "when", "", "reason"), rows)] if rows else []))


def said(session: Session, answer: Any, fields: Mapping[str, Any]) -> None:
    """A word that was said, and the run that became GO by it."""
    found = read_as(ApprovalSaid, answer)
    if found.run is not None and not session.json:
        session.emit(None, headline(found.run), Text())
    approvals(session, answer, fields)


def _word(one: GivenApproval) -> str:
    return one.word if not one.void else f"{one.word} (void)"


def _who(one: GivenApproval) -> str:
    return one.username if one.username == one.person else f"{one.username} for {one.person}"


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    Approvals: approvals,
    ApprovalSaid: said,
}
