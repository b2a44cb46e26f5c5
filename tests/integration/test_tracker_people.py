"""People and assignment at the tracker's desk: who is known, who is away, who gets what, and many runs at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
import pytest_asyncio

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Nothing
from libs.common.contracts.tracker import assignment as contract
from libs.common.contracts.tracker.assignment import ASSIGNMENT, AssignmentPolicy
from libs.common.contracts.tracker.hands import HandOver, Release, Take, hand_over_item, release_item, take_item
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.contracts.tracker.people import (
    AbsenceKey,
    OwnAbsence,
    OwnAbsenceKey,
    PersonAbsence,
    PersonLimit,
    cancel_absence,
    cancel_own_absence,
    limit_person,
    set_absence,
    set_own_absence,
)
from libs.common.contracts.versions import Publication
from libs.common.ids import uuid7
from libs.common.postgres import make_pool
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Tx
from services.tracker import assignment, people, proposals
from tests.integration.tracker_crew import NEVER_ASKED, Office
from tests.plans import generic_plan, nodes
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def office(tracker_url: str) -> AsyncIterator[Office]:
    pool = await make_pool(tracker_url, schema="tracker", size=10, application="test")
    await pool.execute(NEVER_ASKED)
    yield Office(pool)
    await pool.close()


async def test_the_newest_that_is_told_of_a_user_counts(office: Office) -> None:
    ann = await office.hire("ann", "operator", revision=3)
    await office.hire("ann", "owner", revision=2)
    await office.hire("eve", "operator", revision=None)  # as a version told that did not count
    eve = await office.hire("eve", "manager", revision=1)
    await office.hire("eve", "operator", revision=None)
    await office.hire("vic", "viewer")
    await office.hire("far", "operator", sites=["elsewhere"])
    await office.hire("off", "operator", active=False)
    await office.hire("all", "manager", sites=["*"])
    found = [(one.username, one.role) for one in await people.persons(office.read())]
    assert [one for one in found if one[0].endswith(office.site)] == [
        (f"all-{office.site}", "manager"),
        (ann, "operator"),
        (eve, "manager"),
    ]
    await office.hire("all", "manager", active=False, revision=2)  # not to be seen by the other tests
    await office.hire("ann", "operator", active=False, revision=4)
    await office.hire("eve", "manager", active=False, revision=2)
    assert await people.persons(office.read()) == []


async def test_a_workload_counts_and_suggests(office: Office) -> None:
    ole, ann = await office.hire("ole", "operator"), await office.hire("ann", "owner")
    await office.decided({"a": "fail", "b": "fail", "c": "warning", "d": "fail"})
    items = await office.items()
    await office.order(patch_item, ItemPatch(item_id=items["a"].id, assignee=ole))
    await office.order(patch_item, ItemPatch(item_id=items["b"].id, assignee="Somebody Else", status="done"))
    found = await office.workload()
    assert (found.total_open_items, found.unassigned_open_count) == (3, 2)
    assert found.assignee_open_counts == {ole: 1, "unassigned": 2}
    assert found.owner_role_open_counts == {"Ops Lead": 3}
    assert found.candidate_usernames_by_role.model_dump() == {"owner": [ann], "manager": [], "operator": [ole]}
    assert [(one.rule_id, one.recommended_assignee) for one in found.suggestions] == [
        ("d", ann),
        ("c", ann),
    ]  # alike by then
    assert found.suggestions[0].reason == f"{ann} (owner) has the least load of them: 0."
    assert found.unknown_assignees == []
    every = await office.workload(include_inactive=True, max_suggestions=1)
    assert (every.total_open_items, every.assignee_open_counts["Somebody Else"]) == (4, 1)
    assert (every.unknown_assignees, len(every.suggestions)) == (["Somebody Else"], 1)


async def test_a_dry_run_gives_nothing_and_a_real_one_does(office: Office) -> None:
    await office.decided({"a": "fail", "b": "warning"})
    nobody = await office.assign()
    assert (nobody["status"], nobody["no_candidate_count"], nobody["assigned_count"]) == ("warning", 2, 0)
    ole = await office.hire("ole", "operator")
    office.told = []
    dry = await office.assign(dry_run=True)
    assert (dry["status"], dry["candidate_count"], dry["assigned_count"], dry["assignments"]) == ("success", 2, 0, [])
    assert [one["recommended_assignee"] for one in dry["workload"]["suggestions"]] == [ole, ole]
    assert office.events == ["job.finished"]
    items = await office.items()
    assert {one.assignee for one in items.values()} == {None}
    real = await office.assign(limit=1)
    assert (real["limit"], real["assigned_count"], real["updated_ids"]) == (1, 1, [items["a"].id])
    reason = f"{ole} (operator) has the least load of them: 0."
    assert real["assignments"] == [{"id": items["a"].id, "assignee": ole, "status": "in_progress", "reason": reason}]
    assert office.events == ["item.assigned", "job.finished"]
    after = (await office.items())["a"]
    assert (after.assignee, after.status, after.updated_by) == (ole, "in_progress", "system")
    assert after.completion_note == f"[2026-03-01 09:00 UTC] Given to {ole}: {reason}"
    latest = contract.AutoAssigned(**orjson.loads(await assignment.latest_auto_assign(office.read(), Nothing())))
    assert (latest.run_id, latest.trigger, latest.assigned_count) == (real["run_id"], "api", 1)
    (row,) = await office.pool.fetch(
        "SELECT kind, actor, after FROM item_change WHERE item = $1 AND revision = 2", after.id
    )
    assert (row["kind"], row["actor"], row["after"]["assignee"]) == ("assigned", "system", ole)


async def test_a_plan_is_what_the_run_then_does(office: Office) -> None:
    for name in ("ole", "pia"):
        await office.hire(name, "operator")
    await office.decided({"a": "fail", "b": "fail", "c": "warning", "d": "fail"})
    office.told = []
    plan = await proposals.plan_assignments(office.pool, office.site, office.now, 3)
    assert office.events == []
    real = await office.assign(limit=3)
    assert [(one["id"], one["assignee"], one["reason"]) for one in real["assignments"]] == [
        (item.id, proposal.assignee, proposal.reason) for item, proposal in plan
    ]
    assert len(plan) == 3


async def test_a_run_is_undone_where_nobody_has_changed_anything_since(office: Office) -> None:
    await office.hire("ole", "operator")
    await office.decided(dict.fromkeys("abcde", "fail"))
    before = await office.items()
    await office.order(patch_item, ItemPatch(item_id=before["e"].id, status="blocked"))
    first = await office.assign(limit=4)
    office.later(1)
    second = await office.assign()
    assert (first["assigned_count"], second["updated_ids"]) == (4, [before["e"].id])
    office.later(1)
    await office.order(patch_item, ItemPatch(item_id=before["a"].id, completion_note="I am at it"))
    await office.order(patch_item, ItemPatch(item_id=before["b"].id, status="done"))
    await office.decided({"c": "pass", "d": "fail"})

    async def undo(run: Any, *, site: str = "") -> list[str]:
        message = CloudEvent(str(uuid7()), "/headgate/gateway", "undo", site=site or office.site, actor="ann")
        at = datetime.fromisoformat(run["started_at"])
        async with office.pool.acquire() as connection, connection.transaction():
            tx = Tx("tracker", connection, message, office.now)
            every = [*first["updated_ids"], *second["updated_ids"]]
            changes = await proposals.undo_assignments(tx, every, at)
            assert [staged.name for staged in tx.staged] == ["tracker.item.updated"] * len(changes)
        return [change.item.rule_id for change in changes]

    assert await undo(first, site="elsewhere") == []
    assert await undo(first) == ["d"], "a is noted on, b done, c resolved, and e of another run"
    assert await undo(first) == [], "once"
    assert await undo(second) == ["e"]
    after = await office.items()
    assert [after[rule].assignee is None for rule in "abcde"] == [False, False, False, True, True]
    assert (after["d"].status, after["e"].status, after["d"].updated_by) == ("pending", "blocked", "ann")
    assert after["d"].responded_at is None
    assert (await office.workload()).unassigned_open_count == 2


async def test_the_policy_switches_off_and_sets_limits(office: Office) -> None:
    ole, pia = await office.hire("ole", "operator"), await office.hire("pia", "operator")
    await office.decided(dict.fromkeys("abcdef", "fail"))

    async def publish(**content: Any) -> None:
        body = Publication[AssignmentPolicy](content=AssignmentPolicy(**content), reason="test")
        await office.order(ASSIGNMENT.publish, body)

    await publish(enabled=False)
    off = await office.assign()
    assert (off["enabled"], off["status"], off["candidate_count"], off["assigned_count"]) == (False, "warning", 6, 0)
    await publish(max_items=4, max_open_items=2)
    await office.ordered(limit_person, PersonLimit(username=pia, max_open_items=1))
    some = await office.assign()
    assert (some["limit"], some["status"]) == (4, "success")
    assert sorted(one["assignee"] for one in some["assignments"]) == [ole, ole, pia]
    assert some["no_candidate_count"] == 1
    (more,) = [one for one in some["workload"]["suggestions"] if one["recommended_assignee"] is None]
    assert "no operator is free (2 at the limit)" in more["reason"]
    listed = {one.username: one for one in await people.persons(office.read())}
    assert (listed[pia].open_items, listed[pia].max_open_items, listed[ole].max_open_items) == (1, 1, None)


async def test_who_is_away_gets_nothing(office: Office) -> None:
    ann, ole = await office.hire("ann", "owner"), await office.hire("ole", "operator")
    hour = timedelta(hours=1)
    own = OwnAbsence(away_from=office.now + hour, away_to=office.now + 3 * hour)
    absence = await office.ordered(set_own_absence, own, actor=ann)
    assert (absence["username"], absence["created_by"]) == (ann, ann)
    await office.decided({"a": "fail", "b": "fail", "c": "fail"})
    assert (await office.workload()).suggestions[0].recommended_assignee == ann, "not away yet"
    office.later(1)
    assert {one.recommended_assignee for one in (await office.workload()).suggestions} == {ole}
    by_manager = PersonAbsence(username=ole, away_from=office.now, away_to=office.now + hour)
    second = await office.ordered(set_absence, by_manager, actor="max")
    assert (await office.assign())["no_candidate_count"] == 3
    await office.ordered(cancel_absence, AbsenceKey(username=ole, absence_id=second["absence_id"]), actor="max")
    await office.ordered(cancel_own_absence, OwnAbsenceKey(absence_id=absence["absence_id"]), actor=ann)
    assert {one.recommended_assignee for one in (await office.workload()).suggestions} == {ann, ole}
    assert office.events[-2:] == ["absence.cancelled", "absence.cancelled"]
    for wrong in (absence["absence_id"], 10**12):
        with pytest.raises(NotFound):
            await office.order(cancel_own_absence, OwnAbsenceKey(absence_id=wrong), actor=ann)


async def away(office: Office) -> set[str]:
    """Who of the test's people is not there; those who have left are known at every site."""
    found = (await people.duty_of(office.pool, office.site, office.now)).away
    return {name for name in found if name.endswith(office.site)}


