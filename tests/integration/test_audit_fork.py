"""A database that was set back can't fork the log: nothing is appended, nothing is lost, and a person decides."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import nats.errors
import pytest

from libs.common import buckets
from libs.common.contracts.audit.rollovers import create_rollover, list_rollovers
from libs.common.contracts.audit.verifications import get_verification, start_verification
from libs.common.contracts.gateway.sites import site_created
from libs.tlog.notes import read_checkpoint
from services.audit.guard import FORKED
from services.audit.outside import KEY, Kept, Outside, Overtaken
from services.audit.service import make_service
from tests.integration.audit_desk import listed, record, set_rows_back, site_view, verified
from tests.integration.test_audit_tree import SIGNER, signed, state_of
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole]


async def set_back(stack: Stack, size: int) -> None:
    """As if the copy of the database of that time were restored."""
    superuser = await stack.superuser()
    await set_rows_back(superuser, size)
    await superuser.close()


async def forked(stack: Stack) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (found := await state_of(stack))["state"] != "forked":
            await asyncio.sleep(0.05)
    return found


async def test_a_restored_old_copy_is_refused_until_a_person_accepts_it(stack: Stack) -> None:
    await stack.start(make_service(SIGNER))
    await record(stack, 20)
    before = await signed(stack, 20)
    await stack.stop("audit")
    await set_back(stack, 12)
    await stack.start(make_service(SIGNER))
    late = [await stack.publish(site_created, site_view(stack, n)) for n in range(3)]
    found = await forked(stack)
    assert "up to 20 were signed, but the database ends at entry 12" in found["problem"]
    assert "accept-loss --lost-size 20" in found["problem"]
    assert (found["entry_count"], found["checkpoint"]) == (12, None)
    for size, status, says in ((19, 409, "signed at size 20"), (20, 201, "")):
        answer = await stack.command(create_rollover, {"lost_size": size, "reason": "the disk broke"})
        assert answer.status == status, answer
        assert says in answer.json.get("detail", "")
    made = answer.json
    assert (made["lost_checkpoint"], made["kept_size"]) == (before["checkpoint"], 12)
    again = await stack.command(create_rollover, {"lost_size": 20, "reason": "the disk broke"})
    assert again.status == 409
    await stack.idle("audit")
    page = await listed(stack)
    found = await signed(stack, len(page["items"]))
    assert set(late) < {entry["event_id"] for entry in page["items"]}  # what waited on the bus is there
    # Events and records of commands come on two streams, in any order.
    assert "headgate.audit.log.rolled_over.v1" in [entry["type"] for entry in page["items"][:5]]
    name = "log.example/audit/2"
    assert read_checkpoint(found["checkpoint"], [SIGNER.named(name).verifier]).origin == found["origin"] == name
    assert (await stack.query(list_rollovers, {})).json == [made]
    assert (await verified(stack))["valid"]
    await stack.stop("audit")
    await stack.start(make_service(SIGNER))
    await record(stack, 1)
    assert (await signed(stack, len(page["items"]) + 1))["origin"] == name


async def test_a_copy_of_the_whole_database_made_an_hour_ago(stack: Stack, admin_database_url: str) -> None:
    """Copied and put back by PostgreSQL itself, so that inbox, tiles, checkpoints and counters are all of that time."""
    await stack.start(make_service(SIGNER))
    await record(stack, 300)
    await signed(stack, 300)
    await stack.stop("audit")
    name = stack.database_url.rpartition("/")[2].partition("?")[0]
    admin = await asyncpg.connect(admin_database_url)
    await admin.execute(f"CREATE DATABASE {name}_copy TEMPLATE {name}")
    stack.clock.advance(hours=1)
    await stack.start(make_service(SIGNER))
    await record(stack, 15)
    shown = await signed(stack, 315)
    await stack.stop("audit")
    late = await stack.publish(site_created, site_view(stack, 1))
    await admin.execute(f"DROP DATABASE {name}")
    await admin.execute(f"ALTER DATABASE {name}_copy RENAME TO {name}")
    await admin.close()
    await stack.start(make_service(SIGNER))
    found = await forked(stack)
    assert "up to 315 were signed, but the database ends at entry 300" in found["problem"]
    assert "accept-loss --lost-size 315" in found["problem"]
    # The checkpoint of the copy stands: what it says is still the beginning of what was shown to others.
    assert (found["entry_count"], read_checkpoint(found["checkpoint"], [SIGNER.verifier]).size) == (300, 300)
    assert (await stack.query(list_rollovers, {})).json == []
    answer = await stack.command(create_rollover, {"lost_size": 315, "reason": "restored the copy of an hour ago"})
    assert (answer.status, answer.json["lost_checkpoint"]) == (201, shown["checkpoint"])
    await stack.idle("audit")
    page = await listed(stack)
    assert late in {entry["event_id"] for entry in page["items"]}
    assert (await signed(stack, page["items"][0]["seq"]))["origin"] == "log.example/audit/2"
    assert (await verified(stack))["valid"]


async def test_other_entries_of_the_same_number_are_refused(stack: Stack) -> None:
    """Rewritten with a chain that fits, as long as before: only what was signed shows it."""
    await stack.start(make_service(SIGNER))
    await record(stack, 10)
    await signed(stack, 10)
    await stack.stop("audit")
    await set_back(stack, 4)
    await stack.start(make_service(None))
    assert "ends at entry 4" in (await forked(stack))["problem"]
    await stack.stop("audit")
    superuser = await stack.superuser()
    await superuser.execute("UPDATE audit.head SET tree_size = 10, seq = 10, edges = ARRAY[$1::bytea, $1]", bytes(320))
    await superuser.close()
    await stack.start(make_service(SIGNER))
    assert "the first 10 entries in the database are others" in (await forked(stack))["problem"]


async def test_a_database_set_back_under_a_running_writer(stack: Stack) -> None:
    await stack.start(make_service(SIGNER))
    await record(stack, 20)
    await signed(stack, 20)
    await set_back(stack, 12)
    await stack.publish(site_created, site_view(stack, 1))
    await forked(stack)
    async with asyncio.timeout(20):
        while not FORKED._value.get():
            await asyncio.sleep(0.05)
    assert (await state_of(stack))["entry_count"] == 12


async def test_two_writers_take_turns(stack: Stack) -> None:
    """A second replica goes on behind the first, and neither takes the other for a fork."""
    first = await stack.start(make_service(SIGNER))
    second = await stack.start(make_service(SIGNER))
    await record(stack, 50)
    for _ in range(20):
        await record(stack, 5)
    found = await signed(stack, 150)
    assert read_checkpoint(found["checkpoint"], [SIGNER.verifier]).size == 150
    assert (await verified(stack))["checked_count"] == 150
    await first.stop()
    await record(stack, 5)
    await signed(stack, 155)
    assert second.bus.connected


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("fails", [1, 3])
async def test_a_failed_write_outside_is_made_up(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, fails: int, persisted: bool
) -> None:
    """The write fails, once with nothing stored and once with all of it: signing goes on, and forks nothing."""
    right, left = Outside.swap, [fails]

    async def wrong(self: Outside, note: str, revision: int) -> None:
        if left[0] > 0:
            left[0] -= 1
            if persisted:
                await right(self, note, revision)
            raise nats.errors.TimeoutError
        await right(self, note, revision)

    monkeypatch.setattr(Outside, "swap", wrong)
    await stack.start(make_service(SIGNER))
    for size in (4, 8, 12):
        await record(stack, 4)
        await signed(stack, size)
    assert left == [0]


async def test_the_place_outside_is_replaced_by_revision_only(stack: Stack) -> None:
    running = await stack.start(make_service(None))
    outside = Outside().bind(running.bus)
    assert await outside.read() == Kept("", 0)
    await outside.swap("one", 0)
    kept = await outside.read()
    with pytest.raises(Overtaken):
        await outside.swap("two", 0)
    await outside.swap("two", kept.revision)
    with pytest.raises(Overtaken):
        await outside.swap("three", kept.revision)
    assert (await outside.read()).note == "two"


async def test_a_checkpoint_outside_that_cannot_be_read(stack: Stack) -> None:
    running = await stack.start(make_service(SIGNER))
    await signed(stack, 0)
    outside = Outside().bind(running.bus)
    await outside.swap("nonsense", (await outside.read()).revision)
    await stack.stop("audit")
    await stack.start(make_service(SIGNER))
    assert "can't be read" in (await forked(stack))["problem"]


async def emptied(stack: Stack, how: str) -> None:
    """As somebody with rights on the bus would do it, or a bus that was set up anew."""
    stream, subject = buckets.register_place(stack.topology.namespace, buckets.AUDIT, KEY)
    if how == "purged":
        await stack.bus.js.purge_stream(stream)
    else:
        headers = {"KV-Operation": "DEL"} if how == "deleted" else None
        await stack.bus.js.publish(subject, b"", stream=stream, headers=headers)


async def disarmed(stack: Stack) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (found := await state_of(stack))["state"] != "disarmed":
            await asyncio.sleep(0.05)
    return found


@pytest.mark.parametrize("how", ["purged", "deleted", "empty"])
async def test_an_emptied_place_outside_is_loud_and_lets_no_old_copy_in(stack: Stack, how: str) -> None:
    await stack.start(make_service(SIGNER))
    await record(stack, 20)
    await signed(stack, 20)
    kept = await Outside().bind(stack.bus).read()
    await emptied(stack, how)
    found = await disarmed(stack)
    assert "20 entries were signed, but NATS does not hold the last checkpoint any more" in found["problem"]
    late = [await stack.publish(site_created, site_view(stack, 1))]
    async with asyncio.timeout(20):  # a running writer sees it when it is to sign
        while not FORKED._value.get():
            await asyncio.sleep(0.05)
    late.append(await stack.publish(site_created, site_view(stack, 2)))
    count = (await disarmed(stack))["entry_count"]
    await stack.stop("audit")
    await stack.start(make_service(SIGNER))
    late.append(await stack.publish(site_created, site_view(stack, 3)))
    await asyncio.wait_for(_refused(stack), 20)
    assert (await disarmed(stack))["entry_count"] == count == 21  # what came before it was seen
    # What somebody kept is put back: the log goes on under its name.
    outside = Outside().bind(stack.bus)
    await outside.swap(kept.note, (await outside.read()).revision)
    await stack.idle("audit")
    assert (await signed(stack, 23))["origin"] == SIGNER.verifier.name
    assert set(late) < {entry["event_id"] for entry in (await listed(stack))["items"]}
    assert not FORKED._value.get()


async def _refused(stack: Stack) -> None:
    """Await that an append was refused: the event lies on the bus, and the gauge says so."""
    FORKED.set(0)
    while not FORKED._value.get():
        await asyncio.sleep(0.05)


async def test_an_emptied_place_and_an_old_copy(stack: Stack) -> None:
    """What disarmed the guard before: nobody is told what was signed, so a person lets it go on under another name."""
    await stack.start(make_service(SIGNER))
    await record(stack, 12)
    await signed(stack, 12)
    superuser = await stack.superuser()
    await superuser.execute("CREATE TABLE audit.kept AS SELECT * FROM audit.checkpoint")
    await record(stack, 8)
    await signed(stack, 20)
    await stack.stop("audit")
    await set_back(stack, 12)
    await superuser.execute("INSERT INTO audit.checkpoint SELECT * FROM audit.kept")
    await superuser.close()
    await emptied(stack, "purged")
    await stack.start(make_service(SIGNER))
    late = await stack.publish(site_created, site_view(stack, 1))
    found = await disarmed(stack)
    assert (found["entry_count"], "accept-loss --lost-size 12" in found["problem"]) == (12, True)
    run = await stack.command(start_verification, {})
    async with asyncio.timeout(30):
        while run.json["status"] == "running":
            run = await stack.query(get_verification, {"number": run.json["number"]})
    assert (run.json["status"], run.json["first_bad_seq"]) == ("broken", None)
    assert "NATS does not hold the last checkpoint any more" in run.json["problem"]
    for size, status in ((20, 409), (12, 201)):
        answer = await stack.command(create_rollover, {"lost_size": size, "reason": "the bus was set up anew"})
        assert answer.status == status, answer
    await stack.idle("audit")
    page = await listed(stack)
    assert late in {entry["event_id"] for entry in page["items"]}
    assert (await signed(stack, page["items"][0]["seq"]))["origin"] == "log.example/audit/2"
    assert (await Outside().bind(stack.bus).read()).note  # armed again
    assert (await verified(stack))["valid"]
    await emptied(stack, "deleted")
    await disarmed(stack)
