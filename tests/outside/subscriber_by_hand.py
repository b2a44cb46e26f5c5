"""A subscriber without a JetStream client: the four lines of docs/subscribers.md, by async-nats (Rust) in natsrpy."""

from __future__ import annotations

import asyncio
import json
import os

from natsrpy import Nats  # type: ignore[import-not-found]  # in the environment of these tools only

USER, TOKEN = os.environ["HEADGATE_SUBSCRIBER"], os.environ["HEADGATE_TOKEN"]
INBOX = "_INBOX_" + USER.replace("-", ".") + ".pulled"
PULL, ACK = f"headgate.subscriber.CONSUMER.MSG.NEXT.EVENTS.{USER}", f"headgate.subscriber.ACK.{USER}"
BATCH = 100
ASKED = json.dumps({"batch": BATCH, "expires": 1_000_000_000})


async def main() -> None:
    """Print the type of each event and acknowledge it."""
    client = Nats([os.environ["NATS_URL"]], user_and_pass=(USER, TOKEN), max_reconnects=1)
    await client.startup()
    async with client.subscribe(INBOX) as answers:
        await client.publish(PULL, ASKED, reply=INBOX)
        got = 0
        async for message in answers:
            over = message.status is not None  # 404, 408 or 409: that pull is over; so is one that gave all it may
            got = 0 if over else got + 1
            if over or got == BATCH:
                await client.publish(PULL, ASKED, reply=INBOX)
                got = 0
            if over:
                continue
            event = json.loads(message.payload)
            print(event.get("type"), event.get("site"), flush=True)
            await client.publish(ACK, str(message.reply))


asyncio.run(main())
