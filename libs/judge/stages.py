"""Stages: a rule that wants another gate's GO of the very same version, held for so long and not for longer.

What a GO of another gate is worth is that gate's matter; here it must hold, be about the same artifact, and be of the
age that is wanted. Its age counts from when the GO began to hold without an end since: runs that stay GO don't begin it
anew, a NO_GO or a revocation does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

KIND = "gate.stage"
_TICK = timedelta(microseconds=1)  # a GO of exactly the maximum age is still good


@dataclass(frozen=True, slots=True)
class StageTerms:
    """Whose GO is wanted, and between which ages in hours (0, None: any)."""

    gate: str
    min_age_hours: float = 0
    max_age_hours: float | None = None


@dataclass(frozen=True, slots=True)
class StageGo:
    """A GO of another gate for the version, as it holds. ``since``: when it began to; ``valid_until``: when it is over,
    None: nothing ends it. ``is_derived``: that gate's policy derives its lines, so that nobody chose this one.
    """

    gate: str
    run_id: int
    since: datetime
    valid_until: datetime | None = None
    artifact_digest: str = ""
    line: str = ""
    is_derived: bool = False


@dataclass(frozen=True, slots=True)
class Staged:
    """What a stage says: sentences of what is wrong, when it will pass by the clock alone, when it passes no more."""

    wrong: tuple[tuple[str, str], ...]
    go: StageGo | None = None
    passes_at: datetime | None = None
    ends_at: datetime | None = None


def chosen(stages: Iterable[StageGo], gate: str, line: str) -> StageGo | None:
    """The GO of that gate that counts: of the same line, else of one that its policy derives, else of the line without
    a name. One of another line was compared with what somebody chose.
    """
    mine = [one for one in stages if one.gate == gate]
    order = (
        [one for one in mine if one.line == line],
        [one for one in mine if one.is_derived],
        [one for one in mine if not one.line],
    )
    found = [one for some in order for one in some]
    return found[0] if found else None


def look(
    terms: StageTerms, go: StageGo | None, version: str, artifact_digest: str, now: datetime, *, digest_required: bool
) -> Staged:
    """What the other gate's GO is worth at ``now``."""
    wanted = _wanted(terms)
    if go is None:
        return Staged(((f"no GO of the gate {terms.gate} holds for {version}", wanted),))
    if go.valid_until is not None and go.valid_until <= now:
        return Staged(((f"the GO of the gate {terms.gate} is over since {_words(go.valid_until)}", wanted),))
    judged = go.artifact_digest or "no artifact by its digest"
    differs = go.artifact_digest and artifact_digest and go.artifact_digest != artifact_digest
    if differs or (digest_required and go.artifact_digest != artifact_digest):
        same = artifact_digest or "one whose digest is known"
        return Staged(((f"the gate {terms.gate} (run {go.run_id}) judged {judged}", f"the same artifact, {same}"),))
    begins, age = go.since + timedelta(hours=terms.min_age_hours), now - go.since
    ends = [] if terms.max_age_hours is None else [go.since + timedelta(hours=terms.max_age_hours) + _TICK]
    ends += [] if go.valid_until is None else [go.valid_until]
    ends_at = min(ends, default=None)
    held = f"the GO of the gate {terms.gate} (run {go.run_id}) holds since {_words(go.since)}"
    if age < timedelta() or now < begins:
        by_clock = None if ends_at is not None and ends_at <= begins else begins
        return Staged(((f"{held}, for {max(0.0, age / timedelta(hours=1)):.1f} hours", wanted),), go, by_clock)
    if ends_at is not None and ends_at <= now:
        return Staged(((f"{held}, for {age / timedelta(hours=1):.1f} hours", wanted),), go)
    return Staged((), go, None, ends_at)


def seen(stages: Sequence[StageGo], gates: Sequence[str]) -> tuple[list[int | None], list[datetime | None]]:
    """Of each gate, what a later look is compared with: the newest run whose GO holds (None: none does), and when the
    first of its GOs is over.
    """
    runs: list[int | None] = []
    untils: list[datetime | None] = []
    for gate in gates:
        mine = [one for one in stages if one.gate == gate]
        runs.append(max((one.run_id for one in mine), default=None))
        untils.append(min((one.valid_until for one in mine if one.valid_until is not None), default=None))
    return runs, untils


def _wanted(terms: StageTerms) -> str:
    words = f"a GO of the gate {terms.gate} that holds"
    if terms.min_age_hours:
        words += f" for at least {terms.min_age_hours:g} hours"
    if terms.max_age_hours is not None:
        words += f"{' and' if terms.min_age_hours else ' for'} at most {terms.max_age_hours:g} hours"
    return words


def _words(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
