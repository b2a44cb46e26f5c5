"""Many lives at once over HTTP while parts of a whole Headgate are killed: each is asked until it is answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx2

from deploy.local.stack import LocalStack

AT_ONCE, TRIES = 12, 240
LIMITS = ("HEADGATE_REQUESTS_PER_MINUTE", "HEADGATE_ANONYMOUS_REQUESTS_PER_MINUTE")
AGAIN = (202, 429, 502, 503, 504)  # nobody knows yet, or not now
Life = Callable[[httpx2.AsyncClient], Awaitable[None]]


async def said(
    http: httpx2.AsyncClient, method: str, path: str, key: str, token: str, body: dict[str, Any] | None = None
) -> httpx2.Response:
    """Ask until it is answered, under one key; whatever was cut off is asked again. No token: as a stranger."""
    headers = ({"Idempotency-Key": key} if key else {}) | ({"Authorization": f"Bearer {token}"} if token else {})
    last = "no answer"
    for _ in range(TRIES):
        try:
            answer = await http.request(method, path, json=body, headers=headers)
        except httpx2.HTTPError:
            await asyncio.sleep(0.25)
            continue
        if answer.status_code not in AGAIN:
            return answer
        last = f"{answer.status_code} {answer.text}"
        await asyncio.sleep(0.25)
    raise AssertionError(f"{method} {path} was not answered: {last}")


async def all_at_once(local: LocalStack, lives: Sequence[Life], killed: Sequence[str], seed: int = 12) -> None:
    """Live them all, some at a time; after each part of them one of ``killed`` is killed while others go on."""
    done, rng = 0, random.Random(seed)
    turns = asyncio.Semaphore(AT_ONCE)
    async with httpx2.AsyncClient(base_url=local.gateway_url, timeout=60, trust_env=False) as http:

        async def one(life: Life) -> None:
            nonlocal done
            async with turns:
                await life(http)
            done += 1

        living = [asyncio.create_task(one(life)) for life in lives]
        for part, name in enumerate(killed, 1):
            while done < part * len(lives) // (len(killed) + 1) and not any(
                one.done() and one.exception() for one in living
            ):
                await asyncio.sleep(0.005)
            await asyncio.sleep(rng.random() * 0.2)
            await asyncio.to_thread(local.kill, name)
            await asyncio.to_thread(local.wait_ready)
        await asyncio.gather(*living)
