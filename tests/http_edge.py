"""The gateway's HTTP edge in a test: a real server on a free port, in front of a test's stack."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import httpx2
import uvicorn
from pydantic import SecretStr

from libs.common.http_server import server_config
from libs.common.running import Running
from services.gateway.edge import Edge, app_of
from services.gateway.service import SERVICE
from tests.stack import Stack

OWNER = "hg_" + "owner" * 9
# Reading the trusted certificates for each client takes 45 ms; plain HTTP needs none.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class PromptServer(uvicorn.Server):
    """Uvicorn that ends when it is told to: its own loop looks every 0.1 s, and then waits 0.1 s whatever there is."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    async def main_loop(self) -> None:
        """Serve until `end`."""
        await self.on_tick(0)  # sets the headers of every answer
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the requests in hand end, for as long as the real server does."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        async with asyncio.timeout(self.config.timeout_graceful_shutdown):
            while self.server_state.connections or self.server_state.tasks:
                await asyncio.sleep(0.002)
        await self.lifespan.shutdown()

    def end(self) -> None:
        """Say that it is time; `serve` returns when all is closed."""
        self._told.set()


class Http:
    """A running edge; `client` speaks as the owner."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client: httpx2.AsyncClient
        self.running: Running
        self.edge: Edge
        self.url = ""
        self._server: PromptServer
        self._serving: asyncio.Task[None]
        self._clients: list[httpx2.AsyncClient] = []

    async def open(self, **settings: Any) -> Http:
        """Start the gateway's loop and its server."""
        values = {"bootstrap_token": SecretStr(OWNER), "requests_per_minute": 1_000_000} | settings
        values.setdefault("anonymous_requests_per_minute", 1_000_000)
        self.running = await self.stack.start(SERVICE, **values)
        self.edge = Edge(self.running)
        app = app_of(self.edge)
        # The server listens by itself: on a socket of `socket.create_server`, asyncio does not switch Nagle's algorithm
        # off, and each answer waits 40 ms for an acknowledgement.
        trusted = [str(network) for network in self.running.settings.trusted_proxies]
        config = server_config(app, host="127.0.0.1", port=0, lifespan=True, trusted_proxies=trusted)
        self._server = PromptServer(config)
        self._serving = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(10):
            while not self._server.started:
                assert not self._serving.done(), "the server ended"
                await asyncio.sleep(0.002)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        self.client = self.of(OWNER)
        return self

    async def close(self) -> None:
        """Stop the server; the stack stops the gateway's loop."""
        for client in self._clients:
            await client.aclose()
        self.edge.stopping.set()
        self._server.end()
        await self._serving

    def of(self, token: str | None, **headers: str) -> httpx2.AsyncClient:
        """A client with another token, or none."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        client = httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=20, verify=NO_TLS)
        self._clients.append(client)
        return client

    async def user(self, name: str, role: str, sites: list[str] | None = None) -> httpx2.AsyncClient:
        """A client of a new user."""
        body = {"username": name, "role": role, "sites": sites or ["*"]}
        answer = await self.client.post("/api/users", json=body)
        assert answer.status_code == 201, answer.text
        answer = await self.client.post("/api/tokens", json={"username": name, "label": "test"})
        assert answer.status_code == 201, answer.text
        return self.of(answer.json()["token"])

    async def site(self, name: str) -> None:
        """Make a site."""
        answer = await self.client.post("/api/sites", json={"site": name, "title": name})
        assert answer.status_code == 201, answer.text
