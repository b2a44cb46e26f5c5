"""The demo's last word: a message in a receiver of its own, signed, checked and shown."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn, Protocol

from standardwebhooks import Webhook, WebhookVerificationError

from deploy.demo.screen import Screen

HERE = '["127.0.0.0/8"]'  # what the notifier may call in the demo, besides public addresses
WITHIN_S = 20.0
Message = tuple[dict[str, str], bytes]


class Teller(Protocol):
    """The demo, as far as this step needs it."""

    screen: Screen

    def step(self, title: str) -> None: ...
    def ask(self, *arguments: str) -> Any: ...
    def tool(self, *arguments: str) -> None: ...
    def fail(self, text: str) -> NoReturn: ...


@contextmanager
def receiver() -> Iterator[tuple[str, queue.Queue[Message]]]:
    """A receiver of webhooks on this machine: its address, and what comes."""
    came: queue.Queue[Message] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The demo shows what came."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/headgate", came
    finally:
        server.shutdown()
        server.server_close()


def tell(demo: Teller, subject: str, version: str) -> None:
    """Subscribe a receiver to verdicts, run the gate, and show what it got. Ends the demo if the signature is wrong."""
    demo.step("Tell others: each verdict goes to whoever subscribed, signed")
    with receiver() as (address, came):
        made = demo.ask(
            "subscriptions", "create", "--name", "release bot", "--event-types", "governance.gate.decided",
            "--endpoint", address,
        )  # fmt: skip
        demo.tool("subscriptions", "show", str(made["subscription_id"]))
        demo.tool("gate", "run", "release", "--subject", subject, "--version", version)
        try:
            headers, body = came.get(timeout=WITHIN_S)
        except queue.Empty:
            demo.fail("No message came to the receiver")
        try:
            event = Webhook(made["signing_secret"]).verify(body, headers)
        except WebhookVerificationError as error:
            demo.fail(f"The signature of the message is wrong: {error}")
        told = {name: event["data"][name] for name in ("gate", "subject", "version", "decision", "run_number")}
        shown = [f"{name}: {headers[name]}" for name in ("webhook-id", "webhook-timestamp", "webhook-signature")]
        demo.screen.say("What the receiver got:")
        demo.screen.answer("\n".join([f"POST {address}", *shown, "", event["type"], json.dumps(told)]), cut=True)
        demo.screen.done("The signature is good: Standard Webhooks, checked by its own library")
        demo.tool("deliveries", "list")
