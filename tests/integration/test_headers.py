"""Security headers on every answer, TLS by the server itself, and whose word on a client's address is believed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from libs.common.contracts.base import Nothing
from libs.common.contracts.preflight import preflight_query
from libs.common.http_server import server_config
from libs.common.security_headers import secured
from libs.common.settings import Settings
from libs.common.tls import TlsError, ends_at, files_of, judge_certificate
from services.gateway.documents import openapi
from tests.http_edge import Http
from tests.stack import Stack

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


def certified(folder: Path, ends: datetime) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=400))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return cert, secret


@pytest.mark.integration
async def test_every_route_answers_with_the_security_headers(http: Http) -> None:
    asked = 0
    for path, methods in openapi.document()["paths"].items():
        for method in methods:
            for client in (http.client, http.of(None)) if asked % 10 == 0 else (http.client,):
                filled = path.replace("{", "1").replace("}", "")
                if "events" in path:
                    client = http.of(None)  # else it would never end
                answer = await client.request(method, filled, headers={"Prefer": "respond-async"})
                checked(answer)
            asked += 1
    assert asked > 200
    for path in ("/healthz", "/docs", "/reference", "/metrics", "/openapi.json", "/nothing", "/api/nothing", "/a/x"):
        answer = await http.of(None).get(path)
        checked(answer)
        if answer.headers.get("content-type", "").startswith("text/html"):
            assert "script-src *" not in answer.headers["content-security-policy"]
    checked(await http.of(None).request("TRACE", "/healthz"))
    checked(await http.of(None).get("/%00"))


def checked(answer: httpx2.Response) -> None:
    """What must stand on each answer, once."""
    for name, value in EVERYWHERE.items():
        assert answer.headers.get_list(name) == [value], (answer.request.url, answer.status_code, name)
    policies = answer.headers.get_list("content-security-policy")
    assert [policy.startswith("default-src 'none'") for policy in policies] == [True], (answer.request.url, policies)
    assert len(answer.headers.get_list("cache-control")) == 1, answer.request.url
    assert len(answer.headers.get_list("cross-origin-resource-policy")) == 1
    assert "strict-transport-security" not in answer.headers  # nobody came by https


def test_only_who_came_by_https_is_told_to_stay_there() -> None:
    assert b"strict-transport-security" in dict(secured([], "https"))
    assert b"strict-transport-security" not in dict(secured([], "http"))
    own = [(b"content-security-policy", b"sandbox"), (b"cache-control", b"no-cache")]
    found = secured(own, "http")
    assert found[:2] == own
    assert len(found) == len({name for name, _ in found})
    badge = dict(secured([(b"content-type", b"image/svg+xml")], "http"))
    assert badge[b"cross-origin-resource-policy"] == b"cross-origin"


class Echo:
    """The server of every process with an application that says how a client came."""

    def __init__(self, **options: Any) -> None:
        async def say(request: Request) -> JSONResponse:
            assert request.client is not None
            return JSONResponse([request.client.host, request.url.scheme])

        app = Starlette(routes=[Route("/", say)])
        self.server = uvicorn.Server(server_config(app, host="127.0.0.1", port=0, lifespan=False, **options))

    async def __aenter__(self) -> int:
        self._serving = asyncio.create_task(self.server.serve())
        async with asyncio.timeout(10):
            while not self.server.started:
                assert not self._serving.done(), "the server ended"
                await asyncio.sleep(0.005)
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self.server.should_exit = True
        await self._serving


CLAIMS = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [
        ([], ["127.0.0.1", "http"]),
        (["10.0.0.0/8"], ["127.0.0.1", "http"]),
        (["127.0.0.0/8"], ["203.0.113.9", "https"]),
    ],
)
async def test_only_proxies_of_the_settings_are_believed(trusted: list[str], seen: list[str]) -> None:
    async with Echo(trusted_proxies=trusted) as port, httpx2.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/", headers=CLAIMS)).json() == seen
        if len(trusted) and seen[1] == "https":  # what a client has put before what the proxy adds is no address
            spoofed = {**CLAIMS, "X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
            assert (await client.get(f"http://127.0.0.1:{port}/", headers=spoofed)).json() == seen


def test_a_proxy_is_a_network() -> None:
    for wrong in ("*", "proxy.example", "10.0.0.1/8"):
        with pytest.raises(ValidationError):
            Settings(trusted_proxies=[wrong])  # type: ignore[list-item]


async def test_tls_by_the_server_itself(tmp_path: Path) -> None:
    cert, key = certified(tmp_path, datetime.now(UTC) + timedelta(days=30))
    trusting = ssl.create_default_context(cafile=str(cert))
    echo = Echo(tls=(cert, key))
    async with echo as port, httpx2.AsyncClient(verify=trusting) as client:
        assert (await client.get(f"https://127.0.0.1:{port}/")).json() == ["127.0.0.1", "https"]
        with pytest.raises(httpx2.HTTPError):
            await client.get(f"http://127.0.0.1:{port}/")
        assert echo.server.config.ssl is not None
        assert echo.server.config.ssl.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_files_that_do_not_fit_are_one_sentence(tmp_path: Path) -> None:
    cert, key = certified(tmp_path, NOW)
    assert files_of(Settings()) is None
    assert files_of(Settings(tls_cert_file=cert, tls_key_file=key)) == (cert, key)
    other = tmp_path / "other"
    other.mkdir()
    _, foreign = certified(other, NOW)
    wrongs: tuple[dict[str, Any], ...] = (
        {"tls_cert_file": cert},
        {"tls_key_file": key},
        {"tls_cert_file": cert, "tls_key_file": foreign},
        {"tls_cert_file": tmp_path / "gone", "tls_key_file": key},
    )
    for wrong in wrongs:
        with pytest.raises(TlsError):
            files_of(Settings(**wrong))


def test_a_certificate_is_told_of_before_it_ends(tmp_path: Path) -> None:
    ends = ends_at(certified(tmp_path, NOW)[0])
    assert ends == NOW
    for days, word in ((22, "ok"), (21, "warning"), (1, "warning"), (0, "error"), (-1, "error")):
        assert judge_certificate(ends, NOW - timedelta(days=days))[0] == word


@pytest.mark.integration
async def test_the_preflight_looks_at_the_certificate(stack: Stack, tmp_path: Path) -> None:
    cert, key = certified(tmp_path, stack.clock() + timedelta(days=10))
    edge = await Http(stack).open(tls_cert_file=cert, tls_key_file=key)
    try:
        found = await stack.query(preflight_query("gateway"), Nothing())
        checks = {one["id"]: one for one in found.json["checks"]}
        assert checks["tls_certificate"]["status"] == "warning"
        stack.clock.advance(days=11)
        found = await stack.query(preflight_query("gateway"), Nothing())
        checks = {one["id"]: one for one in found.json["checks"]}
        assert (checks["tls_certificate"]["status"], "is over" in checks["tls_certificate"]["message"]) == (
            "error",
            True,
        )
    finally:
        await edge.close()
