"""A small HTTP server that answers as a test says: the outside of the client, on a real socket."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Says:
    """An answer; ``body`` that is no bytes is sent as JSON."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answer = Says | Callable[[Asked], Says]


def refusal(status: int, detail: str, **extra: Any) -> Says:
    """A problem document."""
    body = {"type": "urn:headgate:problem:test", "title": "Test", "status": status, "detail": detail, **extra}
    return Says(body, status, {"Content-Type": "application/problem+json"})


class FakeGateway:
    """Answers by ``METHOD /path``; several answers for one key are given in turn, the last one again and again."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, list[Answer]] = {}
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(length)
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                asked = Asked(self.command, parts.path, parse_qs(parts.query), headers, body)
                said = gateway.answer(asked)
                content = said.content
                self.send_response(said.status)
                sent = {"Content-Type": "application/json", "Content-Length": str(len(content))} | said.headers
                for name, value in sent.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def on(self, key: str, *answers: Answer) -> None:
        """What is answered to a method and path."""
        self.answers[key] = list(answers)

    def answer(self, asked: Asked) -> Says:
        self.asked.append(asked)
        waiting = self.answers.get(f"{asked.method} {asked.path}")
        if not waiting:
            return refusal(404, f"The test has no answer for {asked.method} {asked.path}.")
        said = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return said if isinstance(said, Says) else said(asked)


@contextmanager
def running_gateway() -> Iterator[FakeGateway]:
    """A gateway that listens until the end of the block."""
    gateway = FakeGateway()
    thread = threading.Thread(target=gateway.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield gateway
    finally:
        gateway.server.shutdown()
        thread.join()
        gateway.server.server_close()
