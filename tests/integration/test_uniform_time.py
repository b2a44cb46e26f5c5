"""Who guesses learns no name: 10,000 attempts to sign in, whose answers and times say nothing of whom they name.

The attempts come in rounds, one of each kind in a new order, so that what else the machine does falls on all alike. For
each kind there is the share of rounds in which it took longer than the name that nobody has (the sign test; as a size
of effect the probability of superiority, which knows no unit and no outlier). One half is no difference; with so many
rounds chance moves it by 0.014 (one sigma). The median of the differences is printed beside it. A hash costs half
a millisecond here, so that what a real one would hide is seen. A second name that nobody has shows what chance does.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from services.gateway.domain.passwords import WAITS_S
from services.gateway.passwords import checking, hashing, tries
from tests.http_edge import Http
from tests.integration.test_passwords import GOOD, VAULT, code_for, person
from tests.integration.test_second_factors import with_factor
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole]

ROUNDS, LOCKED_ROUNDS = 1_250, 300
SIGMAS = 5.5  # of 10,000 attempts a share of 0.42 to 0.58
# A row of somebody is larger than none: up to some 30 µs, which a cheap hash does not cover. A real one takes tens of
# milliseconds and spreads over more than one, so this is lost in it.
WITHIN_US = 100
WRONG = "not the four words"
KINDS = {
    "a name that nobody has": ("nobody", WRONG, None),
    "another name that nobody has": ("no-one", WRONG, None),
    "a wrong password": ("mia", WRONG, None),
    "who is not active": ("lee", GOOD, None),
    "who has a code and no password yet": ("kim", WRONG, None),
    "a name that nobody has, and a code": ("nobody", WRONG, "123456"),
    "a wrong password and a code, with a second factor": ("ann", WRONG, "123456"),
    "the right password and a wrong code": ("ann", GOOD, "123456"),
}
NOBODY, NOBODY_WITH_CODE = "a name that nobody has", "a name that nobody has, and a code"


@pytest_asyncio.fixture
async def http(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Http]:
    """An edge with a cheap hash, and one person of each kind."""
    monkeypatch.setattr(hashing, "MEMORY_KIB", 512)
    monkeypatch.setattr(hashing, "ITERATIONS", 1)
    monkeypatch.setattr(checking, "NOBODYS", hashing.hash_of("nobody knows this"))
    edge = await Http(stack).open(vault_secret=VAULT)
    await person(edge, "mia")
    await person(edge, "lee")
    assert (await edge.client.patch("/api/users/lee", json={"active": False})).status_code == 200
    await edge.user("kim", "operator")
    await code_for(edge, "kim")
    await with_factor(edge, "ann")
    yield edge
    await edge.close()


class Guesser:
    """Asks on one connection, one attempt after the other."""

    def __init__(self, http: Http) -> None:
        self._client = http.of(None)
        self.told: set[tuple[object, ...]] = set()

    async def took_s(self, name: str, password: str, code: str | None) -> float:
        """How long the answer took, which is kept without what differs in all answers."""
        body = {"username": name, "password": password} | ({} if code is None else {"code": code})
        began = time.perf_counter()
        answer = await self._client.post("/api/sign-in", json=body)
        took = time.perf_counter() - began
        self.told.add(_told(answer))
        return took


def _told(answer: httpx2.Response) -> tuple[object, ...]:
    said = answer.json()
    said.pop("trace_id")
    counted = (
        "date",
        "x-request-id",
        "traceparent",
        "ratelimit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-request-duration-ms",
    )
    headers = sorted((name, value) for name, value in answer.headers.items() if name not in counted)
    return answer.status_code, tuple(sorted(map(str, said.items()))), tuple(headers)


def assert_alike(took: dict[str, list[float]], base: str) -> None:
    """No kind is told from the base by its times; a median difference up to `WITHIN_US` is none."""
    found = {}
    for kind, times in took.items():
        apart = [mine - other for mine, other in zip(times, took[base], strict=True)]
        share = sum(one > 0 for one in apart) / len(apart)
        found[kind] = (round(share, 3), round(statistics.median(apart) * 1e6))
    print(f"share of rounds in which it took longer than {base!r}, median of the difference in µs: {found}")
    del found[base]
    for kind, (share, apart_us) in found.items():
        alike = abs(share - 0.5) <= SIGMAS * 0.5 / math.sqrt(len(took[kind]))
        assert alike or abs(apart_us) <= WITHIN_US, (kind, found)


async def rounds(guesser: Guesser, kinds: dict[str, tuple[str, str, str | None]], count: int) -> dict[str, list[float]]:
    """So many rounds, in which each kind comes once."""
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    order, rng = list(kinds), random.Random(12)
    for number in range(count + 20):
        rng.shuffle(order)
        for kind in order:
            seconds = await guesser.took_s(*kinds[kind])
            if number >= 20:  # the first ones warm up
                took[kind].append(seconds)
    return took


async def test_answers_and_times_say_nothing_of_a_name(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "WAITS_S", dict.fromkeys(WAITS_S, (0.0,)))
    guesser = Guesser(http)
    took = await rounds(guesser, KINDS, ROUNDS)
    assert sum(map(len, took.values())) == 10_000
    assert [one[0] for one in guesser.told] == [401], guesser.told
    assert_alike({kind: times for kind, times in took.items() if KINDS[kind][2] is None}, NOBODY)
    assert_alike({kind: times for kind, times in took.items() if KINDS[kind][2] is not None}, NOBODY_WITH_CODE)
    # Who must wait is told so, alike, whether or not there is such a name.
    monkeypatch.setattr(tries, "WAITS_S", WAITS_S)
    kinds = {kind: KINDS[kind] for kind in list(KINDS)[:4]}
    statement = "UPDATE sign_in_try SET free_at = $1::timestamptz + interval '15 minutes' WHERE kind = 'name'"
    assert await http.running.pool.execute(statement, http.stack.clock()) != "UPDATE 0"
    guesser.told.clear()
    took = await rounds(guesser, kinds, LOCKED_ROUNDS)
    assert [one[0] for one in guesser.told] == [429], guesser.told
    assert_alike(took, NOBODY)
