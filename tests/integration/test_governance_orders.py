"""Whatever order signals arrive in, and grouped in whatever way: the same facts, and the same tests still failing."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.governance_desk import event, send, start
from tests.stack import Stack
from tests.unit.governance.samples import junit_data

TESTS = ("a", "b", "c", "d")
FACTS = """
SELECT newest.event_id AS newest, good.event_id AS good FROM governance.facts
JOIN governance.signals AS newest USING (signal_id)
LEFT JOIN governance.signals AS good ON good.signal_id = facts.good_signal_id
WHERE facts.subject = $1
"""
OPEN = """
SELECT test, shown.event_id FROM governance.open_failures JOIN governance.facts USING (fact_id)
JOIN governance.signals AS shown ON shown.signal_id = open_failures.signal_id
WHERE facts.subject = $1
"""


def a_history(choose: random.Random) -> list[tuple[str, Any, bool]]:
    """Test reports from old to new: (name, data, whether the data are right)."""
    history: list[tuple[str, Any, bool]] = []
    for number in range(12):
        shown = choose.sample(TESTS, choose.randint(1, 4))
        failed = tuple(test for test in shown if choose.random() < 0.5)
        data = junit_data(*(test for test in shown if test not in failed), failed=failed)
        right = choose.random() < 0.75
        history.append((f"s{number}", data if right else {**data, "total": "many"}, right))
    return history


def expected(history: list[tuple[str, Any, bool]]) -> tuple[str, str | None, dict[str, str]]:
    """By the definition: newest, last good one, and each test's last report if that shows it failing."""
    still: dict[str, str] = {}
    for name, data, right in history:
        if right:
            for test in data["tests"]:
                still.pop(test, None)
            still |= dict.fromkeys(data["failed_tests"], name)
    good = [name for name, _, right in history if right]
    return history[-1][0], good[-1] if good else None, still


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_order_of_arrival_changes_nothing(stack: Stack, seed: int) -> None:
    await start(stack)
    choose = random.Random(seed)
    history = a_history(choose)
    begin = stack.clock() - timedelta(hours=1)
    admin = await stack.superuser()
    try:
        for number in range(12):
            subject = f"order-{number}"
            events = [
                event(f"{subject}-{name}", "test.junit", data, time=(begin + timedelta(minutes=place)).isoformat())
                for place, (name, data, _) in enumerate(history)
            ]
            choose.shuffle(events)
            while events:
                size = choose.randint(1, 4)
                assert (await send(stack, *events[:size], subject=subject, version="1.0")).status == 201
                events = events[size:]
            newest, good, still = expected(history)
            fact = await admin.fetchrow(FACTS, subject)
            assert fact is not None
            assert (fact["newest"], fact["good"]) == (f"{subject}-{newest}", good and f"{subject}-{good}")
            found = {row["test"]: row["event_id"] for row in await admin.fetch(OPEN, subject)}
            assert found == {test: f"{subject}-{name}" for test, name in still.items()}
    finally:
        await admin.close()
