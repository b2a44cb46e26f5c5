"""One service asks another: two small services, a real bus, and the rights that the contract gives."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from libs.common import contracts
from libs.common.contracts import find
from libs.common.contracts.base import Event, Nothing, Query
from libs.common.contracts.governance.gates import GateInfo, GateName, get_gate, list_gates
from libs.common.contracts.governance.runs import GateDecided, gate_decided
from libs.common.contracts.tracker.board import get_overview
from libs.common.contracts.tracker.items import get_item, patch_item
from libs.common.loop import MAX_ATTEMPTS
from libs.common.problems import NotFound
from libs.common.service import Read, Service, Tx
from tests.stack import Stack
from tests.unheard import UNHEARD
from tests.verdicts import decided

pytestmark = pytest.mark.integration


class Judge:
    """Plays governance: it knows one gate, and notes who asked."""

    def __init__(self) -> None:
        self.asked: list[Read] = []
        self.late = asyncio.Event()

    async def answer(self, read: Read, params: GateName) -> GateInfo | bytes:
        self.asked.append(read)
        if params.gate == "slow":
            await self.late.wait()
        if params.gate == "odd":
            return b'{"gate": 7}'
        if params.gate != "operations":
            raise NotFound(f"There is no gate {params.gate}.")
        return GateInfo(
            gate="operations", title="Operations", description="", subject_mode="site", allow_warning=True,
            min_weighted_score_percent=80, policy_digest="", rules=[],
        )  # fmt: skip

    async def nothing(self, _: Any, __: Any) -> bytes:
        return b"{}"

    async def unheard(self, _: Any, __: Any) -> None:
        """Events are nothing to it."""

    def service(self) -> Service:
        """The table of contents."""
        contract = contracts.CONTRACTS["governance"]
        queries: dict[Query, Any] = dict.fromkeys(contract.queries, self.nothing)
        heard = {one: self.unheard for name in contracts.heard("governance") if isinstance(one := find(name), Event)}
        commands = dict.fromkeys(contract.commands, self.nothing)
        return Service(contract, commands, {**queries, get_gate: self.answer}, events=heard)


class Asking:
    """Plays the tracker, which asks governance for the gate that a message names."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.errors: list[str] = []

    async def patch(self, tx: Tx, body: Any) -> bytes:
        gate = await tx.ask(get_gate, GateName(gate=body.completion_note))
        return orjson.dumps({"title": gate.title})

    async def overview(self, read: Read, params: Any) -> bytes:
        gate = await read.ask(get_gate, GateName(gate=params.gate), timeout_s=0.2)
        return orjson.dumps({"title": gate.title})

    async def item(self, read: Read, _: Any) -> bytes:
        try:
            await read.ask(list_gates, Nothing())
        except ValueError as error:
            self.errors.append(str(error))
        return b"{}"

    async def decided(self, tx: Tx, data: GateDecided) -> None:
        self.found.append((await tx.ask(get_gate, GateName(gate=data.gate))).title)

    async def nothing(self, _: Any, __: Any) -> bytes:
        return b"{}"

    def service(self) -> Service:
        """The table of contents."""
        contract = contracts.CONTRACTS["tracker"]
        queries: dict[Query, Any] = dict.fromkeys(contract.queries, self.nothing)
        return Service(
            contract,
            {**dict.fromkeys(contract.commands, self.nothing), patch_item: self.patch},
            {**queries, get_overview: self.overview, get_item: self.item},
            events={gate_decided: self.decided, **UNHEARD},
        )


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracker's contract asks for a gate here."""
    contract = replace(contracts.CONTRACTS["tracker"], asks=(get_gate.name,))
    monkeypatch.setitem(contracts.CONTRACTS, "tracker", contract)
    contracts.check(contracts.CONTRACTS)


@pytest.mark.usefixtures("asks")
async def test_a_question_reads_with_the_rights_of_who_asked_first(stack: Stack) -> None:
    judge = Judge()
    await stack.start(judge.service(), Asking().service())
    answer = await stack.query(get_overview, {"gate": "operations"}, sites=("north",), permissions=("gate:read",))
    assert (answer.status, answer.json) == (200, {"title": "Operations"})
    asked = judge.asked[0]
    assert (asked.actor, asked.sites, asked.permissions) == ("ann", ("north",), frozenset({"gate:read"}))
    assert asked.message is not None
    assert asked.message.source == "/headgate/tracker"
    assert (await stack.query(get_overview, {"gate": "gone"})).status == 404
    odd = await stack.query(get_overview, {"gate": "odd"})
    assert (odd.status, "another shape" in odd.json["detail"]) == (503, True)


@pytest.mark.usefixtures("asks")
async def test_a_command_asks_in_the_name_of_its_service(stack: Stack) -> None:
    judge = Judge()
    await stack.start(judge.service(), Asking().service())
    answer = await stack.command(patch_item, {"item_id": 1, "completion_note": "operations"}, site="north")
    assert (answer.status, answer.json) == (200, {"title": "Operations"})
    asked = judge.asked[0]
    assert (asked.actor, asked.site, asked.sites) == ("service:tracker", "north", ("north",))
    answer = await stack.command(patch_item, {"item_id": 1, "completion_note": "gone"})
    assert (answer.status, answer.json["detail"]) == (404, "There is no gate gone.")


@pytest.mark.usefixtures("asks")
async def test_nobody_waits_longer_than_the_time_out(stack: Stack) -> None:
    judge = Judge()
    await stack.start(judge.service(), Asking().service())
    answer = await stack.query(get_overview, {"gate": "slow"})
    assert (answer.status, answer.json["detail"]) == (504, "The governance service did not answer within 0.2 s.")
    judge.late.set()


@pytest.mark.usefixtures("asks")
async def test_while_the_other_is_away_an_event_waits_and_a_command_is_refused(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.common.loop.AWAY_DELAY_S", 0.05)
    asking = Asking()
    await stack.start(asking.service())
    assert (await stack.command(patch_item, {"item_id": 1, "completion_note": "operations"})).status == 503
    await stack.publish(gate_decided, decided(run_number=1))
    connection = await stack.superuser()
    stream = stack.topology.events_stream
    try:
        async with asyncio.timeout(10):
            while (await stack.bus.js.consumer_info(stream, "tracker-events")).delivered.consumer_seq <= MAX_ATTEMPTS:
                await asyncio.sleep(0.02)
        assert await connection.fetchval("SELECT count(*) FROM tracker.attempts") == 0
        assert await connection.fetchval("SELECT count(*) FROM tracker.dead_letters") == 0
    finally:
        await connection.close()
    assert asking.found == []
    await stack.start(Judge().service())
    await stack.idle("tracker")
    assert asking.found == ["Operations"]


async def test_what_the_contract_does_not_ask_is_not_asked(stack: Stack) -> None:
    judge, asking = Judge(), Asking()
    await stack.start(judge.service(), asking.service())
    await stack.query(get_item, {"item_id": 1})
    assert asking.errors == ["tracker may not ask governance.gates.list; its contract package says what it asks"]
    assert judge.asked == []
