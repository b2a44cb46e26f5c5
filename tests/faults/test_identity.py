"""Kill -9 of the gateway, Postgres and NATS while many people get, rotate and lose tokens.

What was acknowledged holds: a token that was shown works, one that was ended opens nothing, a name belongs to one user,
and the audit log knows each once. A secret that died with its gateway's answer is never shown to anybody, and the user
gets another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from deploy.local.stack import LocalStack
from tests.faults.lives import LIMITS, Life, all_at_once, said
from tests.local_traffic import await_that, client

pytestmark = pytest.mark.faults

PEOPLE, KILLED = 60, ("gateway", "postgres", "nats", "gateway")
TOLD = ("gateway.user.created", "gateway.token.issued", "gateway.token.rotated", "gateway.token.revoked")
ROWS = """
SELECT (SELECT count(*) FROM gateway.users WHERE username LIKE 'person-%') AS users,
       (SELECT count(*) FROM gateway.tokens WHERE username LIKE 'person-%') AS tokens
"""


@dataclass
class Person:
    """What the owner and this user were answered."""

    name: str
    works: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path / "data", env=dict.fromkeys(LIMITS, "1000000"))
    stack.start()
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


async def shown(
    http: httpx2.AsyncClient, path: str, key: str, token: str, body: dict[str, Any]
) -> tuple[int, str | None]:
    """The number of a token that was made, and its secret; without the secret if that went with the answer."""
    answer = await said(http, "POST", path, key, token, body)
    assert answer.status_code in (200, 201), answer.text
    made = answer.json()
    assert bool(made["token"]) is not bool(made["note"]), made
    return made["token_id"], made["token"]


async def live(http: httpx2.AsyncClient, owner: str, person: Person) -> None:
    """Comes, gets a token, rotates it, gets another, loses one."""
    made = await said(
        http,
        "POST",
        "/api/users",
        f"{person.name}-made",
        owner,
        {"username": person.name, "role": "viewer", "sites": ["*"]},
    )
    assert made.status_code == 201, made.text
    number, secret = 0, None
    while secret is None:
        number += 1
        body = {"username": person.name, "label": f"first-{number}"}
        token_id, secret = await shown(http, "/api/tokens", f"{person.name}-first-{number}", owner, body)
    path = f"/api/tokens/{token_id}/rotate"
    _, successor = await shown(http, path, f"{person.name}-rotate", owner, {"overlap_minutes": 0})
    person.ended.append(secret)
    if successor is not None:
        person.works.append(successor)
    body = {"username": person.name, "label": "second"}
    token_id, secret = await shown(http, "/api/tokens", f"{person.name}-second", owner, body)
    ended = await said(http, "DELETE", f"/api/tokens/{token_id}", f"{person.name}-end", owner)
    assert ended.status_code == 200, ended.text
    if secret is not None:
        person.ended.append(secret)


async def rows(local: LocalStack) -> tuple[int, int]:
    """How many users and tokens are stored."""
    connection = await asyncpg.connect(local.servers.database_url)
    try:
        row = await connection.fetchrow(ROWS)
        assert row is not None
        return row["users"], row["tokens"]
    finally:
        await connection.close()


def test_tokens_under_kill_9(local: LocalStack) -> None:
    people = [Person(f"person-{number}") for number in range(PEOPLE)]
    lives: list[Life] = [partial(live, owner=local.token, person=person) for person in people]
    asyncio.run(all_at_once(local, lives, KILLED))
    with client(local) as http:
        for person in people:
            for wanted, tokens in ((200, person.works), (401, person.ended)):
                for token in tokens:
                    answer = http.get("/api/me", headers={"Authorization": f"Bearer {token}"})
                    assert answer.status_code == wanted, (person.name, answer.text)
        assert sum(len(person.works) for person in people) > PEOPLE // 2, "most answers arrive"
        users, stored = asyncio.run(rows(local))
        assert users == PEOPLE

        def logged() -> Counter[str]:
            found: Counter[str] = Counter()
            for name in TOLD:
                answer = http.get("/api/audit/entries", params={"type": name, "limit": 500})
                found[name] = sum("person-" in str(one) for one in answer.json()["items"])
            return found

        once = dict(zip(TOLD, (PEOPLE, stored, PEOPLE, PEOPLE), strict=True))
        await_that("each in the audit log, once", lambda: dict(logged()) == once)
        assert http.get("/api/audit/verify").json()["valid"]
        assert dict(logged()) == once, "nothing comes twice, also not late"