async def test_who_is_there_is_told(office: Office) -> None:
    ann, max_ = await office.hire("ann", "owner"), await office.hire("max", "manager")
    vic = await office.hire("vic", "viewer")
    await office.hire("far", "manager", sites=["elsewhere"])
    there = await people.duty_of(office.pool, office.site, office.now)
    assert there.by_role == {"owner": (ann,), "manager": (max_,), "viewer": (vic,)}
    assert (there.by_owner_role["DR Owner"], await away(office)) == ((ann,), set())
    assert "Ops Lead" not in there.by_owner_role
    absence = PersonAbsence(username=ann, away_from=office.now, away_to=office.now + timedelta(hours=1))
    await office.order(set_absence, absence)
    there = await people.duty_of(office.pool, office.site, office.now)
    assert (there.by_owner_role["DR Owner"], await away(office)) == ((max_,), {ann})
    office.later(1)
    assert await away(office) == set()
    await office.hire("ann", "owner", active=False, revision=2)
    there = await people.duty_of(office.pool, office.site, office.now)
    assert await away(office) == {ann}, "who has left hears of nothing, so the next level's turn comes"
    assert there.by_owner_role["DR Owner"] == (max_,)


async def test_absences_and_limits_are_of_people_of_the_site(office: Office) -> None:
    far = await office.hire("far", "operator", sites=["elsewhere"])
    ann = await office.hire("ann", "operator")
    begin, end = office.now, office.now + timedelta(hours=1)
    for username in (far, "nobody-at-all"):
        with pytest.raises(NotFound, match="Nobody called"):
            await office.order(set_absence, PersonAbsence(username=username, away_from=begin, away_to=end))
        with pytest.raises(NotFound):
            await office.order(limit_person, PersonLimit(username=username, max_open_items=1))
        with pytest.raises(NotFound):
            await office.order(cancel_absence, AbsenceKey(username=username, absence_id=1))
    for wrong in ((end, begin), (begin - 2 * timedelta(days=1), begin), (begin, begin + timedelta(days=367))):
        with pytest.raises(Invalid, match="at most 366 days"):
            await office.order(set_own_absence, OwnAbsence(away_from=wrong[0], away_to=wrong[1]), actor=ann)
    for _ in range(people.MAX_ABSENCES):
        await office.order(set_own_absence, OwnAbsence(away_from=begin, away_to=end), actor=ann)
    with pytest.raises(Conflict, match="50 absences"):
        await office.order(set_own_absence, OwnAbsence(away_from=begin, away_to=end), actor=ann)


