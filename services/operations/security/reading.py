"""What a site's risk is made of, read at one moment; what could not be read is named with the reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from libs.common import versions
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.token_survey import SurveyWanted, TokenSurvey, survey_tokens
from libs.common.contracts.operations.security import SECURITY_POLICY, ActorCounts, SecurityPolicy
from libs.common.contracts.tracker.calendars import CALENDAR
from libs.common.contracts.versions import Published
from libs.common.problems import Refusal
from libs.common.service import Connection, Read, Tx
from libs.common.versions import EVERYWHERE
from services.operations.asked import ANSWER_S
from services.operations.domain.risk import off_hours

FRESH = timedelta(minutes=5)  # the job counts each minute
MAX_BEHIND = 5_000  # entries

SELECT_MARK = "SELECT behind, counted_at FROM conduct_mark"
# $4 narrows to one user.
SUM_DEEDS = """
SELECT began_at, actor, sum(action_count)::bigint AS action_count, sum(deed_count)::bigint AS deed_count,
    sum(failed_count)::bigint AS failed_count, sum(sensitive_count)::bigint AS sensitive_count
FROM conduct
WHERE began_at > $1 AND began_at <= $2 AND site = ANY ($3::text[]) AND ($4::text IS NULL OR actor = $4)
GROUP BY began_at, actor
"""
SUM_REFUSED = """
SELECT who, sum(count)::bigint AS count FROM refused_request
WHERE began_at > $1 AND began_at <= $2 AND status IN (401, 403) AND ($3::text IS NULL OR who = $3) GROUP BY who
"""
SELECT_ZONE = "SELECT zone FROM security_told WHERE site = $1"


@dataclass(slots=True)
class Actor:
    """What one user did in the window."""

    action_count: int = 0
    failed_count: int = 0
    refused_count: int = 0
    sensitive_count: int = 0
    off_hours_count: int = 0

    def shown(self, name: str) -> ActorCounts:
        """As the contract has it."""
        return ActorCounts(
            actor=name,
            action_count=self.action_count,
            failed_count=self.failed_count,
            refused_count=self.refused_count,
            sensitive_count=self.sensitive_count,
            off_hours_count=self.off_hours_count,
        )


@dataclass(slots=True)
class Facts:
    """What was read. ``actors`` None: the log was not counted far enough; ``missing`` says what and why."""

    site: str
    now: datetime
    days: int
    policy: Published[SecurityPolicy]
    zone: str | None = None
    survey: TokenSurvey | None = None
    actors: dict[str, Actor] | None = None
    refused: Counter[str] = field(default_factory=Counter)
    counted_at: datetime | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def sites(self) -> list[str]:
        """Whose deeds count: the site's, and those about the whole installation."""
        return sorted({self.site, EVERYWHERE})

    @property
    def since(self) -> datetime:
        """Where the window begins."""
        return self.now - timedelta(days=self.days)

    def total(self, name: str) -> int:
        """The sum of one count over all users."""
        return sum(getattr(one, name) for one in (self.actors or {}).values())

    @property
    def counts(self) -> dict[str, int]:
        """By the rules of the score, as far as they were read."""
        found: dict[str, int] = {}
        if self.actors is not None:
            found = {
                "failed_actions": self.total("failed_count"),
                "refused_requests": sum(self.refused.values()),
                "off_hours_actions": self.total("off_hours_count"),
            }
        if (tokens := self.survey) is not None:
            found |= {
                "tokens_expiring": tokens.expiring.count,
                "tokens_rotate_overdue": tokens.rotate_overdue.count,
                "users_without_token": len(tokens.active_users_without_token),
                "tokens_dormant": tokens.dormant.count,
                "tokens_wildcard_non_owner": tokens.wildcard_non_owner.count,
                "tokens_shared": tokens.shared.count,
                "users_without_second_factor": len(tokens.users_without_second_factor),
                "tokens_pass_step_up": int(tokens.tokens_pass_step_up),
            }
        return found


class Reader:
    """Reads for a handler: of a question in its site, of a job in every site."""

    def __init__(self, asking: Tx | Read, site: str) -> None:
        self._asking, self._site = asking, site
        self._source: asyncpg.Pool | Connection = asking.connection if isinstance(asking, Tx) else asking.pool

    async def _ask(self, query: Any, params: Any) -> Any:
        if isinstance(self._asking, Tx):
            return await self._asking.ask(query, params, site=self._site, timeout_s=ANSWER_S)
        return await self._asking.ask(query, params, timeout_s=ANSWER_S)

    async def read(self, *, days: int | None = None, actor: str | None = None) -> Facts:
        """All facts of a site, or those of one user there; raises nothing that another service does."""
        policy = await versions.current(self._source, SECURITY_POLICY, self._site)
        said, now = policy.content, self._asking.now
        facts = Facts(self._site, now, days or said.window_days, policy)
        wanted = SurveyWanted(
            expiring_days=said.expiring_days,
            dormant_days=said.dormant_days,
            shared_days=said.shared_days,
            shared_addresses=said.shared_addresses,
            username=actor,
        )
        try:
            facts.survey = await self._ask(survey_tokens, wanted)
        except Refusal as refusal:
            facts.missing.append(f"the tokens ({refusal.detail})")
        facts.zone = said.zone or await self._zone(facts)
        await self._conduct(facts, actor)
        return facts

    async def _zone(self, facts: Facts) -> str | None:
        """That of the business calendar; while the tracker is away, the one that was known last."""
        try:
            calendar = await self._ask(CALENDAR.show, Nothing())
        except Refusal as refusal:
            known: str | None = await self._source.fetchval(SELECT_ZONE, self._site)
            if known is None:
                facts.missing.append(f"the zone of the business calendar ({refusal.detail})")
            return known
        zone: str = calendar.content.zone
        return zone

    async def _conduct(self, facts: Facts, actor: str | None) -> None:
        mark = await self._source.fetchrow(SELECT_MARK)
        assert mark is not None  # noqa: S101 - the migration puts it there
        facts.counted_at = mark["counted_at"]
        if facts.counted_at is None or facts.now - facts.counted_at > FRESH:
            seen = "never" if facts.counted_at is None else f"last at {facts.counted_at:%Y-%m-%dT%H:%M}Z"
            facts.missing.append(f"what people did (the audit log was read {seen})")
            return
        if not 0 <= mark["behind"] <= MAX_BEHIND:
            what = f"{mark['behind']} entries are not counted yet" if mark["behind"] > 0 else "it has become shorter"
            facts.missing.append(f"what people did (the audit log: {what})")
            return
        if facts.zone is None:
            return  # named already
        facts.actors = {}
        zone, said = ZoneInfo(facts.zone), facts.policy.content
        for row in await self._source.fetch(SUM_DEEDS, facts.since, facts.now, facts.sites, actor):
            one = facts.actors.setdefault(row["actor"], Actor())
            one.action_count += row["action_count"]
            one.failed_count += row["failed_count"]
            one.sensitive_count += row["sensitive_count"]
            if off_hours(row["began_at"], zone, said.day_begins_hour, said.day_ends_hour):
                one.off_hours_count += row["deed_count"]
        for row in await self._source.fetch(SUM_REFUSED, facts.since, facts.now, actor):
            facts.refused[row["who"]] += row["count"]
            if not row["who"].startswith("address:"):
                facts.actors.setdefault(row["who"], Actor()).refused_count += row["count"]
