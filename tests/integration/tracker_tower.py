"""A desk whose jobs run, too: escalation, minute by minute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from libs.common.cloudevents import CloudEvent, decode
from libs.common.contracts.governance.runs import RuleStatus
from libs.common.contracts.tracker.chains import CHAINS, Chain, Chains, Level, Target
from libs.common.contracts.tracker.escalation import EscalateBody, Escalated, Escalation, run_escalation
from libs.common.contracts.tracker.items import ItemKey
from libs.common.contracts.versions import Publication
from libs.common.ids import uuid7
from libs.common.service import Job, JobDone, Tx
from services.tracker import acknowledgement, escalation
from tests.integration.tracker_desk import Desk

JOBS = {job.name: job for job in escalation.TABLE.jobs}
TEAM, BOSS = Target(user="team"), Target(user="boss")


def chain(*levels: Level, **more: Any) -> Chain:
    return Chain(**{"name": "test", "calendar": "always", "levels": levels, **more})


TWO_LEVELS = chain(
    Level(targets=(TEAM,), repeat_minutes=20, max_repeats=9),
    Level(targets=(BOSS,), wait_minutes=60, repeat_minutes=30, max_repeats=2),
)


class Tower:
    """A desk whose jobs are run, too."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def job(self, name: str, site: str = "") -> JobDone | None:
        """Run a job now, as the clockwork does."""
        job: Job = JOBS[name]
        where = site or (self.desk.site if job.sites else "global")
        message = CloudEvent(str(uuid7()), "/headgate/tracker", f"job.{name}", site=where, actor="service:tracker")
        async with self.desk.pool.acquire() as connection, connection.transaction():
            tx = Tx("tracker", connection, message, self.desk.now)
            done = await job.handler(tx)
        self.desk.told += [decode(one.payload) for one in tx.staged]
        return done

    async def run(self, **options: Any) -> Escalated:
        """A run by hand."""
        applied = await self.desk.order(run_escalation, EscalateBody(**options))
        return Escalated.model_validate_json(applied.ended[0].body)

    async def publish(self, *chains: Chain, **settings: Any) -> None:
        content = Chains(**{"chains": chains, **settings})
        await self.desk.order(CHAINS.publish, Publication[Chains](content=content, reason="a test"))

    async def fails(self, *rules: str, status: RuleStatus = "fail") -> dict[str, int]:
        """A run in which these rules fail; returns the items' ids."""
        await self.desk.decided(dict.fromkeys(rules, status))
        return {name: item.id for name, item in (await self.desk.items()).items()}

    def raised(self) -> list[Mapping[str, Any]]:
        """What was raised at this site since the last look; the ladder tells of other tests' sites, too."""
        told = [one for one in self.desk.told if one.site == self.desk.site]
        found = [one.data for one in told if one.name == "tracker.escalation.raised"]
        self.desk.told = []
        return found

    def steps(self) -> list[tuple[str, int, int]]:
        """Rule, level and repeat of what was raised since the last look."""
        return [(one["item"]["rule_id"], one["level"], one["repeat"]) for one in self.raised()]

    async def tick(self, minutes: int) -> list[tuple[int, str, int, int]]:
        """The ladder every minute, for so many: (after how many minutes, rule, level, repeat)."""
        found = []
        for minute in range(1, minutes + 1):
            self.desk.now += timedelta(minutes=1)
            await self.job("escalation_ladder")
            found += [(minute, *step) for step in self.steps()]
        return found

    async def state(self, item_id: int) -> Escalation:
        return await acknowledgement.get_escalation(self.desk.read(), ItemKey(item_id=item_id))
