"""The floor of deliveries: an asyncio loop with httpx2 that signs and posts. Prints the seconds that ``count`` took."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime

import httpx2
import uvloop
from standardwebhooks import Webhook


async def main(given: dict[str, str | int]) -> None:
    """Post ``count`` bodies with ``at_once`` in flight."""
    url, body, count = str(given["url"]), str(given["body"]), int(given["count"])
    webhook, numbers = Webhook(str(given["secret"])), iter(range(count))
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx2.AsyncClient(trust_env=False, limits=limits) as client:

        async def send() -> None:
            for number in numbers:
                now = datetime.now(UTC)
                headers = {
                    "content-type": "application/cloudevents+json",
                    "webhook-id": f"id-{number}",
                    "webhook-timestamp": str(int(now.timestamp())),
                    "webhook-signature": webhook.sign(f"id-{number}", now, body),
                }
                answer = await client.post(url, content=body.encode(), headers=headers)
                assert answer.status_code == 204

        began = time.perf_counter()
        await asyncio.gather(*(send() for _ in range(int(given["at_once"]))))
        print(time.perf_counter() - began)


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
