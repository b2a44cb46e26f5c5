"""The score of risk: what was found, weighed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

MAX_SCORE = 100.0
LEVELS = ("low", "medium", "high", "critical")
# What each rule counts, and what to do about it.
SAID: Mapping[str, tuple[str, str]] = {
    "failed_actions": (
        "{count} commands of people were refused or failed",
        "Look at who tries what: GET /api/audit/entries?outcome=refused.",
    ),
    "refused_requests": (
        "{count} requests were refused at the edge (401, 403)",
        "Look for wrong tokens and for who tries what is not theirs: GET /api/admin/security-dashboard.",
    ),
    "off_hours_actions": (
        "{count} commands of people were given outside the day",
        "Ask those who gave them; set zone and hours of the security policy to how you work.",
    ),
    "tokens_expiring": ("{count} tokens end soon", "Rotate them, or let those end that nobody needs."),
    "tokens_rotate_overdue": ("{count} tokens are older than their rotation age", "headgate tokens rotate ID"),
    "users_without_token": (
        "{count} active users have no token that works",
        "Switch off who has left: headgate users patch NAME --no-active.",
    ),
    "tokens_dormant": ("{count} tokens have not been used for long", "Revoke them: headgate tokens revoke ID"),
    "tokens_wildcard_non_owner": (
        "{count} tokens of users who are no owners reach all sites and are bound to nothing",
        "Issue narrow ones in their place (--scope, --permission), then revoke these.",
    ),
    "tokens_shared": (
        "{count} tokens come from many addresses, as if several shared them",
        "Give each its own token, bound to its network (--cidr), and revoke these.",
    ),
    "users_without_second_factor": (
        "{count} people who must have a second factor have none",
        "They begin one: headgate second-factor begin; or the policy means others: headgate second-factor-policy show.",
    ),
    "tokens_pass_step_up": (
        "the policy asks sessions for a fresh code and lets tokens of people pass without",
        "Publish it with tokens: accounts (headgate second-factor-policy publish).",
    ),
}


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a rule came to: ``raw`` points, and how many of them count."""

    rule: str
    count: int
    points: float
    raw: float
    message: str
    action: str


@dataclass(frozen=True, slots=True)
class Score:
    """0 to 100 and its level; ``why`` has each rule that gave points, the most first."""

    value: float
    level: str
    why: tuple[Weighed, ...]


def score(
    counts: Mapping[str, int],
    weights: Mapping[str, tuple[float, float]],
    levels: Sequence[float],
    missing: Sequence[str],
) -> Score:
    """Weigh what was counted. ``weights``: points for each one, and the most; ``levels``: where three of them begin.

    What is missing makes the whole critical: what nobody saw is not safe.
    """
    why = [
        Weighed(
            "unread", len(missing), MAX_SCORE, MAX_SCORE, f"not known: {'; '.join(missing)}", "See that it answers."
        )
    ][: 1 if missing else 0]
    found = []
    for rule, count in counts.items():
        each, most = weights[rule]
        raw = each * count
        if raw > 0:
            message, action = SAID[rule]
            found.append(Weighed(rule, count, min(raw, most), raw, message.format(count=count), action))
    why += sorted(found, key=lambda one: -one.points)
    value = round(min(MAX_SCORE, sum(one.points for one in why)), 2)
    return Score(value, "critical" if missing else level_of(value, levels), tuple(why))


def level_of(value: float, levels: Sequence[float]) -> str:
    """The level of a score; ``levels`` say from where on it is medium, high and critical."""
    return LEVELS[sum(value >= bound for bound in levels)]


def off_hours(at: datetime, zone: tzinfo, begins_hour: int, ends_hour: int) -> bool:
    """Whether a moment lies outside the day of a zone."""
    return not begins_hour <= at.astimezone(zone).hour < ends_hour


@dataclass(frozen=True, slots=True)
class Spotted:
    """An anomaly: a count that reached its threshold."""

    id: str
    status: str
    metric: int
    threshold: int
    message: str


def anomalies(counts: Mapping[str, int], sensitive: int, stale: int, days: int) -> list[Spotted]:
    """What stands out in a window of so many days (thresholds: facility rules, section 6.7)."""
    table = (
        ("failed_actions_spike", "failed_actions", max(10, days), "warning"),
        ("refused_requests_spike", "refused_requests", max(20, 2 * days), "warning"),
        ("off_hours_activity", "off_hours_actions", max(5, days // 2), "warning"),
        ("token_expiring_soon", "tokens_expiring", 1, "warning"),
        ("token_rotate_overdue", "tokens_rotate_overdue", 1, "warning"),
        ("users_without_active_token", "users_without_token", 1, "warning"),
        ("dormant_tokens", "tokens_dormant", 1, "warning"),
        ("token_shared", "tokens_shared", 1, "warning"),
        ("users_without_second_factor", "users_without_second_factor", 1, "warning"),
        ("token_wildcard_scope_non_owner", "tokens_wildcard_non_owner", 1, "critical"),
    )
    found = [
        Spotted(name, status, counts[rule], least, SAID[rule][0].format(count=counts[rule]))
        for name, rule, least, status in table
        if counts.get(rule, 0) >= least
    ]
    if sensitive >= (least := max(15, 2 * days)):
        found.append(
            Spotted(
                "sensitive_action_volume", "warning", sensitive, least, f"{sensitive} sensitive commands were given"
            )
        )
    if stale:
        found.append(
            Spotted("stale_token_usage", "warning", stale, 1, f"{stale} tokens have not been used for two weeks")
        )
    return found
