"""GOs under clock steps, forward and back: none outlives what it rests on, each is revoked once, none comes back."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.policies import publish_policy
from libs.common.contracts.governance.runs import gate_revoked, run_gate
from libs.common.contracts.governance.signals import record_signals
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.stack import Stack

pytestmark = pytest.mark.faults
STEPS_MINUTES = (-90, -61, -30, -6, 6, 20, 45, 61, 90)
ROUNDS = 40
MAX_AGE, MAX_FUTURE = timedelta(hours=1), timedelta(minutes=5)
POLICY = """
name: quick
title: Quick
description: One fact, an hour old at most
subject_mode: version
allow_warnings: true
min_score_percent: 0
rules:
  - {id: calm, title: Calm, severity: required, weight: 1, kind: ops.security, scope: version,
     when: fact.risk_score <= 10, observed: "{fact.risk_score}", wanted: at most 10, max_age_hours: 1}
"""
STANDING = "SELECT subject, version FROM valid_gos"


@dataclass
class Model:
    """What must be known of one version: its signals (time, order, score), and whether a GO stands."""

    signals: list[tuple[datetime, int, int]] = field(default_factory=list)
    stands: bool = False

    def is_good(self, now: datetime) -> bool:
        """Whether judging it now must say GO: the newest word counts, also one from the future."""
        if not self.signals:
            return False
        time, _, score = max(self.signals)
        return score <= 10 and time - now <= MAX_FUTURE and now - time <= MAX_AGE


class World:
    """Versions, what is done to them, and what must be true after each minute."""

    def __init__(self, stack: Stack, rng: random.Random) -> None:
        self.stack, self.rng, self.count = stack, rng, 0
        self.models = {(f"app-{number % 4}", f"{number // 4}.0"): Model() for number in range(12)}

    async def signal(self, key: tuple[str, str], score: int) -> None:
        """Record a fact of a version."""
        self.count += 1
        event = {
            "id": str(self.count), "source": "/clock", "type": "ops.security", "subject": key[0], "version": key[1],
            "data": {"risk_level": "low", "risk_score": score},
        }  # fmt: skip
        answer = await self.stack.command(record_signals, {"signals": [event]})
        assert answer.status == 201, answer
        self.models[key].signals.append((self.stack.clock(), self.count, score))

    async def run(self, key: tuple[str, str]) -> None:
        """Judge a version."""
        model = self.models[key]
        answer = await self.stack.command(run_gate, {"gate": "quick", "subject": key[0], "version": key[1]})
        good = model.is_good(self.stack.clock())
        assert (answer.json["decision"] == "go") is good, (key, model, answer)
        model.stands = good

    async def check_admissions(self) -> None:
        """Nobody is admitted whose facts would not pass now, also before the minute is over."""
        for key, model in self.models.items():
            answer = await self.stack.query(admit, {"gate": "quick", "subject": key[0], "version": key[1]})
            wanted = model.stands and model.is_good(self.stack.clock())
            assert answer.json["admitted"] is wanted, (key, model, self.stack.clock(), answer)

    async def minutes(self) -> None:
        """The looks of two minutes: what does not hold is gone after them.

        One is enough unless the clock comes to the very minute that was the last before it was set back.
        """
        running = self.stack.running["governance"]
        assert running.jobs is not None
        for _ in range(2):
            self.stack.clock.advance(minutes=1)
            await running.jobs.run_due()
            for model in self.models.values():
                model.stands = model.stands and model.is_good(self.stack.clock())
        rows = await running.pool.fetch(STANDING)
        standing = {key for key, model in self.models.items() if model.stands}
        assert {tuple(row) for row in rows} == standing


async def test_no_step_of_the_clock_keeps_a_go_or_brings_one_back(stack: Stack) -> None:
    schedules = {"governance.*": "off", "governance.rejudge": "* * * * *"}
    await stack.start(make_service(packaged_policies()), schedules=schedules)
    published = await stack.command(publish_policy, {"gate": "quick", "content": POLICY, "reason": "For clocks"})
    assert published.status == 200, published
    world, rng = World(stack, random.Random(8)), random.Random(9)
    gone_by_clock = 0
    for _ in range(ROUNDS):
        for key in rng.sample(sorted(world.models), 5):
            await world.signal(key, rng.choice((1, 1, 1, 99)))
            if rng.random() < 0.8:
                await world.run(key)
        stack.clock.advance(minutes=rng.choice(STEPS_MINUTES))
        await world.check_admissions()
        before = sum(model.stands for model in world.models.values())
        await world.minutes()
        gone_by_clock += before - sum(model.stands for model in world.models.values())
        await world.check_admissions()
    await stack.idle("governance")
    told = Counter(_run_id(event.data) for event in stack.events if event.type == gate_revoked.type)
    assert set(told.values()) == {1}, told.most_common(3)
    print(f"{world.count} signals, {gone_by_clock} GOs gone by the clock alone, {len(told)} revocations told once each")
    assert gone_by_clock > 20


def _run_id(data: Any) -> int:
    return int(data["revoked_run_id"])
