"""Probes against a server that answers as Prometheus does, and worse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from libs.common.contracts.governance.policies import publish_policy
from libs.common.contracts.governance.probes import PROBES
from libs.common.contracts.governance.signals import get_signal, list_signals
from services.governance.domain.samples import Sample
from services.governance.inputs import prometheus
from services.governance.inputs.prometheus import Prometheus
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.http_edge import PromptServer
from tests.integration.governance_desk import rule, run
from tests.stack import Answer, Stack
from tests.unit.governance.samples import tiny_policy
from tests.unit.governance.test_samples import vector

pytestmark = pytest.mark.integration

POLICY = tiny_policy(
    name="name: burn",
    settings="",
    kind="    kind: metric.sample",
    condition='    condition: derived.values["burn-rate"] < 14.4',
    observed='    observed: "a burn rate of {fact.value}"',
    wanted='    wanted: "less than 14.4"\n    actors: ["service:governance"]',
).decode()
Says = Callable[[dict[str, str]], Response]


class FakePrometheus:
    """Answers ``says`` to every query, and keeps what it was asked."""

    def __init__(self) -> None:
        self.says: Says = lambda _: Response(vector("1.5"))
        self.asked: list[dict[str, str]] = []
        self.elsewhere = 0
        self.url = ""

    async def _query(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        self.asked.append(form)
        return self.says(form)

    async def _elsewhere(self, _: Request) -> Response:
        self.elsewhere += 1
        return Response(vector("0"))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakePrometheus]:
        routes = [
            Route("/base/api/v1/query", self._query, methods=["POST"]),
            Route("/{path:path}", self._elsewhere, methods=["GET", "POST"]),
        ]
        server = PromptServer(uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=0, log_level="warning"))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.002)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/base"
        yield self
        server.end()
        await serving


@pytest.fixture
async def fake() -> AsyncIterator[FakePrometheus]:
    async with FakePrometheus().serving() as serving:
        yield serving


async def start(stack: Stack, url: str | None) -> None:
    await stack.start(make_service(packaged_policies(), prometheus=Prometheus(url)))


async def publish(stack: Stack, *probes: dict[str, Any], site: str = "global") -> Answer:
    body = {"content": {"probes": list(probes)}, "reason": "The error budget decides"}
    return await stack.command(PROBES.publish, body, site=site)


async def ask(stack: Stack, site: str = "global") -> bool:
    return await stack.run_job("governance", "ask_prometheus", site)


async def newest(stack: Stack, site: str = "global") -> Any:
    listed = await stack.query(list_signals, {"kind": "metric.sample"}, site=site)
    if not listed.json["items"]:
        return None
    return (await stack.query(get_signal, {"signal_id": listed.json["items"][0]["signal_id"]}, site=site)).json


BURN = {"name": "burn-rate", "query": 'max(slo:burn{slo="checkout"})', "unit": "times", "every_minutes": 5}


async def test_a_number_of_prometheus_is_a_rule(stack: Stack, fake: FakePrometheus) -> None:
    await start(stack, fake.url)
    assert (await publish(stack, BURN)).status == 200
    policy = await stack.command(publish_policy, {"gate": "burn", "content": POLICY, "reason": "SLO"})
    assert policy.status == 200, policy
    assert (await run(stack, "burn"))["decision"] == "no_go", "nobody has asked yet"
    assert await ask(stack)
    assert fake.asked[0]["query"] == BURN["query"]
    assert float(fake.asked[0]["time"]) == pytest.approx(stack.clock().timestamp(), abs=0.01)
    signal = await newest(stack)
    assert (signal["part"], signal["subject"], signal["data"]["value"]) == ("burn-rate", "site", 1.5)
    assert (signal["actor"], signal["valid"], signal["judged"]) == ("service:governance", True, True)
    assert (await run(stack, "burn"))["decision"] == "go"
    await ask(stack)
    assert len(fake.asked) == 1, "it is not due yet"
    fake.says = lambda _: Response(vector("14.4"))
    stack.clock.advance(minutes=5)
    await ask(stack)
    assert len(fake.asked) == 2
    assert (await run(stack, "burn"))["decision"] == "no_go"


def slowly(_: dict[str, str]) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b" "
        await asyncio.sleep(30)

    return StreamingResponse(pieces())


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (lambda _: Response(vector()), "no series"),
        (lambda _: Response(vector("NaN")), "NaN"),
        (lambda _: Response(vector("1", "2")), "2 series"),
        (lambda _: Response(vector("1", warnings=["a store is away"])), "a store is away"),
        (lambda _: Response(json.dumps({"status": "error", "error": "bad query"}), 400), "bad query"),
        (lambda _: Response(vector("1"), 500), "HTTP 500"),
        (lambda _: Response(vector("1"), 401), "HTTP 401"),
        (lambda _: RedirectResponse("/elsewhere"), "HTTP 307"),
        (lambda _: Response(b" " * (prometheus.MAX_ANSWER_BYTES + 1) + vector("1")), "bytes"),
        (lambda _: Response(b"\x1f\x8bno gzip", headers={"Content-Encoding": "gzip"}), "can't be reached"),
        (slowly, "did not answer"),
    ],
)
async def test_whatever_else_it_answers_fails_the_rule_and_says_why(
    stack: Stack, fake: FakePrometheus, monkeypatch: pytest.MonkeyPatch, says: Says, why: str
) -> None:
    monkeypatch.setattr(prometheus, "TIMEOUT_S", 1.0)
    await start(stack, fake.url)
    await publish(stack, BURN)
    await stack.command(publish_policy, {"gate": "burn", "content": POLICY, "reason": "SLO"})
    await ask(stack)
    assert (await run(stack, "burn"))["decision"] == "go"
    fake.says = says
    stack.clock.advance(minutes=5)
    await ask(stack)
    signal = await newest(stack)
    assert signal["valid"] is False
    assert why in signal["problems"][0]
    result = await run(stack, "burn")
    assert result["decision"] == "no_go"
    assert why in rule(result, "one")["message"]
    assert fake.elsewhere == 0, "nothing but the one address is asked"


async def test_a_prometheus_that_is_away_is_asked_again_later_and_its_address_is_nowhere(
    stack: Stack, fake: FakePrometheus
) -> None:
    times = [0.0]
    address = "http://user:secret@127.0.0.1:1"
    one = Prometheus(address, lambda: times[0])
    await stack.start(make_service(packaged_policies(), prometheus=one))
    await publish(stack, BURN, {**BURN, "name": "other"})
    await ask(stack)
    listed = await stack.query(list_signals, {"kind": "metric.sample"})
    assert [item["valid"] for item in listed.json["items"]] == [False, False]
    assert "secret" not in str(listed.json)
    assert "127.0.0.1" not in str(listed.json)
    one._url = f"{fake.url}/api/v1/query"
    (answer,) = await one.ask("1", at=stack.clock())
    assert "can't be reached" in str(answer), "so soon nobody waits for it again"
    times[0] += prometheus.AWAY_S
    (answer,) = await one.ask("1", at=stack.clock())
    assert answer == Sample(1.5, ("job=j0",))


async def test_two_sites_without_any_answer_in_time_are_enough_to_leave_others_their_turn(
    fake: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "TIMEOUT_S", 0.3)
    now, times = datetime.now(UTC), [0.0]
    one = Prometheus(fake.url, lambda: times[0])
    fake.says = lambda form: slowly(form) if form["query"] == "slow" else Response(vector("1"))
    for queries in (("slow",), ("slow", "quick"), ("slow",), ("slow",)):
        answers = await one.ask(*queries, at=now)
        assert "did not answer" in str(answers[0])
    (answer,) = await one.ask("quick", at=now)
    assert "can't be reached" in str(answer)
    times[0] += prometheus.AWAY_S
    assert isinstance((await one.ask("quick", at=now))[0], Sample)


async def test_probes_need_a_prometheus_and_are_of_their_site(stack: Stack, fake: FakePrometheus) -> None:
    await start(stack, None)
    refused = await publish(stack, BURN)
    assert (refused.status, "HEADGATE_PROMETHEUS_URL" in refused.json["detail"]) == (422, True)
    assert (await publish(stack)).status == 200, "to ask nothing is always right"
    await stack.stop("governance")
    await start(stack, fake.url)
    assert (await publish(stack, {**BURN, "subject": "shop", "every_minutes": 1}, site="plant-a")).status == 200
    await ask(stack, "plant-a")
    assert (await newest(stack, "plant-a"))["subject"] == "shop"
    assert await newest(stack) is None
    for wrong in (
        {"query": ""}, {"query": "x" * 3000}, {"every_minutes": 0}, {"name": "a.>"}, {"unit": "\u202e"}, {"url": "http://x"},
    ):  # fmt: skip
        assert (await publish(stack, {**BURN, **wrong})).status == 422, wrong
    assert (await publish(stack, BURN, BURN)).status == 422
    assert (await publish(stack, *({**BURN, "name": f"p{n}"} for n in range(21)))).status == 422
    await stack.stop("governance")
    await start(stack, None)
    stack.clock.advance(minutes=1)
    await ask(stack, "plant-a")
    assert "is not set" in (await newest(stack, "plant-a"))["problems"][0]
