"""Outages and the mean time to recovery: numbers as worked out by hand, and the same whoever writes them down."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio

from libs.common.contracts.notifier.outages import MttrWindow
from services.notifier.claims import Result
from services.notifier.domain.outages import mark, spans
from services.notifier.figures import outages
from tests.integration.notifier_desk import open_desk
from tests.integration.sink import Sink, answer
from tests.plans import generic_plan, nodes
from tests.stack import Stack

pytestmark = pytest.mark.integration
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
SEED_SUBSCRIPTION = """
INSERT INTO subscription (site, name, owner, status, status_reason, channel, endpoint, event_types, gates, rules,
    priorities, roles, condition, secret, fingerprint, created_at, changed_by, changed_at)
VALUES ($1, $2, 'ann', $3, '', 'webhook', 'https://x.example', '{*}', '{}', '{}', '{}', '{}', '', 's', 'f', $4, 'ann',
    $4)
RETURNING subscription_id
"""
SEED_OUTAGE = "INSERT INTO outage (target, site, began_at, ended_at) VALUES ($1, $2, $3, $4)"


@pytest_asyncio.fixture
async def pool(stack: Stack) -> AsyncIterator[asyncpg.Pool]:
    """As the notifier's own role."""
    url = stack.settings("notifier").database_url
    assert url is not None
    made = await asyncpg.create_pool(
        url.get_secret_value(), min_size=1, max_size=3, server_settings={"search_path": "notifier"}
    )
    yield made
    await made.close()


async def _subscription(
    pool: asyncpg.Pool, name: str, site: str = "global", status: str = "active", at: datetime = NOW
) -> int:
    found: int = await pool.fetchval(SEED_SUBSCRIPTION, site, name, status, at)
    return found


def _ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


def _short(window: MttrWindow) -> tuple[int, int, int, float | None]:
    return (
        window.incident_count,
        window.recovered_incidents,
        window.unresolved_incidents,
        window.mttr_minutes,
    )


async def test_the_figures_are_those_worked_out_by_hand(pool: asyncpg.Pool) -> None:
    """The table, with NOW = 31 March 12:00; a window of 7 days begins on 24 March 12:00, one of 30 on 1 March 12:00.

    | target | began          | ended          | of 7 days         | of 30 days            |
    |--------|----------------|----------------|-------------------|-----------------------|
    | bot    | 1 day ago      | after 30 min   | 30 min            | 30 min                |
    | bot    | 7 days 1 h ago | after 90 min   | 30 min (from 12:00) | 90 min              |
    | bot    | 20 days ago    | after 60 min   | over before       | 60 min                |
    | bot    | 31 days ago    | after 2 days   | over before       | 1 day = 1440 min      |
    | pager  | 2 days ago     | lasts          | unresolved        | unresolved            |
    | pager  | 40 days ago    | after 60 min   | over before       | over before           |
    | old    | 10 days ago    | lasts, removed 8 days ago | removed before | unresolved   |
    | quiet  | never          |                | no incident       | no incident           |

    7 days: (30 + 30) / 2 = 30; 30 days: (30 + 90 + 60 + 1440) / 4 = 405. Outages of two targets that lie at the same
    time are two incidents.
    """
    bot, pager = await _subscription(pool, "bot"), await _subscription(pool, "pager")
    old = await _subscription(pool, "old", status="removed", at=_ago(days=8))
    await _subscription(pool, "quiet")
    foreign = await _subscription(pool, "foreign", site="plant-a")
    minutes = timedelta(minutes=1)
    for target, began, lasted in (
        (bot, _ago(days=1), 30 * minutes),
        (bot, _ago(days=7, hours=1), 90 * minutes),
        (bot, _ago(days=20), 60 * minutes),
        (bot, _ago(days=31), timedelta(days=2)),
        (pager, _ago(days=2), None),
        (pager, _ago(days=40), 60 * minutes),
        (old, _ago(days=10), None),
    ):
        await pool.execute(SEED_OUTAGE, target, "global", began, None if lasted is None else began + lasted)
    await pool.execute(SEED_OUTAGE, foreign, "plant-a", _ago(days=1), _ago(hours=1))

    week, month = await outages.windows(pool, "global", NOW, (7, 30))
    assert _short(week) == (3, 2, 1, 30.0)
    assert _short(month) == (6, 4, 2, 405.0)
    assert [(one.name, one.mttr_minutes, one.open_since) for one in week.targets] == [
        ("pager", None, _ago(days=2)),
        ("bot", 30.0, None),
    ]
    # What was removed fails no more, though its outage is counted.
    assert [(one.name, one.unresolved_incidents, one.open_since) for one in month.targets] == [
        ("pager", 1, _ago(days=2)),
        ("bot", 0, None),
        ("old", 1, None),
    ]
    (elsewhere,) = await outages.windows(pool, "plant-a", NOW, (7,))
    assert _short(elsewhere) == (1, 1, 0, 23 * 60.0)


async def test_no_incident_is_no_mean_and_not_zero(pool: asyncpg.Pool) -> None:
    await _subscription(pool, "quiet")
    (week,) = await outages.windows(pool, "global", NOW, (7,))
    assert _short(week) == (0, 0, 0, None)
    assert week.targets == []


def _result(target: int, at: datetime, well: bool | None) -> Result:
    return Result(1, 1, target, "a.b.c", "global", "subscription", "delivered" if well else "retrying", at, at, well)


