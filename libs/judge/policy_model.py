"""What a policy is once it has been read: rules with compiled conditions, sentences and owners."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from libs.judge.cel import Condition
from libs.judge.history import KIND as HISTORY
from libs.judge.history import PastRun
from libs.judge.kinds import reads_too
from libs.judge.rollback import KIND as ROLLBACK
from libs.judge.stages import StageGo, StageTerms

ParameterValue = bool | int | float | str
SubjectMode = Literal["site", "version"]
Scope = Literal["subject", "version"]
AgeUnit = Literal["minutes", "hours", "days"]
Mode = Literal["enforce", "shadow"]

VARIABLES: Mapping[str, str] = {
    "fact": "map",
    "parts": "list_of_maps",
    "baseline": "map",
    "params": "map",
    "derived": "map",
}
EVERY_PART = "every_part"
WATCHDOG = "watchdog"
APPROVERS = ("manager", "owner")  # the roles that approve where a policy names nobody
MAX_SENTENCE_CHARS = 400
_PLACEHOLDER = re.compile(r"\{([a-z_]+\.[A-Za-z0-9_]+)\}")


class PolicyError(ValueError):
    """A policy that can't be used. The message names the file, the rule and the place."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Sentence:
    """Templates of the observed and the wanted value, such as ``{derived.failed} of {derived.total} tests failed``."""

    observed: str
    wanted: str

    def render(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Observed and wanted with ``values`` filled in (name to map); what isn't there reads "nothing"."""
        return _fill(self.observed, values), _fill(self.wanted, values)


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence for one way to fail: used when ``when`` is true. It never decides the verdict."""

    when: Condition
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Need:
    """A further kind of fact that must be there for a rule; its newest may be ``max_age_hours`` old (None: any)."""

    kind: str
    max_age_hours: float | None = None


@dataclass(frozen=True, slots=True)
class WaiverTerms:
    """The longest a waiver may hold, in days (None: the policy sets no limit), and whether it must name an issue."""

    max_days: int | None = None
    issue_required: bool = False


@dataclass(frozen=True, slots=True)
class ApprovalTerms:
    """A GO needs the word of ``count`` persons who have one of the roles or are of one of the groups, none of them
    older than ``max_age_hours``.
    """

    count: int
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    max_age_hours: float | None = None


@dataclass(frozen=True, slots=True)
class BaselineTerms:
    """The longest that findings may be accepted, in days (None: the policy sets no limit), and whether it takes an
    issue.
    """

    max_days: int | None = None
    issue_required: bool = False


@dataclass(frozen=True, slots=True)
class RetirementTerms:
    """``two_persons``: a fact is retired only when a second person has approved it."""

    two_persons: bool = False


@dataclass(frozen=True, slots=True)
class OverrideTerms:
    """Whether there may be emergency overrides, how many hours one may last, and whether it must name an issue."""

    allowed: bool = True
    max_hours: float = 24
    issue_required: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``max_age`` counts in ``max_age_unit``; None needs an ``ageless_reason``.

    ``age_of``: ``every_part``, ``watchdog`` (only the newest heartbeat must be young) or a key of the data that holds
    the time of the thing itself, such as ``latest_run_at``.

    A rule in ``mode`` ``shadow`` is judged and told, and never counted. A required rule warns until ``effective_on``
    begins (UTC) and fails from then on. ``needs``: further kinds that must be there. ``sources``, ``actors`` and
    ``signers``: patterns (``*`` stands for anything) of who may say it (see `voices`); empty means anybody.
    ``parameters``: of a rule that a site added, those of its own policy. ``stale_after_hours``: an alert group that
    fires and was not repeated for longer is called stale; it fails the rule all the same. ``passes_at_first``: one over
    past verdicts passes while there are none. ``stage``: it wants another gate's GO, and reads no facts.
    """

    id: str
    title: str
    required: bool
    weight: float
    kind: str
    scope: Scope
    condition: Condition
    sentence: Sentence
    reasons: tuple[Reason, ...]
    detail: Mapping[str, str]
    max_age: float | None
    max_age_unit: AgeUnit
    age_of: str
    ageless_reason: str
    owner_role: str
    sla_hours: int
    action: str
    mode: Mode = "enforce"
    effective_on: date | None = None
    tags: tuple[str, ...] = ()
    runbook: str = ""
    sources: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    parameters: Mapping[str, ParameterValue] | None = None
    stale_after_hours: float | None = None
    passes_at_first: bool = False
    stage: StageTerms | None = None

    @property
    def effective_at(self) -> datetime | None:
        """When the rule begins to fail rather than to warn, None: it always did."""
        return None if self.effective_on is None else datetime.combine(self.effective_on, time(), UTC)

    @property
    def age_limit(self) -> timedelta | None:
        """The maximum age, None for an ageless rule."""
        return None if self.max_age is None else timedelta(**{self.max_age_unit: self.max_age})

    @property
    def max_age_hours(self) -> float | None:
        """The maximum age in hours, whatever unit the policy uses."""
        limit = self.age_limit
        return None if limit is None else limit / timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class CaseFact:
    """A fact of a test; ``data`` is JSON text. ``source``, ``actor`` and ``signer``: who says it."""

    kind: str
    part: str
    age_minutes: float
    data: str
    source: str = "/test"
    actor: str = "test"
    signer: str = ""


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """A test of a policy: at ``now`` these facts must give this decision, and these rules (by id) these statuses.

    ``history``: the verdicts before, newest first; there are no others. ``stages``: GOs of other gates.
    """

    name: str
    version: str
    now: datetime
    facts: tuple[CaseFact, ...]
    decision: Literal["go", "no_go"]
    rules: Mapping[str, str]
    history: tuple[PastRun, ...] = ()
    stages: tuple[StageGo, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that the environment may override: ``target`` is such as ``rules.daily_check_recent.required``.

    Numbers outside ``minimum``..``maximum`` are moved to the nearer end; ``choices`` are the only texts allowed.
    """

    suffix: str
    name: str
    target: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A named gate. ``digest`` is the SHA-256 of the file's bytes; overrides change it, too.

    ``subjects``: patterns (``*`` stands for anything) of the subjects that it binds, empty: all. ``valid_for_hours``:
    how long a GO holds at the most. ``line_pattern``: how the line of a version is derived (see `lines`), "": not at
    all. ``digest_required``: only facts count that name the digest of the very artifact under judgement.
    ``approvals``: each of them must be fulfilled. ``publish_approvals``: the same of a text that is published after
    this one. ``exceptions_per_quarter``: how many
    exceptions the site may make, None: any number. ``text``: the file as it was read; ``overridden``: what the
    environment changed of it, by suffix. ``parts``: what a combined policy was made of: the one in force everywhere,
    and the site's own.
    """

    name: str
    title: str
    description: str
    subject_mode: SubjectMode
    allow_warning: bool
    min_weighted_score_percent: float
    parameters: Mapping[str, ParameterValue]
    rules: tuple[Rule, ...]
    digest: str
    file: str = ""
    settings: tuple[Setting, ...] = field(default=())
    valid_for_hours: float | None = None
    line_pattern: str = ""
    digest_required: bool = False
    subjects: tuple[str, ...] = ()
    freeze_calendars: tuple[str, ...] = ()
    waivers: WaiverTerms = WaiverTerms()
    approvals: tuple[ApprovalTerms, ...] = ()
    retirements: RetirementTerms = RetirementTerms()
    publish_approvals: tuple[ApprovalTerms, ...] = ()
    overrides: OverrideTerms = OverrideTerms()
    exceptions_per_quarter: int | None = None
    baselines: BaselineTerms = BaselineTerms()
    cases: tuple[PolicyCase, ...] = ()
    text: str = field(default="", repr=False)
    overridden: Mapping[str, ParameterValue] = field(default_factory=dict)
    parts: tuple[Policy, ...] = field(default=(), repr=False)

    @property
    def stage_gates(self) -> tuple[str, ...]:
        """The other gates whose GOs the rules want."""
        return tuple(sorted({rule.stage.gate for rule in self.rules if rule.stage is not None}))

    @property
    def reads_history(self) -> bool:
        """Whether a rule looks at past verdicts."""
        return any(rule.kind in (HISTORY, ROLLBACK) for rule in self.rules)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of facts that the rules read."""
        needed = {need.kind for rule in self.rules for need in rule.needs}
        beside = {kind for rule in self.rules for kind in reads_too(rule.kind)}
        return frozenset({rule.kind for rule in self.rules} | needed | beside)


def placeholders(template: str) -> list[str]:
    """The lookups in a template. Raises ValueError for a brace that belongs to none."""
    found = _PLACEHOLDER.findall(template)
    rest = _PLACEHOLDER.sub("", template)
    if "{" in rest or "}" in rest:
        raise ValueError("a brace that is not part of a lookup such as {fact.error_count}")
    return [str(lookup) for lookup in found]


def look_up(lookup: str, values: Mapping[str, Any]) -> Any:
    """``root.key`` in ``values``, None when either is absent."""
    root, _, key = lookup.partition(".")
    held = values.get(root)
    return held.get(key) if isinstance(held, Mapping) else None


def _fill(template: str, values: Mapping[str, Any]) -> str:
    text = _PLACEHOLDER.sub(lambda match: _words(look_up(match[1], values)), template)
    return text if len(text) <= MAX_SENTENCE_CHARS else text[: MAX_SENTENCE_CHARS - 3] + "..."


def _words(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(item)[:120] for item in value) or "none"
    return str(value)
