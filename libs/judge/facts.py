"""Facts as a gate sees them: what was signalled, by whom and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from libs.judge.history import History
from libs.judge.kinds import Kind
from libs.judge.own_kinds import OwnKind, by_name
from libs.judge.plain import LATER
from libs.judge.report_base import JSON
from libs.judge.stages import StageGo

MAX_PARTS = 200  # of one kind of one version of a subject: a run reads them all


@dataclass(frozen=True, slots=True)
class Seen:
    """A signal and its effective time: the earlier of its own time and its receipt (with a zone)."""

    signal_id: int
    time: datetime


@dataclass(frozen=True, slots=True)
class OpenFailure:
    """A test that an earlier report showed failing and none has shown passing since. ``last``: who showed it last.

    ``test`` is "" where more of them were seen than are kept.
    """

    test: str
    last: Seen


@dataclass(frozen=True, slots=True)
class Fact:
    """The newest signal of a part. ``part`` tells several sources of a kind apart; ``version`` is "" for facts of the
    subject.

    ``time`` is its effective time (with a zone): when the fact was true, at the latest when it came. ``problems``:
    what was wrong with it when it came; ``good``: the last signal of the part that was right (itself, if it is right).
    ``open_failures``: of the part's earlier reports, at most `failures.MAX_READ`. ``actor``: who recorded it, "" where
    nobody noted it. ``data_sha256``: SHA-256 (hex) of the data as they are stored, "" where nobody counted it.
    ``voice``: "" for the newest signal of all, else the actor of whom this is the newest one;
    ``mixed``: it told of the part under several sources. ``signer``: whose signature beside it was verified, "" for
    none; ``signers``: all who ever signed what this voice told of the part.
    ``artifact_digest``: of which artifact it is told, "" if it does not say.
    """

    kind: str
    part: str
    signal_id: int
    source: str
    event_id: str
    time: datetime
    data: JSON
    version: str = ""
    problems: tuple[str, ...] = ()
    good: Seen | None = None
    open_failures: tuple[OpenFailure, ...] = ()
    actor: str = ""
    voice: str = ""
    mixed: bool = False
    data_sha256: str = field(default="", metadata=LATER)
    signer: str = field(default="", metadata=LATER)
    signers: tuple[str, ...] = field(default=(), metadata=LATER)
    artifact_digest: str = field(default="", metadata=LATER)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a verdict may look at.

    ``current``: facts of the subject and of the version under judgement (others are ignored). ``baseline``: the facts
    that the line's last GO used, ``baseline_run`` its run number, None when there was no GO yet. ``version``: the
    version under judgement, "" for a gate over a site. ``unread``: the newest reports of senders that could not be
    read, so that nobody knows which parts they were about. ``line``: whose baseline this is, "" where nobody draws
    lines. ``kinds``: the kinds of one's own that the policy reads, as they are declared now.
    ``history``: the verdicts before, where the policy reads them. ``artifact_digest``: of what is judged, such as
    ``sha256:…``, "" where nobody names one; ``named_digest``: what the newest signal of the version names that names
    one. ``stages``: the GOs of other gates that rules ask for, as they hold.
    """

    current: tuple[Fact, ...] = ()
    baseline: tuple[Fact, ...] = ()
    baseline_run: int | None = None
    version: str = ""
    unread: tuple[Fact, ...] = ()
    line: str = ""
    kinds: tuple[OwnKind, ...] = ()
    history: History | None = field(default=None, metadata=LATER)
    stages: tuple[StageGo, ...] = field(default=(), metadata=LATER)
    artifact_digest: str = field(default="", metadata=LATER)
    named_digest: str = field(default="", metadata=LATER)

    @property
    def own(self) -> Mapping[str, Kind]:
        """The declared kinds by name."""
        return by_name(self.kinds)


def newest_of_each_part(facts: Iterable[Fact]) -> list[Fact]:
    """The newest fact of each part (by time, then signal id), in the order of the parts' names."""
    newest: dict[str, Fact] = {}
    for fact in facts:
        kept = newest.get(fact.part)
        if kept is None or (fact.time, fact.signal_id) > (kept.time, kept.signal_id):
            newest[fact.part] = fact
    return [newest[part] for part in sorted(newest)]