async def test_an_item_goes_from_hand_to_hand(office: Office) -> None:
    ann, ole = await office.hire("ann", "operator"), await office.hire("ole", "operator")
    far = await office.hire("far", "operator", sites=["elsewhere"])
    await office.decided({"a": "fail"})
    office.told = []
    key = (await office.items())["a"].id
    taken = await office.ordered(take_item, Take(item_id=key), actor=ann)
    assert (taken["assignee"], taken["status"], taken["revision"]) == (ann, "in_progress", 2)
    again = await office.ordered(take_item, Take(item_id=key), actor=ann)
    assert again["revision"] == 2
    with pytest.raises(Conflict, match=f"is {ann}'s; ask them"):
        await office.order(take_item, Take(item_id=key), actor=ole)
    for stranger in (far, "nobody-at-all"):
        with pytest.raises(Invalid, match="Nobody called"):
            await office.order(hand_over_item, HandOver(item_id=key, to=stranger, reason="x"), actor=ann)
    handed = await office.ordered(hand_over_item, HandOver(item_id=key, to=ole, reason="I leave"), actor=ann)
    assert (handed["assignee"], handed["updated_by"]) == (ole, ann)
    released = await office.ordered(release_item, Release(item_id=key), actor=ole)
    assert (released["assignee"], released["status"]) == (None, "pending")
    assert office.events == ["item.assigned"] * 3 + ["item.updated"]
    with pytest.raises(NotFound):
        await office.order(take_item, Take(item_id=key), actor=ann, site="elsewhere")


async def test_what_is_given_out_is_read_off_indexes(stack: Stack) -> None:
    connection = await stack.superuser()  # of a database without rows, so that no statistics change the plan
    await connection.execute("SET search_path = tracker")
    try:
        for what in ("seqscan", "sort", "incremental_sort", "bitmapscan"):
            await connection.execute(f"SET enable_{what} = off")
        for sql, index in (
            (proposals.SELECT_UNASSIGNED, "item_unassigned"),
            (proposals.LOCK_UNASSIGNED, "item_unassigned"),
            (people.COUNT_LOADS, "item_in_hand"),
        ):
            found = nodes(await generic_plan(connection, sql))
            assert index in {node.get("Index Name") for node in found}, [node["Node Type"] for node in found]
            assert "LIMIT" not in sql or not any("Sort" in node["Node Type"] for node in found), sql
    finally:
        await connection.close()
