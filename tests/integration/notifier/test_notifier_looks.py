"""What one look of the guard does, with nobody sending meanwhile."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from services.notifier.domain.circuits import PROBE_LEASE, Policy
from services.notifier.guarding import guard
from services.notifier.guarding.guard import Guard
from tests.stack import Stack

pytestmark = pytest.mark.integration
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
SEED_SUBSCRIPTION = """
INSERT INTO subscription (site, name, owner, status, status_reason, channel, endpoint, event_types, gates, rules,
    priorities, roles, condition, secret, fingerprint, created_at, changed_by, changed_at)
VALUES ('global', 'one', 'ann', $1, '', 'webhook', 'https://x.example', '{*}', '{}', '{}', '{}', '{}', '', 's', 'f',
    $2, 'ann', $2)
RETURNING subscription_id
"""
SEED_DELIVERY = """
INSERT INTO delivery (subscription_id, event_id, site, event_name, state, due_at, created_at, suppressed_at, purpose)
VALUES ($1, $2, 'global', $3, $4, $5, $6, $7, $8) RETURNING delivery_id
"""
SEED_CIRCUIT = """
INSERT INTO circuit (target, event_name, site, state, failure_count, failed_at, error, probes_failed, probe_at,
    probe_id)
VALUES ($1, 'a.b.c', 'global', $2, $7, $3, '', $4, $5, $6)
"""


@pytest_asyncio.fixture
async def rows(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """As the notifier's own role; no notifier runs."""
    url = stack.settings("notifier").database_url
    assert url is not None
    found = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "notifier"})
    yield found
    await found.close()


async def _subscription(rows: asyncpg.Connection, status: str = "active") -> int:
    found: int = await rows.fetchval(SEED_SUBSCRIPTION, status, NOW)
    return found


async def _delivery(
    rows: asyncpg.Connection, target: int, state: str = "pending", name: str = "a.b.c", held_h: float = 0, **more: Any
) -> int:
    due_at = None if state in ("suppressed", "dead", "delivered") else more.get("due_at", NOW)
    held = NOW - timedelta(hours=held_h) if state == "suppressed" else None
    found: int = await rows.fetchval(
        SEED_DELIVERY, target, uuid.uuid4(), name, state, due_at, NOW, held, more.get("purpose", "subscription")
    )
    return found


async def _circuit(rows: asyncpg.Connection, target: int, state: str = "open", **more: Any) -> None:
    probe_at = more.get("probe_at", NOW + timedelta(minutes=1)) if state in ("open", "half_open") else None
    await rows.execute(
        SEED_CIRCUIT, target, state, more.get("failed_at", NOW), more.get("probes_failed", 0), probe_at,
        more.get("probe_id"), more.get("failure_count", 3),
    )  # fmt: skip


async def _states(rows: asyncpg.Connection) -> dict[int, str]:
    return {row["delivery_id"]: row["state"] for row in await rows.fetch("SELECT delivery_id, state FROM delivery")}


async def _look(rows: asyncpg.Connection, now: datetime = NOW) -> bool:
    async with rows.transaction():
        return await Guard(Policy()).look(rows, now)


async def test_only_what_is_due_of_the_broken_pair_is_held_back_but_for_the_probe_and_escalations(
    rows: asyncpg.Connection,
) -> None:
    target, other = await _subscription(rows), await _subscription(rows)
    probe = await _delivery(rows, target)
    held = [await _delivery(rows, target), await _delivery(rows, target, "retrying")]
    lapsed = await _delivery(rows, target, "delivering")  # who had it in hand has died
    kept = {
        probe: "pending",
        await _delivery(rows, target, name="a.b.d"): "pending",
        await _delivery(rows, target, due_at=NOW + timedelta(seconds=1)): "pending",
        await _delivery(rows, target, purpose="escalation"): "pending",
        await _delivery(rows, target, "delivering", due_at=NOW + timedelta(seconds=30)): "delivering",
        await _delivery(rows, other): "pending",
    }
    await _circuit(rows, target, "half_open", probe_id=probe)
    assert await _look(rows) is False
    assert await _states(rows) == kept | dict.fromkeys([*held, lapsed], "suppressed")


