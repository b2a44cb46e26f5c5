"""Many runs at once on many items: nothing is given twice, and no change is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from libs.common.contracts.governance.runs import RuleStatus
from libs.common.contracts.tracker.board import SyncBody, sync_board
from libs.common.contracts.tracker.people import PersonLimit, limit_person
from libs.common.postgres import make_pool
from services.tracker import people
from tests.integration.tracker_crew import NEVER_ASKED, Office

pytestmark = [pytest.mark.integration, pytest.mark.whole]


@pytest_asyncio.fixture
async def office(tracker_url: str) -> AsyncIterator[Office]:
    pool = await make_pool(tracker_url, schema="tracker", size=10, application="test")
    await pool.execute(NEVER_ASKED)
    yield Office(pool)
    await pool.close()


SUBJECTS, RULES = 250, 8
SPREAD = """
SELECT count(*) AS items, count(*) FILTER (WHERE assignee IS NULL) AS unassigned,
    count(*) FILTER (WHERE revision <> changes) AS torn, count(*) FILTER (WHERE given > 1) AS twice,
    count(*) FILTER (WHERE assignee IS DISTINCT FROM last_given) AS lost,
    count(*) FILTER (WHERE reason NOT LIKE '%warning') AS stale
FROM item CROSS JOIN LATERAL (
    SELECT count(*) AS changes, count(*) FILTER (WHERE kind = 'assigned') AS given,
        (array_agg(after ->> 'assignee') FILTER (WHERE kind = 'assigned'))[1] AS last_given
    FROM item_change WHERE item_change.item = item.id
) AS ledger
WHERE site = $1
"""


async def test_many_runs_at_once_give_nothing_twice_and_lose_nothing(office: Office) -> None:
    names = [await office.hire(f"p{number}", "operator") for number in range(7)]
    await office.ordered(limit_person, PersonLimit(username=names[0], max_open_items=100))
    failing = {f"r{number}": "fail" for number in range(RULES)}
    warning = dict.fromkeys(failing, "warning")

    async def judge(rules: Any, subject: int, number: int) -> None:
        await office.decided(rules, gate="release", subject=f"s{subject}", number=number)

    for subject in range(SUBJECTS):
        await judge(failing, subject, 1)
    results, _ = await asyncio.gather(
        asyncio.gather(*(office.assign(limit=500) for _ in range(8))),
        asyncio.gather(*(judge(warning, subject, 2) for subject in range(SUBJECTS))),
    )
    while (last := await office.assign(limit=500))["assigned_count"]:
        results.append(last)
    given = [one["id"] for result in results for one in result["assignments"]]
    assert len(given) == len(set(given)) == SUBJECTS * RULES
    row = await office.pool.fetchrow(SPREAD, office.site)
    assert row is not None
    assert dict(row) == {
        "items": SUBJECTS * RULES, "unassigned": 0, "torn": 0, "twice": 0, "lost": 0, "stale": 0,
    }  # fmt: skip
    spread = {one.username: one.open_items for one in await people.persons(office.read())}
    assert spread[names[0]] == 100, "the limit holds, however many runs there are at once"
    others = [count for name, count in spread.items() if name != names[0]]
    assert sum(others) == SUBJECTS * RULES - 100
    assert max(others) - min(others) < 100, others


WORKERS = 8
FATE = """
SELECT count(*) FILTER (WHERE is_active) AS active, count(*) FILTER (WHERE verified_at IS NOT NULL) AS resolved,
    count(*) FILTER (WHERE is_active AND rule_status <> 'warning') AS stale
FROM item WHERE site = $1
"""


async def test_syncs_beside_runs_of_the_assignment_lose_nothing(office: Office) -> None:
    """Eight workers sync 250 boards of eight items, two of them each board, while eight runs give the items out."""
    for number in range(5):
        await office.hire(f"p{number}", "operator")
    rules = [f"r{number}" for number in range(RULES)]
    for subject in range(SUBJECTS):
        await office.decided(dict.fromkeys(rules, "fail"), gate="release", subject=f"s{subject}", number=1)
    half: dict[str, RuleStatus] = {
        name: "pass" if number < RULES // 2 else "warning" for number, name in enumerate(rules)
    }
    whole: dict[str, RuleStatus] = dict.fromkeys(rules, "warning")

    async def sync(subject: int, number: int) -> Any:
        """A sync and its run; of two runs of a board the newer holds, whichever comes first."""
        body = SyncBody(gate="release", subject=f"s{subject}", version="1")
        (asked,) = (await office.order(sync_board, body)).staged
        applied = await office.decided(
            half if number == 3 else whole,
            cause=str(asked.message_id),
            gate="release",
            subject=f"s{subject}",
            number=number,
        )
        (ended,) = applied.ended
        assert ended.http_status == 200, ended.body
        return orjson.loads(ended.body)

    async def work(worker: int) -> list[Any]:
        number = 2 + worker // (WORKERS // 2)
        boards = range(worker % (WORKERS // 2), SUBJECTS, WORKERS // 2)
        return [await sync(subject, number) for subject in (boards if worker % 2 else reversed(boards))]

    results, *answers = await asyncio.gather(
        asyncio.gather(*(office.assign(limit=500) for _ in range(WORKERS))), *(work(each) for each in range(WORKERS))
    )
    while (last := await office.assign(limit=500))["assigned_count"]:
        results.append(last)
    synced = [answer for of_worker in answers for answer in of_worker]
    assert len(synced) == 2 * SUBJECTS
    assert sum(answer["resolved_count"] for answer in synced) == SUBJECTS * RULES // 2, "each pass is counted once"
    assert {answer["created_count"] + answer["reopened_count"] for answer in synced} == {0}
    given = [one["id"] for result in results for one in result["assignments"]]
    assert len(given) == len(set(given))
    row = await office.pool.fetchrow(SPREAD, office.site)
    assert row is not None
    assert (row["items"], row["torn"], row["twice"], row["lost"]) == (SUBJECTS * RULES, 0, 0, 0)
    row = await office.pool.fetchrow(FATE, office.site)
    assert row is not None
    half_of_all = SUBJECTS * RULES // 2
    assert dict(row) == {"active": half_of_all, "resolved": half_of_all, "stale": 0}
    nobody = "SELECT count(*) FROM item WHERE site = $1 AND is_active AND assignee IS NULL"
    assert await office.pool.fetchval(nobody, office.site) == 0