async def _note(pool: asyncpg.Pool, batches: list[list[Result]]) -> None:
    for batch in batches:
        async with pool.acquire() as connection, connection.transaction():
            await outages.note(connection, batch)


async def _kept(pool: asyncpg.Pool, target: int) -> list[tuple[datetime, datetime | None]]:
    rows = await pool.fetch("SELECT began_at, ended_at FROM outage WHERE target = $1 ORDER BY began_at", target)
    return [(row["began_at"], row["ended_at"]) for row in rows]


async def test_two_replicas_in_any_order_give_what_the_attempts_say(pool: asyncpg.Pool) -> None:
    """Each attempt is told once or twice, out of order, by two that write at the same time."""
    chance = random.Random(9)
    for target in range(1, 13):
        told = [(target, NOW + timedelta(seconds=second), chance.random() < 0.5) for second in range(40)]
        every = [_result(*one) for one in told + chance.sample(told, 15)]
        chance.shuffle(every)
        batches = [every[place : place + 4] for place in range(0, len(every), 4)]
        await asyncio.gather(_note(pool, batches[::2]), _note(pool, batches[1::2]))
        wanted = spans(sorted({mark(at, well=well) for _, at, well in told}))
        assert await _kept(pool, target) == [(one.began_at, one.ended_at) for one in wanted], target


async def test_what_is_forgotten_stays_as_it_was_written(pool: asyncpg.Pool) -> None:
    def at(second: float) -> datetime:
        return NOW + timedelta(seconds=second)

    # An outage that lasts for far more attempts than are kept, then one that ends.
    await _note(pool, [[_result(1, at(second), well=False)] for second in range(200)])
    assert await _kept(pool, 1) == [(at(0), None)]
    await _note(pool, [[_result(1, at(200), well=True)]])
    assert await _kept(pool, 1) == [(at(0), at(200))]
    # All at once does not lose what would be forgotten in between.
    await _note(pool, [[_result(1, at(300 + second), well=second % 100 != 0) for second in range(300)]])
    three = [(at(300), at(301)), (at(400), at(401)), (at(500), at(501))]
    assert await _kept(pool, 1) == [(at(0), at(200)), *three]
    await _note(pool, [[_result(1, at(700 + second), well=True)] for second in range(100)])
    # What is told later than that counts for nothing, rather than for something wrong.
    await _note(pool, [[_result(1, at(350), well=False), _result(1, at(-5), well=False)]])
    assert await _kept(pool, 1) == [(at(0), at(200)), *three]
    assert await pool.fetchval("SELECT cardinality(marks) FROM target_health") <= outages.MARKS + 2


async def test_an_attempt_that_says_nothing_of_the_target_is_no_outage(pool: asyncpg.Pool) -> None:
    await _note(pool, [[_result(1, NOW, well=None)], []])
    assert await pool.fetchval("SELECT count(*) FROM target_health") == 0


async def test_a_receiver_that_fails_and_heals_is_one_outage(sink: Sink, stack: Stack) -> None:
    desk = await open_desk(stack, sink)
    try:
        sink.says["/hook"] = answer(503)
        made = await desk.subscribe()
        gone = await desk.subscribe("/gone", event_types=["governance.line.halted"])
        sink.says["/gone"] = answer(410)
        await desk.halt()
        await desk.until("retrying")
        await desk.until("dead", subscription_id=gone["subscription_id"])
        began = stack.clock()
        [row] = (await desk.ask("GET", "/ops/alerts/outages"))["items"]
        assert (row["target"], row["ended_at"]) == (made["subscription_id"], None)
        week = (await desk.ask("GET", "/ops/alerts/kpi/mttr"))["windows"][0]
        assert (week["days"], week["unresolved_incidents"], week["mttr_minutes"]) == (7, 1, None)
        stack.clock.advance(minutes=3)
        sink.says["/hook"] = answer(200)
        await desk.until("delivered")
        week = (await desk.ask("GET", "/ops/alerts/kpi/mttr"))["windows"][0]
        assert (week["recovered_incidents"], week["unresolved_incidents"], week["mttr_minutes"]) == (1, 0, 3.0)
        [row] = (await desk.ask("GET", f"/ops/alerts/outages?target={made['subscription_id']}"))["items"]
        assert datetime.fromisoformat(row["began_at"]) == began
    finally:
        await desk.http.close()


async def test_old_outages_go_and_those_that_last_stay(sink: Sink, stack: Stack, pool: asyncpg.Pool) -> None:
    desk = await open_desk(stack, sink)
    now = stack.clock()
    for target, days in ((1, 200), (2, 170)):
        await pool.execute(SEED_OUTAGE, target, "global", now - timedelta(days=days + 1), now - timedelta(days=days))
    await pool.execute(SEED_OUTAGE, 3, "global", now - timedelta(days=900), None)
    assert await stack.run_job("notifier", "prune_outages")
    assert [row["target"] for row in await pool.fetch("SELECT target FROM outage ORDER BY target")] == [2, 3]
    await desk.http.close()


@pytest.mark.parametrize("statement", [outages.NOTE, outages.SELECT_KNOWN, outages.SUM_OUTAGES, outages.PRUNE_OUTAGES])
async def test_outages_are_found_by_indexes(stack: Stack, statement: str) -> None:
    url = stack.settings("notifier").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "notifier"})
    try:
        for what in ("seqscan", "bitmapscan"):
            await connection.execute(f"SET enable_{what} = off")
        plan = nodes(await generic_plan(connection, statement))
    finally:
        await connection.close()
    assert not [node for node in plan if node["Node Type"] == "Seq Scan"]