async def test_the_probe_is_what_was_held_back_longest_of_a_subscription_that_is_active(
    rows: asyncpg.Connection,
) -> None:
    target = await _subscription(rows)
    await _delivery(rows, target, "suppressed", held_h=1)
    oldest = await _delivery(rows, target, "suppressed", held_h=2)
    await _circuit(rows, target, probe_at=NOW)
    paused = await _subscription(rows, "paused")
    await _delivery(rows, paused, "suppressed", held_h=3)
    await _circuit(rows, paused, probe_at=NOW)
    await _look(rows)
    found = {row["target"]: dict(row) for row in await rows.fetch("SELECT * FROM circuit")}
    assert (found[target]["state"], found[target]["probe_id"]) == ("half_open", oldest)
    assert found[target]["probe_at"] == NOW + PROBE_LEASE
    assert (found[paused]["state"], found[paused]["probe_id"]) == ("open", None)
    assert [one for one, state in (await _states(rows)).items() if state == "pending"] == [oldest]
    assert await rows.fetchval("SELECT tries FROM delivery WHERE delivery_id = $1", oldest) == -1  # it is counted back


async def test_nothing_is_probed_before_its_time(rows: asyncpg.Connection) -> None:
    target = await _subscription(rows)
    await _delivery(rows, target, "suppressed")
    await _circuit(rows, target, probe_at=NOW + timedelta(minutes=30))
    await _look(rows, NOW + timedelta(minutes=29))
    assert set((await _states(rows)).values()) == {"suppressed"}
    await _look(rows, NOW + timedelta(minutes=30))
    assert set((await _states(rows)).values()) == {"pending"}


@pytest.mark.parametrize(
    ("held_h", "failed_ago_h", "probes_failed", "state"),
    [(18, 0, 1, "dead"), (16, 0, 1, "suppressed"), (18, 2, 1, "suppressed"), (18, 0, 0, "suppressed")],
)
async def test_only_what_was_held_back_long_when_a_probe_failed_is_given_up(
    rows: asyncpg.Connection, held_h: float, failed_ago_h: float, probes_failed: int, state: str
) -> None:
    target = await _subscription(rows)
    one = await _delivery(rows, target, "suppressed", held_h=held_h)
    await _circuit(rows, target, failed_at=NOW - timedelta(hours=failed_ago_h), probes_failed=probes_failed)
    await _look(rows)
    assert await _states(rows) == {one: state}
    counted = await rows.fetchval("SELECT coalesce(sum(dead_count), 0)::int FROM tally")
    assert counted == (1 if state == "dead" else 0)


@pytest.mark.parametrize(("failure_count", "kept"), [(0, []), (2, ["closed"])])
async def test_what_is_released_comes_in_portions_and_then_the_circuit_is_forgotten_unless_it_failed_again(
    rows: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, failure_count: int, kept: list[str]
) -> None:
    monkeypatch.setattr(guard, "AT_ONCE", 2)
    target = await _subscription(rows)
    for hours in (3, 1, 2):
        await _delivery(rows, target, "suppressed", held_h=hours)
    await _circuit(rows, target, "releasing", failure_count=failure_count)
    left = []
    for _ in range(3):
        await _look(rows)
        left.append(list((await _states(rows)).values()).count("suppressed"))
    assert left == [1, 0, 0]
    assert [row["state"] for row in await rows.fetch("SELECT state FROM circuit")] == kept


async def test_a_full_look_asks_for_another(rows: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "AT_ONCE", 2)
    target = await _subscription(rows)
    for _ in range(3):
        await _delivery(rows, target)
    await _circuit(rows, target)
    assert [await _look(rows), await _look(rows)] == [True, False]
