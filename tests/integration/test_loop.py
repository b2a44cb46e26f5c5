"""The loop's promises, with the tracker's contract and handlers of the test's own, on real servers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.common import CommandRefused, refused_event
from libs.common.contracts.governance.runs import GateTarget, gate_decided, run_gate
from libs.common.contracts.tracker import CONTRACT
from libs.common.contracts.tracker.board import BoardReopened, BoardSynced, board_reopened, board_synced, sync_board
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.ids import uuid7
from libs.common.problems import Conflict
from libs.common.pull import Puller
from libs.common.service import Deferred, Read, Refused, Service, Tx
from tests.stack import Stack
from tests.unheard import UNHEARD
from tests.verdicts import decided


class Fake:
    """A service on the tracker's schema that notes what it applied in its inbox's database."""

    def __init__(self) -> None:
        self.fail: Exception | None = None
        self.applied: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def patch(self, tx: Tx, body: ItemPatch) -> bytes:
        await self.gate.wait()
        tx.emit(board_synced, summary(body.item_id), subject=str(body.item_id))
        if self.fail is not None:
            raise self.fail
        self.applied.append(tx.message.id)
        return orjson.dumps({"item": body.item_id, "note": body.completion_note})

    async def sync(self, tx: Tx, body: Any) -> Deferred:
        cause = tx.send(run_gate, GateTarget(gate="operations"))
        return Deferred(gate_decided, (cause,), {"kept": 7})

    async def resume(self, tx: Tx, command: CloudEvent, body: Any, state: Mapping[str, Any], data: Any) -> bytes:
        tx.emit(board_synced, summary(data.run_number), subject="operations/site")
        if data.decision == "no_go":
            raise Conflict("not now", blockers=["one"])
        return orjson.dumps({"run_number": data.run_number, "kept": state["kept"], "actor": tx.actor})

    async def decided(self, tx: Tx, data: Any) -> None:
        if self.fail is not None:
            raise self.fail
        self.applied.append(tx.message.id)

    async def nothing(self, read: Read, params: Any) -> bytes:
        return b"{}"

    def service(self) -> Service:
        """The table of contents."""
        return Service(
            contract=CONTRACT,
            commands={
                **dict.fromkeys(CONTRACT.commands, self.patch),
                patch_item: self.patch,
                sync_board: self.sync,
            },
            queries=dict.fromkeys(CONTRACT.queries, self.nothing),
            events={gate_decided: self.decided, **UNHEARD},
            resumes={sync_board: self.resume},
        )


def summary(number: int) -> BoardSynced:
    """Some event data."""
    return BoardSynced(
        gate="operations", subject="site", gate_run_id=number, created_count=0, reopened_count=0, resolved_count=0,
        active_count=0,
    )  # fmt: skip


@pytest.fixture
def fake() -> Fake:
    return Fake()


async def test_a_command_ends_with_an_outcome_and_an_event_that_names_it(stack: Stack, fake: Fake) -> None:
    await stack.start(fake.service())
    answer = await stack.command(patch_item, {"item_id": 5, "completion_note": "é"})
    assert (answer.status, answer.json) == (200, {"item": 5, "note": "é"})
    event = await stack.heard(board_synced)
    assert (event.causationid, event.actor, event.site) == (fake.applied[0], "ann", "global")


async def test_a_repeat_gets_the_first_outcome_and_another_body_a_422(stack: Stack, fake: Fake) -> None:
    await stack.start(fake.service())
    same = str(uuid7())
    first = await stack.command(patch_item, {"item_id": 1}, message_id=same)
    again = await stack.command(patch_item, {"item_id": 1}, message_id=same)
    other = await stack.command(patch_item, {"item_id": 2}, message_id=same, digest="other")
    assert first.raw == again.raw
    assert other.status == 422
    assert "Idempotency-Key" in other.json["detail"]
    assert fake.applied == [same]


async def test_repeats_inside_one_batch_are_applied_once(stack: Stack, fake: Fake) -> None:
    same = str(uuid7())
    for _ in range(5):
        await stack.post(patch_item, {"item_id": 1}, message_id=same)
    await stack.start(fake.service())
    assert (await stack.outcome(same)).status == 200
    await stack.idle("tracker")
    assert fake.applied == [same]


async def test_a_refusal_rolls_back_what_the_handler_did(stack: Stack, fake: Fake) -> None:
    fake.fail = Conflict("It is closed; open it first.", blockers=["a"])
    await stack.start(fake.service())
    answer = await stack.command(patch_item, {"item_id": 1})
    assert (answer.status, answer.json["blockers"]) == (409, ["a"])
    await stack.idle("tracker")
    assert stack.events == []


async def test_a_refusal_may_keep_what_the_handler_did(stack: Stack, fake: Fake) -> None:
    async def refuse(tx: Tx, body: ItemPatch) -> Refused | bytes:
        if body.item_id == 3:
            return await fake.patch(tx, body)
        tx.emit(board_synced, summary(body.item_id), subject=str(body.item_id))
        fake.applied.append(tx.message.id)
        return Refused(Conflict("Noted, but no.", item=body.item_id))

    service, same = fake.service(), str(uuid7())
    # Other commands of the batch are applied beside it, and repeats get the first outcome.
    good = await stack.post(patch_item, {"item_id": 3})
    for _ in range(2):
        await stack.post(patch_item, {"item_id": 1}, message_id=same)
    await stack.start(replace(service, commands={**service.commands, patch_item: refuse}))
    answer = await stack.outcome(same)
    assert (answer.status, answer.json["detail"], answer.json["item"]) == (409, "Noted, but no.", 1)
    assert (await stack.outcome(good)).status == 200
    assert (await stack.command(patch_item, {"item_id": 1}, message_id=same)).raw == answer.raw
    await stack.idle("tracker")
    assert fake.applied.count(same) == 1
    assert [event.causationid for event in stack.events].count(same) == 1
    # A service hears of it by an event.
    command_id = await stack.post(patch_item, {"item_id": 2}, actor="service:metrics")
    told = await stack.heard(refused_event("tracker"))
    assert (told.causationid, told.data["http_status"]) == (command_id, 409)


async def test_what_could_never_leave_the_outbox_is_refused(stack: Stack, fake: Fake) -> None:
    async def shout(tx: Tx, body: ItemPatch) -> bytes:
        if body.item_id == 1:
            tx.emit(board_reopened, BoardReopened(gate="g", subject="s", reason="x" * 5_000_000), subject="s")
        return b'"' + b"x" * (5_000_000 if body.item_id == 2 else 1) + b'"'

    service = fake.service()
    await stack.start(replace(service, commands={**service.commands, patch_item: shout}))
    for item, status in ((1, 413), (2, 413), (3, 200)):
        assert (await stack.command(patch_item, {"item_id": item})).status == status
    await stack.idle("tracker")


async def test_a_refusal_in_a_batch_costs_only_itself(stack: Stack, fake: Fake) -> None:
    good = [await stack.post(patch_item, {"item_id": n}) for n in range(1, 6)]
    bad = await stack.post(patch_item, {"item_id": 0})  # the model wants >= 1
    good += [await stack.post(patch_item, {"item_id": n}) for n in range(6, 11)]
    await stack.start(fake.service())
    assert [(await stack.outcome(i)).status for i in good] == [200] * 10
    refused = await stack.outcome(bad)
    assert refused.status == 422
    assert refused.json["errors"][0]["field"] == "item_id"
    await stack.idle("tracker")
    assert sorted(event.causationid for event in stack.events) == sorted(good)


async def test_a_failing_message_is_tried_again_and_buried_after_six(stack: Stack, fake: Fake) -> None:
    fake.fail = RuntimeError("broken")
    running = await stack.start(fake.service())
    await running.pool.execute(
        "INSERT INTO attempts SELECT 'tracker-events', $1, 5, 'x', now()", f"{stack.topology.events_stream}:1"
    )
    await stack.publish(gate_decided, decided(run_number=1))
    buried = await stack.heard(CONTRACT.by_name["tracker.deadletter.buried"])  # type: ignore[arg-type]
    assert "broken" in buried.data["reason"]
    await stack.idle("tracker")
    # Mended: an operator replays it.
    fake.fail = None
    letter = buried.data["letter_id"]
    replay = CONTRACT.by_name["tracker.deadletter.replay"]
    answer = await stack.command(replay, {"letter_id": letter})  # type: ignore[arg-type]
    assert (answer.status, answer.json["state"]) == (200, "replayed")
    assert len(fake.applied) == 1
    twice = await stack.command(replay, {"letter_id": letter})  # type: ignore[arg-type]
    assert twice.status == 409


async def test_a_value_that_the_driver_refuses_is_the_messages_fault_not_the_servers(stack: Stack, fake: Fake) -> None:
    async def bad(tx: Tx, data: Any) -> None:
        await tx.connection.execute("SELECT $1::int", 2**80)

    running = await stack.start(replace(fake.service(), events={gate_decided: bad, **UNHEARD}))
    await stack.publish(gate_decided, decided(run_number=1))
    async with asyncio.timeout(10):
        while not (error := await running.pool.fetchval("SELECT last_error FROM attempts")):
            await asyncio.sleep(0.02)
    assert "query argument" in error


async def test_a_buried_command_has_an_outcome_until_its_replay(stack: Stack, fake: Fake) -> None:
    fake.fail = RuntimeError("broken")
    running = await stack.start(fake.service())
    await running.pool.execute(
        "INSERT INTO attempts SELECT 'tracker-commands', $1, 5, 'x', now()", f"{stack.topology.commands_stream}:1"
    )
    command_id = await stack.post(patch_item, {"item_id": 3})
    answer = await stack.outcome(command_id)
    assert (answer.status, "dead letter 1" in answer.json["detail"]) == (500, True)
    fake.fail = None
    replay = CONTRACT.by_name["tracker.deadletter.replay"]
    assert (await stack.command(replay, {"letter_id": 1})).status == 200  # type: ignore[arg-type]
    get = CONTRACT.by_name["tracker.outcomes.get"]
    outcome = await stack.query(get, {"command_id": command_id})  # type: ignore[arg-type]
    assert (outcome.json["state"], outcome.json["result"]["item"]) == ("done", 3)


async def test_the_first_failure_is_only_counted(stack: Stack, fake: Fake) -> None:
    fake.fail = RuntimeError("broken once")
    running = await stack.start(fake.service())
    await stack.publish(gate_decided, decided(run_number=1))
    async with asyncio.timeout(10):
        while not (row := await running.pool.fetchrow("SELECT count, last_error FROM attempts")):
            await asyncio.sleep(0.02)
    fake.fail = None
    assert (row["count"], "broken once" in row["last_error"]) == (1, True)
    await stack.idle("tracker")  # the nak's delay is one second
    assert len(fake.applied) == 1
    assert await running.pool.fetchval("SELECT count(*) FROM dead_letters") == 0


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"not json", "not JSON"),
        (b"{}", "required attribute missing: specversion, id, source, type"),
        (b'{"specversion":"1.0","id":"x","source":"/headgate/tracker","type":"headgate.governance.gate.decided.v1",'
         b'"site":"global"}', "source"),
        (b'{"specversion":"1.0","id":"x","source":"/headgate/governance","type":"headgate.governance.gate.run.v1",'
         b'"site":"global"}', "type"),
        (b'{"specversion":"1.0","id":"x","source":"/headgate/governance","type":"headgate.governance.gate.decided.v1",'
         b'"site":"other"}', "site"),
        (b'{"specversion":"1.0","id":"x","source":"/headgate/governance","type":"headgate.governance.gate.decided.v1",'
         b'"site":"global"}', "UUID"),
        (b'{"specversion":"1.0","id":"a\\u0000b","source":"/headgate/governance",'
         b'"type":"headgate.governance.gate.decided.v1","site":"global"}', "UUID"),
        (b'{"specversion":"1.0","id":"x","source":"\\u0000","type":"t\\u0000","site":"s\\u0000"}', "site"),
    ],
)  # fmt: skip
async def test_poison_is_buried_with_its_bytes_and_others_go_on(
    stack: Stack, fake: Fake, payload: bytes, reason: str
) -> None:
    await stack.bus.js.publish(stack.topology.event_subject(gate_decided, "global"), payload)
    good = await stack.publish(gate_decided, decided(run_number=1))
    running = await stack.start(fake.service())
    await stack.idle("tracker")
    assert fake.applied == [good]
    row = await running.pool.fetchrow("SELECT reason, payload FROM dead_letters")
    assert row is not None
    assert reason in row["reason"]
    assert row["payload"] == payload


async def test_a_deferred_command_ends_when_its_event_comes(stack: Stack, fake: Fake) -> None:
    await stack.start(fake.service())
    command_id = await stack.post(sync_board, {})
    sent = await asyncio.wait_for(next_command(stack, "governance.gate.run"), 10)
    assert sent["actor"] == "service:tracker"
    assert sent["causationid"] == command_id
    await stack.publish(gate_decided, decided(run_number=9), causationid=sent["id"])
    answer = await stack.outcome(command_id)
    assert (answer.status, answer.json) == (200, {"run_number": 9, "kept": 7, "actor": "ann"})
    event = await stack.heard(board_synced)
    assert event.causationid == command_id
    # The event handler ran as well, and before.
    assert len(fake.applied) == 1


async def test_a_refused_resume_keeps_what_the_event_did(stack: Stack, fake: Fake) -> None:
    await stack.start(fake.service())
    command_id = await stack.post(sync_board, {})
    sent = await next_command(stack, "governance.gate.run")
    await stack.publish(gate_decided, decided(run_number=9, decision="no_go"), causationid=sent["id"])
    answer = await stack.outcome(command_id)
    assert (answer.status, answer.json["blockers"]) == (409, ["one"])
    await stack.idle("tracker")
    assert len(fake.applied) == 1
    assert stack.events[-1].type == gate_decided.type  # nothing of the resume was emitted


async def test_a_deferred_command_ends_at_once_when_what_it_sent_is_refused(stack: Stack, fake: Fake) -> None:
    await stack.start(fake.service())
    command_id = await stack.post(sync_board, {})
    sent = await next_command(stack, "governance.gate.run")
    problem = {"detail": "There is no such gate."}
    refusal = CommandRefused(operation="governance.gate.run", http_status=404, problem=problem)
    await stack.publish(refused_event("governance"), refusal, causationid=sent["id"])
    answer = await stack.outcome(command_id)
    assert (answer.status, answer.json) == (404, problem)


async def test_a_refused_command_of_a_service_is_told_as_an_event(stack: Stack, fake: Fake) -> None:
    fake.fail = Conflict("It is closed.")
    await stack.start(fake.service())
    command_id = await stack.post(patch_item, {"item_id": 1}, actor="service:governance")
    event = await stack.heard(refused_event("tracker"))
    assert (event.causationid, event.data["http_status"]) == (command_id, 409)


async def test_a_deferred_command_fails_after_its_time(stack: Stack, fake: Fake) -> None:
    await stack.start(fake.service())
    command_id = await stack.post(sync_board, {})
    await next_command(stack, "governance.gate.run")
    stack.clock.advance(seconds=61)
    assert (await stack.outcome(command_id)).status == 504


async def test_a_stopped_service_finishes_what_it_has_in_hand(stack: Stack, fake: Fake) -> None:
    fake.gate.clear()
    running = await stack.start(fake.service())
    command_id = await stack.post(patch_item, {"item_id": 1})
    async with asyncio.timeout(10):
        while not (
            await stack.bus.js.consumer_info(stack.topology.commands_stream, "tracker-commands")
        ).num_ack_pending:
            await asyncio.sleep(0.02)
    stopping = asyncio.create_task(stack.stop("tracker"))
    await asyncio.sleep(0)
    fake.gate.set()
    await stopping
    assert (await stack.outcome(command_id)).status == 200
    assert running.pool.is_closing()


async def test_what_died_with_a_process_comes_again_at_once(stack: Stack, fake: Fake) -> None:
    ids = [await stack.post(patch_item, {"item_id": n + 1}) for n in range(5)]
    # A process that pulls and is gone before it has applied anything; the ack time is 60 s.
    dead = Puller(stack.bus, stack.topology.commands_stream, "tracker-commands")
    await dead.start()
    assert len(await dead.next(5)) >= 1
    await stack.bus.nats.flush()
    dead._subscription = None  # as after a kill -9: nothing is handed back
    async with asyncio.timeout(15):  # its last pull request runs out
        while (await stack.bus.js.consumer_info(stack.topology.commands_stream, "tracker-commands")).num_waiting:
            await asyncio.sleep(0.05)
    await stack.start(fake.service())
    assert [(await stack.outcome(one)).status for one in ids] == [200] * 5


async def test_a_full_outbox_is_sent_as_atomic_batches_and_marked(stack: Stack, fake: Fake) -> None:
    ids = [await stack.post(patch_item, {"item_id": n + 1}) for n in range(30)]
    running = await stack.start(fake.service())
    for one in ids:
        assert (await stack.outcome(one)).status == 200
    await stack.idle("tracker")
    info = await stack.bus.js.stream_info(stack.topology.events_stream)
    assert info.state.messages == 30
    # As after a crash between publish and mark: the same rows again change nothing, although some are duplicates.
    await running.pool.execute("UPDATE outbox SET sent_at = NULL")
    running.relay.nudge()
    await stack.idle("tracker")
    info = await stack.bus.js.stream_info(stack.topology.events_stream)
    assert info.state.messages == 30


async def test_the_schema_and_topology_are_compared_at_start(stack: Stack, fake: Fake) -> None:
    connection = await stack.superuser()
    await connection.execute("DELETE FROM tracker.migrations WHERE name = 'common/0001_messages'")
    await connection.close()
    with pytest.raises(RuntimeError, match="headgate migrate"):
        await stack.start(fake.service())


async def next_command(stack: Stack, name: str) -> dict[str, Any]:
    """Await a command that a service sent to one that is not running."""
    async with asyncio.timeout(10):
        while True:
            if await stack.bus.is_pending(name, "*"):
                subject = f"{stack.topology.namespace}.command.{name}.*"
                found = await stack.bus.js.get_msg(stack.topology.commands_stream, seq=1, subject=subject, next=True)
                document: dict[str, Any] = orjson.loads(found.data or b"")
                assert uuid.UUID(document["id"]).version == 7
                return document
            await asyncio.sleep(0.02)
