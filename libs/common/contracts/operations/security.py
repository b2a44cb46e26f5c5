"""How risky an installation is run: a score of facts, each point explained, by a policy that a site publishes."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from libs.common.contracts.audit.conduct import SensitiveDeed
from libs.common.contracts.base import GET, Event, Model, Open, Query, Time
from libs.common.contracts.changes import Changed
from libs.common.contracts.gateway.token_survey import NamedToken
from libs.common.contracts.operations.posture_settings import PostureSettings
from libs.common.contracts.preflight import Overall
from libs.common.contracts.versions import Document
from libs.common.contracts.zones import Zone
from libs.common.problems import NotFound

KIND = "ops.security"
JOB = "security_watch"
TREND_DAYS = 90
MAX_DAYS = 180
Level = Literal["low", "medium", "high", "critical"]
RULES = (
    "failed_actions",
    "refused_requests",
    "off_hours_actions",
    "tokens_expiring",
    "tokens_rotate_overdue",
    "users_without_token",
    "tokens_dormant",
    "tokens_wildcard_non_owner",
    "tokens_shared",
    "users_without_second_factor",
    "tokens_pass_step_up",
)
RuleId = Literal[
    "failed_actions",
    "refused_requests",
    "off_hours_actions",
    "tokens_expiring",
    "tokens_rotate_overdue",
    "users_without_token",
    "tokens_dormant",
    "tokens_wildcard_non_owner",
    "tokens_shared",
    "users_without_second_factor",
    "tokens_pass_step_up",
    "unread",
]


class Weight(Model):
    """So many points for each one that is found, and no more than ``most`` together."""

    points: float = Field(ge=0, le=100)
    most: float = Field(ge=0, le=100)


class Weights(Model):
    """The rules of the score; ``points`` 0 switches one off."""

    failed_actions: Weight = Weight(points=2, most=25)
    refused_requests: Weight = Weight(points=0.5, most=20)
    off_hours_actions: Weight = Weight(points=2, most=15)
    tokens_expiring: Weight = Weight(points=3, most=20)
    tokens_rotate_overdue: Weight = Weight(points=3, most=20)
    users_without_token: Weight = Weight(points=2, most=10)
    tokens_dormant: Weight = Weight(points=2, most=10)
    tokens_wildcard_non_owner: Weight = Weight(points=20, most=40)
    tokens_shared: Weight = Weight(points=10, most=20)
    users_without_second_factor: Weight = Weight(points=5, most=20)
    tokens_pass_step_up: Weight = Weight(points=2, most=2)


class SecurityPolicy(Model):
    """``zone``: in which the off-hours are; null: that of the site's business calendar.

    The hours from ``day_begins_hour`` to before ``day_ends_hour`` are the day, the others off-hours.
    """

    window_days: int = Field(30, ge=1, le=MAX_DAYS, description="How many days of what people did count")
    zone: Zone | None = None
    day_begins_hour: int = Field(6, ge=0, le=23)
    day_ends_hour: int = Field(22, ge=1, le=24)
    expiring_days: int = Field(7, ge=1, le=365, description="A token that ends within so many days is expiring")
    dormant_days: int = Field(30, ge=1, le=365, description="A token that nobody used for so long is dormant")
    shared_days: int = Field(7, ge=1, le=90, description="In how many days the addresses of a token are counted")
    shared_addresses: int = Field(10, ge=2, le=100, description="From so many on it looks shared")
    weights: Weights = Weights()
    medium_from: float = Field(30, gt=0, le=100)
    high_from: float = Field(60, gt=0, le=100)
    critical_from: float = Field(80, gt=0, le=100)

    @model_validator(mode="after")
    def _in_order(self) -> SecurityPolicy:
        if not self.medium_from < self.high_from < self.critical_from:
            raise ValueError("medium_from must be less than high_from, and that less than critical_from")
        if self.day_begins_hour >= self.day_ends_hour:
            raise ValueError("day_begins_hour must be less than day_ends_hour")
        return self


SECURITY_POLICY: Document[SecurityPolicy] = Document(
    "operations",
    "security_policy",
    content=SecurityPolicy,
    default=SecurityPolicy(),
    path="/api/ops/security/policy",
    what="the security policy",
    read="operations:read",
    write="policy:write",
)


class Why(Open):
    """What a rule found: ``points`` of the score (``raw_points`` before they were capped), and what to do."""

    rule: RuleId
    count: int
    points: float
    raw_points: float
    message: str
    action: str


class Risk(Open):
    """``score`` 0 to 100. ``complete``: all was read; else the level is critical, since what nobody saw is not safe."""

    score: float
    level: Level
    complete: bool
    missing: list[str]
    why: list[Why]


class TrendDay(Open):
    """The worst of a day in the site's zone. ``complete`` false: for a while it was not known, and may have been worse.

    Where nothing was read all day, it is what the gates were told: 100, critical.
    """

    day: date
    score: float
    level: Level
    complete: bool = True


class Anomaly(Open):
    """``metric`` reached ``threshold``."""

    id: str
    status: Overall
    metric: int
    threshold: int
    message: str


class UserCounts(Open):
    total_users: int
    active_users: int


class TokenCounts(Open):
    active_tokens: int
    expiring: int
    stale: int
    rotate_overdue: int
    never_rotated: int = 0
    dormant: int
    wildcard_scope_tokens: int
    non_owner_wildcard_tokens: int
    shared: int


class Coverage(Open):
    """``without_second_factor``: who must have one by the policy and has none; at most 50 names."""

    active_users_without_token: int
    usernames: list[str]
    users_without_second_factor: int = 0
    without_second_factor: list[str] = []


class ActionCounts(Open):
    """Of the window. ``refused_requests``: 401 and 403 at the edge; ``counted_until``: when the log was read last."""

    total: int
    failed: int
    refused_requests: int
    sensitive_total: int
    off_hours_total: int
    unique_actors: int
    counted_until: Time | None


class ActorCounts(Open):
    """What one user did in the window."""

    actor: str
    action_count: int
    failed_count: int
    refused_count: int
    sensitive_count: int
    off_hours_count: int


class NamedTokens(Open):
    """The first 20 of each."""

    expiring: list[NamedToken]
    rotate_overdue: list[NamedToken]
    never_rotated: list[NamedToken] = []
    dormant: list[NamedToken]
    non_owner_wildcard: list[NamedToken]
    shared: list[NamedToken]


class Dashboard(Open):
    """The security of a site: what people did there and about the whole installation, and all tokens.

    What was not read is null, and named in ``risk.missing``.
    """

    generated_at: Time
    site: str
    window_days: int
    window_start: Time
    window_end: Time
    zone: str | None
    policy_source: str
    policy_version: int
    overall_status: Overall
    risk: Risk
    users: UserCounts | None
    tokens: TokenCounts | None
    named_tokens: NamedTokens | None
    coverage: Coverage | None
    actions: ActionCounts | None
    anomalies: list[Anomaly]
    top_actors: list[ActorCounts]
    recent_sensitive_events: list[SensitiveDeed]
    recommendations: list[str]
    trend: list[TrendDay]


class DashboardWanted(Model):
    days: int | None = Field(None, ge=1, le=MAX_DAYS, description="How many days count (else: as the policy says)")


class Guard(Open):
    """A part of the posture: a guard of the installation and how it stands."""

    id: str
    status: Overall
    message: str
    action: str


class Posture(Open):
    """How well an installation is guarded: the risk of a site without names, and the checks that are about security."""

    generated_at: Time
    site: str
    overall_status: Overall
    risk: Risk
    guards: list[Guard]
    settings: PostureSettings | None = None  # servers of before did not say
    trend: list[TrendDay]


class ActorWanted(Model):
    actor: Annotated[str, StringConstraints(pattern=r"^(account:)?[a-z0-9-]{1,40}$")] = Field(
        description="A user's name, or that of a service account: account:ci"
    )
    days: int | None = Field(None, ge=1, le=MAX_DAYS, description="How many days count (else: as the policy says)")


class ActorRisk(Open):
    """The same score of one user alone: what it did in the site and about the installation, and its tokens."""

    generated_at: Time
    actor: str
    site: str
    window_days: int
    risk: Risk
    actions: ActorCounts | None
    named_tokens: NamedTokens | None
    recent_sensitive_events: list[SensitiveDeed]


class RiskChanged(Changed):
    """The level of a site's risk is another one; ``why`` is what gave the most points, the first 5."""

    site: str
    before: Level
    level: Level
    score: float
    why: list[str]


show_posture = Query(
    "operations.security.posture",
    result=Posture,
    permission="operations:read",
    http=GET("/api/ops/security/posture", cost=5),
    summary="How well the installation is guarded, and how risky it is run",
)
show_dashboard = Query(
    "operations.security.dashboard",
    params=DashboardWanted,
    result=Dashboard,
    permission="identity:read",
    http=GET("/api/admin/security-dashboard", also=("/api/ops/admin/security-dashboard",)),
    summary="The security of a site: score, why, users, tokens and actions by name, and the trend",
)
show_actor = Query(
    "operations.security.actor",
    params=ActorWanted,
    result=ActorRisk,
    permission="identity:read",
    http=GET("/api/ops/security/actors/{actor}"),
    errors=(NotFound,),
    summary="How risky what one user does is",
)
risk_raised = Event("operations.risk.raised", data=RiskChanged, summary="The security risk of a site has risen")
risk_lowered = Event("operations.risk.lowered", data=RiskChanged, summary="The security risk of a site has fallen")
