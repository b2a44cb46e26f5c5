"""Requests to addresses that users name: the one way out, so that nobody reaches what lies behind us through Headgate.

A name is resolved once, every answer is checked, and the connection goes to the address that was checked: a name that
is public when it is looked at and private when it is called gains nothing. What is an address, however it is spelt, and
which ones are nobody's business is what `ssrfguard` knows; the connection is httpcore2's, with TLS for the name.
Redirects are not followed, proxies of the environment are not asked, and of an answer only the head is read.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_network

import httpcore2
from ssrfguard import Address, BlockedURLError, Policy, Resolver, SSRFGuardError, resolve

MAX_HEAD_BYTES = 64 * 1024
CONNECT_S, TOTAL_S = 5.0, 10.0
PORTS = (80, 443)
MAX_URL_CHARS = 2_000
LOOKUPS = 8  # at once; one that hangs can't be stopped, and must not keep others waiting
CONNECTIONS = 100
KEPT_S = 30.0


class OutboundError(Exception):
    """A request that was not answered; ``sentence`` says why, and holds nothing secret."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Refused(OutboundError):
    """The address is not one that Headgate calls. Trying again changes nothing unless the name changes."""


class Unreachable(OutboundError):
    """Nobody answered, or not in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``head`` is the first 64 KiB of the body, ``took_ms`` from the call to the end of it."""

    status: int
    headers: Mapping[str, str]
    head: bytes
    took_ms: float


class Outbound:
    """Calls addresses outside. ``allowed_networks``: private ones that may be called, too, on any port.

    ``ports`` are those of everybody else. ``resolver`` stands in for `socket.getaddrinfo`.
    """

    def __init__(
        self,
        allowed_networks: Iterable[str] = (),
        ports: Iterable[int] = PORTS,
        *,
        resolver: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connect_s: float = CONNECT_S,
        total_s: float = TOTAL_S,
    ) -> None:
        self._networks = tuple(map(ip_network, allowed_networks))
        self._ports, self._total_s = frozenset(ports), total_s
        self._policy = Policy(
            allowed_networks=self._networks, allowed_ports=frozenset(range(1, 65536)), max_url_length=MAX_URL_CHARS
        )
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="outbound-lookup")
        self._resolver, self._connect_s = resolver, connect_s
        self._ssl_context = ssl_context
        self._opened: httpcore2.AsyncConnectionPool | None = None

    @property
    def _pool(self) -> httpcore2.AsyncConnectionPool:
        # Made when somebody is called: reading the trusted certificates takes 45 ms of a start.
        if self._opened is None:
            self._opened = httpcore2.AsyncConnectionPool(
                ssl_context=self._ssl_context or ssl.create_default_context(),
                max_connections=CONNECTIONS,
                keepalive_expiry=KEPT_S,
                network_backend=_Guarded(self),
            )
        return self._opened

    async def close(self) -> None:
        """Close all connections."""
        if self._opened is not None:
            await self._opened.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, url: str) -> None:
        """Whether the address may be called as far as can be known now. Raises `Refused`, `Unreachable`."""
        await self._addresses(url)

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> Answer:
        """Send a body. Any answer is an answer, also a redirect, which is not followed.

        Raises `Refused`, `Unreachable`.
        """
        return await self._call("POST", url, headers, content)

    async def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Read what lies there; the same rules as for `post`."""
        return await self._call("GET", url, headers, b"")

    async def _call(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> Answer:
        started = time.perf_counter()
        try:
            self._policy.check_url(url)
            async with asyncio.timeout(self._total_s):
                status, found, head = await self._send(method, url, headers, content)
        except SSRFGuardError as error:
            raise _refused(error) from None
        except TimeoutError:
            raise Unreachable(f"There was no whole answer within {self._total_s:g} seconds.") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
            raise Unreachable(_words(error)) from None
        return Answer(status, found, head, (time.perf_counter() - started) * 1000)

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        limits = {"timeout": {"connect": self._connect_s, "read": self._total_s, "write": self._total_s,
                              "pool": self._total_s}}  # fmt: skip
        sent = [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers.items()]
        head = bytearray()
        async with self._pool.stream(method, url, headers=sent, content=content, extensions=limits) as answer:
            async for chunk in answer.aiter_stream():
                head += chunk
                if len(head) >= MAX_HEAD_BYTES:
                    break
        found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        return answer.status, found, bytes(head[:MAX_HEAD_BYTES])

    async def _addresses(self, url: str) -> tuple[Address, ...]:
        """The addresses behind a URL, all of them allowed. Raises `Refused`, `Unreachable`."""
        try:
            target = self._policy.check_url(url)
            looking = asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: resolve(target, policy=self._policy, resolver=self._resolver)
            )
            addresses = await asyncio.wait_for(looking, self._connect_s)
        except SSRFGuardError as error:
            raise _refused(error) from None
        except TimeoutError:
            raise Unreachable(f"The name was not found within {self._connect_s:g} seconds.") from None
        except OSError as error:
            raise Unreachable(f"The name {target.host} is not known ({error.strerror or error}).") from None
        for address in addresses:
            if target.port not in self._ports and not self._is_ours(address):
                ports = " and ".join(map(str, sorted(self._ports)))
                raise Refused(f"Port {target.port} is not called; use {ports}, or let an administrator allow it.")
        return addresses

    def _is_ours(self, address: Address) -> bool:
        return any(address.ip in network for network in self._networks if network.version == address.ip.version)


class _Guarded(httpcore2.AsyncNetworkBackend):
    """Opens connections only to addresses that were checked, whatever the name says by then."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound, self._plain = outbound, httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers. Raises `Refused`, `Unreachable`."""
        name = f"[{host}]" if ":" in host else host
        problem: Exception | None = None
        for address in (await self._outbound._addresses(f"http://{name}:{port}/"))[:4]:
            try:
                return await self._plain.connect_tcp(str(address.ip), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout, OSError) as error:
                problem = error
        raise Unreachable(_words(problem) if problem else "The name has no address.")

    async def connect_unix_socket(self, *_: object, **__: object) -> httpcore2.AsyncNetworkStream:
        """Never: what listens there is ours."""
        raise Refused("Unix sockets are not called.")

    async def sleep(self, seconds: float) -> None:
        """Between the tries of httpcore2, of which there are none."""
        await asyncio.sleep(seconds)


def _refused(error: SSRFGuardError) -> Refused:
    # Of a URL the reason alone: it may hold a secret in its path.
    reason = error.reason if isinstance(error, BlockedURLError) else str(error)
    return Refused(
        f"This address is not called: {reason.rstrip('.')}. An administrator can allow networks of one's own."
    )


def _words(error: BaseException) -> str:
    kind = "The connection failed"
    if isinstance(error, httpcore2.ConnectTimeout):
        kind = "Nobody took the connection in time"
    elif isinstance(error, httpcore2.TimeoutException):
        kind = "There was no answer in time"
    said = str(error).strip()
    return f"{kind} ({said[:200]})." if said else f"{kind}."
