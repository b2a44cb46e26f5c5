"""The gates are told how the SLOs stand, and a policy that wants a budget freezes releases when it is spent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from libs.common.contracts.gateway.latency import BOUNDS_MS
from libs.common.contracts.governance.runs import run_gate
from libs.common.contracts.governance.signals import signal_recorded
from libs.common.contracts.metrics.slo import SLO_JOB
from libs.judge.policy import parse_policy
from libs.slo.openslo import read_files
from services.governance.service import make_service as make_governance
from services.metrics.service import make_service
from tests.http_edge import Http
from tests.integration.test_slo import send
from tests.stack import Stack
from tests.unit.slo.test_openslo import QUICK, RATIO

pytestmark = pytest.mark.integration
POLICY = b"""
name: shop
title: The shop
description: No release while the budget is spent.
subject_mode: version
allow_warnings: true
min_score_percent: 0
rules:
  - id: budget_left
    title: The error budget is not spent
    severity: required
    weight: 1
    kind: ops.slo
    scope: subject
    max_age_hours: 3
    when: fact.spent_count == 0 && fact.page_count == 0 && fact.no_data_count < fact.slo_count
    observed: "{fact.spent_count} of {fact.slo_count} budgets are spent, {fact.page_count} burn too fast"
    wanted: none
    owner_role: Ops Lead
    sla_hours: 4
    action: Mend what fails, and wait until the budget is there again.
"""


async def look(stack: Stack) -> None:
    await stack.idle("metrics")
    assert await stack.run_job("metrics", SLO_JOB)
    await stack.idle("metrics")
    await stack.idle("governance")


async def decision(stack: Stack, version: str) -> tuple[str, str]:
    """What the gate says, and why."""
    run = await stack.command(run_gate, {"gate": "shop", "subject": "acme/shop", "version": version})
    assert run.status == 201, run
    return run.json["decision"], run.json["rules"][0]["message"]


def signals(stack: Stack) -> list[tuple[str, str, bool]]:
    """(site, subject, valid) of all that were recorded."""
    told = [event for event in stack.events if event.type == signal_recorded.type]
    return [(event.site, event.data["subject"], event.data["valid"]) for event in told]


async def test_a_release_is_frozen_while_the_budget_is_spent(stack: Stack) -> None:
    slos = read_files(
        {"a.yaml": RATIO.encode(), "b.yaml": QUICK.replace('route="/api/gates/{gate}/runs"', "").encode()}, BOUNDS_MS
    )
    edge = await Http(stack).open()
    await edge.site("plant-1")
    policy = parse_policy(POLICY, "shop.yaml")
    await stack.start(make_service(slos), make_governance({"shop": policy}))
    try:
        assert (await decision(stack, "1"))[0] == "no_go"  # nobody has said anything
        for _ in range(70):
            stack.clock.advance(minutes=1)
            await send(stack, 20)
        await look(stack)
        assert sorted(set(signals(stack))) == [
            ("global", "acme/api", True), ("global", "acme/shop", True), ("global", "site", True),
            ("plant-1", "acme/api", True), ("plant-1", "acme/shop", True), ("plant-1", "site", True),
        ]  # fmt: skip
        assert (await decision(stack, "1"))[0] == "go"
        count = len(signals(stack))
        stack.clock.advance(minutes=5)
        await send(stack, 20)
        await look(stack)
        assert len(signals(stack)) == count  # nothing new, and not an hour since
        # The SLO that names this subject is the one of latency: too many slow answers spend its budget.
        for _ in range(10):
            await send(stack, 30, ms=3000)
        await look(stack)
        assert len(signals(stack)) == 2 * count  # at once
        said = await decision(stack, "1")
        assert said[0] == "no_go"
        assert "1 of 1 budgets are spent, 0 burn too fast" in said[1]
        # Said anew after an hour; and a fact that nobody renews is too old.
        stack.clock.advance(hours=1)
        await look(stack)
        assert len(signals(stack)) > 2 * count
        stack.clock.advance(hours=4)
        assert "old" in (await decision(stack, "1"))[1]
    finally:
        await edge.close()


async def test_while_nobody_knows_the_sites_it_waits_and_the_status_is_told(stack: Stack) -> None:
    running = await stack.start(make_service(read_files({"a.yaml": RATIO.encode()}, BOUNDS_MS)))
    await stack.idle("metrics")
    assert await stack.run_job("metrics", SLO_JOB)  # without a gateway
    assert await running.pool.fetchval("SELECT count(*) FROM slo_told") == 0
    assert await running.pool.fetchval("SELECT status FROM slo_state") == "no_data"
    edge = await Http(stack).open()
    try:
        stack.clock.advance(minutes=1)
        assert await stack.run_job("metrics", SLO_JOB)
        told: Any = await running.pool.fetchval("SELECT told_at FROM slo_told")
        assert told == stack.clock()
        stack.clock.now -= timedelta(hours=5)  # a clock that is set back silences nobody
        assert await stack.run_job("metrics", SLO_JOB)
        assert await running.pool.fetchval("SELECT told_at FROM slo_told") == stack.clock()
    finally:
        await edge.close()
