"""The judge beside the bare CEL engine, a backtest beside it, and admission beside a plain question."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.figures import Figure, Report, median_rate
from bench.lab import BenchError, Lab, Space
from bench.load import listening, one, timed
from bench.query import gateway
from bench.rules import HEAD, KINDS, RULE
from libs.judge.capsule import About, digest, make_body
from libs.judge.facts import Fact, Facts
from libs.judge.policy import Policy, parse_policy
from libs.judge.standing import NOBODY_DECIDED
from libs.judge.verdict import judge
from services.governance.domain.backtest import rejudge

ROUNDS = 5
RULES, FACTS = 1_000, 10_000
DECISIONS, RULES_OF_A_DECISION = 10_000, 20
ASKED = 400
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ENGINE = "bare CEL engine, same conditions"


def _policy(count: int) -> Policy:
    kinds = list(KINDS)
    rules = "".join(
        RULE.format(
            number=number,
            kind=kinds[number % len(kinds)],
            scope="subject",
            when=json.dumps(KINDS[kinds[number % len(kinds)]][1]),
        )
        for number in range(count)
    )
    return parse_policy((HEAD.format(name="measured", mode="site") + rules).encode(), "measured.yaml")


def _facts(count: int) -> Facts:
    kinds = list(KINDS)
    return Facts(
        current=tuple(
            Fact(
                kind=kinds[number % len(kinds)],
                part=f"part-{number}",
                signal_id=number + 1,
                source="/bench",
                event_id=str(number),
                time=NOW - timedelta(hours=1),
                data=KINDS[kinds[number % len(kinds)]][0],
            )
            for number in range(count)
        )
    )


def _asked(policy: Policy, judged: Callable[[Policy], object]) -> list[tuple[Any, dict[str, Any]]]:
    """The compiled conditions with the values that the judge gives them."""
    seen: list[tuple[Any, dict[str, Any]]] = []

    class Spy:
        def __init__(self, condition: Any) -> None:
            self._condition = condition

        def evaluate(self, values: dict[str, Any]) -> Any:
            seen.append((self._condition._compiled, values))  # the engine itself is the floor
            return self._condition.evaluate(values)

    rules = tuple(replace(rule, condition=Spy(rule.condition)) for rule in policy.rules)  # type: ignore[arg-type]
    judged(replace(policy, rules=rules))
    if len(seen) != len(policy.rules):
        raise BenchError(f"{len(seen)} conditions were asked, not {len(policy.rules)}")
    return seen


def _engine(asked: list[tuple[Any, dict[str, Any]]], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        for compiled, values in asked:
            if compiled.eval(data=values).value() is not True:
                raise BenchError("a condition is not true")
    return time.perf_counter() - started


def _judging(report: Report) -> None:
    policy, facts = _policy(RULES), _facts(FACTS)
    asked = _asked(policy, lambda spied: judge(spied, facts, NOW))
    mine: list[float] = []
    floor: list[float] = []
    for _ in range(ROUNDS):
        floor.append(_engine(asked, 1))
        started = time.perf_counter()
        verdict = judge(policy, facts, NOW)
        mine.append(time.perf_counter() - started)
        if verdict.verdict != "GO":
            raise BenchError(f"the verdict is {verdict.verdict}: {verdict.reasons[:2]}")
    name = f"{RULES:,} rules over {FACTS:,} facts"
    rates = median_rate(RULES, mine), median_rate(RULES, floor)
    report.figures.append(Figure("gate", name, "rules/s", rates[0], ENGINE, rates[1], 0.7))


def _backtest(report: Report) -> None:
    policy, facts = _policy(RULES_OF_A_DECISION), _facts(RULES_OF_A_DECISION)
    verdict = judge(policy, facts, NOW)
    texts = {fact.signal_id: json.dumps(fact.data) for fact in facts.current}
    digests = {number: digest(text.encode()) for number, text in texts.items()}
    about = About("global", "measured", "site", "", 1, 1, "api", "bench", "0")
    body = json.loads(make_body(about, policy, facts, NOW, verdict, digests, NOBODY_DECIDED))
    data = {digests[number]: json.loads(text) for number, text in texts.items()}
    asked = _asked(policy, lambda spied: rejudge(spied, body, data))
    share = DECISIONS // ROUNDS
    mine: list[float] = []
    floor: list[float] = []
    for _ in range(ROUNDS):
        floor.append(_engine(asked, share))
        started = time.perf_counter()
        flips = sum(rejudge(policy, body, data) is not None for _ in range(share))
        mine.append(time.perf_counter() - started)
        if flips:
            raise BenchError(f"{flips} verdicts differ from themselves")
    name = f"backtest of {DECISIONS:,} decisions, {RULES_OF_A_DECISION} rules each"
    rates = median_rate(share, mine), median_rate(share, floor)
    report.figures.append(Figure("gate", name, "decisions/s", rates[0], ENGINE, rates[1], 0.7))


async def _admission(lab: Lab, report: Report) -> None:
    async with lab.space(["governance"]) as space:
        port, token = gateway(space)
        await listening(space, port)
        await space.subscribed(space.topology.commands_stream, "governance-commands")
        run_id = await _make_go(space, port, token)
        body = json.dumps({"subject": "app", "version": "1"}).encode()
        admitted = await one(port, token, "POST", "/api/gates/quick/admit", body)
        if not admitted["admitted"]:
            raise BenchError(f"not admitted: {admitted['reasons']}")
        mine: list[float] = []
        plain: list[float] = []
        for _ in range(ROUNDS):
            plain.append(statistics.median(await timed(port, token, "GET", f"/api/gates/quick/runs/{run_id}", ASKED)))
            mine.append(statistics.median(await timed(port, token, "POST", "/api/gates/quick/admit", ASKED, body)))
        report.figures.append(
            Figure(
                "gate", "admit, p50", "ms", tuple(mine), "a verdict by its number", tuple(plain), 1.2,
                lower_is_better=True,
            )
        )  # fmt: skip


async def _make_go(space: Space, port: int, token: str) -> int:
    """A gate of one rule, and a version that is GO by it."""
    rule = RULE.format(number=1, kind="ops.security", scope="version", when="fact.risk_score <= 10")
    content = HEAD.format(name="quick", mode="version") + rule
    said = json.dumps({"content": content, "reason": "To be measured"}).encode()
    await one(port, token, "PUT", "/api/policies/quick", said)
    event = {
        "specversion": "1.0", "id": "1", "source": "/bench", "type": "ops.security", "subject": "app",
        "version": "1", "data": KINDS["ops.security"][0],
    }  # fmt: skip
    await one(port, token, "POST", "/api/signals", json.dumps(event).encode(), "application/cloudevents+json")
    target = json.dumps({"subject": "app", "version": "1"}).encode()
    run = await one(port, token, "POST", "/api/gates/quick/runs", target)
    if run["verdict"] != "GO":
        raise BenchError(f"the verdict is {run['verdict']}: {run['reasons']}")
    return int(run["run_id"])


async def run(lab: Lab, report: Report) -> None:
    """Each beside its floor, in turns."""
    await asyncio.to_thread(_judging, report)
    await asyncio.to_thread(_backtest, report)
    await _admission(lab, report)
