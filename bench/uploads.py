"""Reports from the edge to the stored signal, one after another: small, through the bucket, and big.

Beside them stands the least that the same report costs: taken by its parser from memory, and, if it is not small,
packed and put into the bucket before; all that in this process, without a request, a command, a table or an event.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from bench.figures import Figure, Report
from bench.lab import BenchError, Lab, Space
from bench.load import Client, listening
from bench.query import gateway
from libs.common.buckets import REPORTS
from libs.common.objects import Bucket
from services.gateway.uploads import INLINE_BYTES
from services.governance.domain.readers.reports import parse_report

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """A report to send: ``make`` gives the bytes of the n-th, each another one, since a repeat would not be stored."""

    name: str
    format: str
    make: Callable[[int], bytes]
    count: int  # in a round
    rounds: int = ROUNDS


def junit(number: int, cases: int) -> bytes:
    """A JUnit report of passing tests."""
    rows = "".join(f'<testcase classname="suite.module_{i % 40}" name="test_{i}" time="0.01"/>' for i in range(cases))
    return f'<testsuite name="run {number}">{rows}</testsuite>'.encode()


def sarif(number: int, results: int) -> bytes:
    """A SARIF log with notes, 550 bytes each."""
    found = [
        {
            "ruleId": f"R{i % 50}",
            "level": "note",
            "message": {"text": f"{i} of {number}: " + "x" * 300},
            "locations": [
                {"physicalLocation": {"artifactLocation": {"uri": f"a/b{i}.py"}, "region": {"startLine": 1}}}
            ],
            "partialFingerprints": {"primary": f"{i:032x}"},
        }
        for i in range(results)
    ]
    return orjson.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "bench"}}, "results": found}]})


KINDS = (
    Kind("JUnit, 15 kB", "junit", lambda number: junit(number, 220), 100),
    Kind("JUnit, 1 MB", "junit", lambda number: junit(number, 15_000), 5),
    Kind("SARIF, 40 MB", "sarif", lambda number: sarif(number, 75_000), 1, 2),
)


async def run(lab: Lab, report: Report) -> None:
    """Each kind in turns with its floor."""
    async with lab.space(["governance"]) as space:
        port, token = gateway(space, HEADGATE_COMMAND_WAIT_S="60")
        await listening(space, port)
        await space.subscribed(space.topology.commands_stream, "governance-commands")
        bucket, number = Bucket(REPORTS.name).bind(space.bus), 0
        for kind in KINDS:
            took: list[tuple[float, ...]] = [(), ()]
            for turn in range(kind.rounds + 1):  # the first one warms up
                contents = [kind.make(number := number + 1) for _ in range(kind.count)]
                ours = await _over_http(port, token, kind, contents)
                least = [await _least(bucket, kind, content) for content in contents]
                if turn:
                    took = [(*took[0], _middle(ours)), (*took[1], _middle(least))]
            floor = "parsed in memory" if len(contents[0]) <= INLINE_BYTES else "packed, put, parsed in memory"
            figure = Figure(
                "reports", f"{kind.name} over HTTP, p50", "ms", took[0], floor, took[1], lower_is_better=True
            )
            report.figures.append(figure)
        await _check(space, number)


async def _over_http(port: int, token: str, kind: Kind, contents: list[bytes]) -> list[float]:
    client = await Client.connect(port, token)
    took = []
    try:
        for content in contents:
            started = time.perf_counter()
            path = f"/api/signals/{kind.format}?subject=bench&version=1"
            status, answer = await client.request("POST", path, content)
            took.append((time.perf_counter() - started) * 1000)
            if status != 201:
                raise BenchError(f"a report was answered {status}: {answer[:500]!r}")
    finally:
        client.close()
    return took


async def _least(bucket: Bucket, kind: Kind, content: bytes) -> float:
    started = time.perf_counter()
    if len(content) > INLINE_BYTES:
        packed = io.BytesIO(await asyncio.to_thread(gzip.compress, content, 1))
        await bucket.put(hashlib.sha256(content).hexdigest(), len(content), packed)
    await asyncio.to_thread(parse_report, kind.format, content)
    return (time.perf_counter() - started) * 1000


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


async def _check(space: Space, sent: int) -> None:
    stored = await space.database.fetchval("SELECT count(*) FROM governance.signals")
    if stored != sent:
        raise BenchError(f"{sent} reports were sent, {stored} signals are stored")
