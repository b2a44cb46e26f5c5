"""A renewed certificate is taken without a start; a broken one is not, and the local stack speaks TLS end to end."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from deploy.local import LocalStack
from libs.common.edge_checks import edge_checks
from libs.common.settings import Settings
from libs.common.tls import Renewal
from tests.integration.test_headers import Echo, certified

WITHIN_S = 60.0


def renew(cert: Path, key: Path, spare: Path, days: int) -> None:
    """Put others in their place, as certbot does: the files are exchanged, not written into."""
    spare.mkdir()
    new_cert, new_key = certified(spare, datetime.now(UTC) + timedelta(days=days))
    new_cert.replace(cert)
    new_key.replace(key)


def served(port: int) -> bytes:
    """The certificate that is shown now."""
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 10) as raw, asking.wrap_socket(raw) as wire:
        shown = wire.getpeercert(binary_form=True)
    assert shown is not None
    return ssl.DER_cert_to_PEM_cert(shown).encode().strip()


async def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    cert, key = certified(tmp_path, datetime.now(UTC) + timedelta(days=30))
    settings = Settings(tls_cert_file=cert, tls_key_file=key)
    renewal = Renewal(cert, key)
    echo = Echo(tls=(cert, key))
    async with echo as port:
        context = echo.server.config.ssl
        assert context is not None
        assert not renewal.look(context)
        first = cert.read_bytes().strip()
        async with httpx2.AsyncClient(verify=ssl.create_default_context(cafile=str(cert))) as before:
            assert (await before.get(f"https://127.0.0.1:{port}/")).status_code == 200
            renew(cert, key, tmp_path / "second", 60)
            assert await asyncio.to_thread(served, port) == first
            assert renewal.look(context)
            second = cert.read_bytes().strip()
            assert await asyncio.to_thread(served, port) == second != first
            assert (await before.get(f"https://127.0.0.1:{port}/")).status_code == 200  # an open connection goes on
        cert.write_text("no certificate")
        assert not renewal.look(context)
        assert await asyncio.to_thread(served, port) == second
        found = await edge_checks(settings, datetime.now(UTC))
        assert ("tls_certificate", "error") in [(name, word) for name, word, _ in found]
        renew(cert, key, tmp_path / "third", 90)
        kept = key.read_bytes()
        key.unlink()  # a half that is not there yet
        assert not renewal.look(context)
        assert await asyncio.to_thread(served, port) == second
        key.write_bytes(kept)
        assert renewal.look(context)
        assert await asyncio.to_thread(served, port) == cert.read_bytes().strip() != second
        assert ("tls_certificate", "ok") in [
            (name, word) for name, word, _ in await edge_checks(settings, datetime.now(UTC))
        ]


@pytest.mark.whole
@pytest.mark.integration
def test_the_local_stack_speaks_tls_from_end_to_end(tmp_path: Path) -> None:
    cert, key = certified(tmp_path, datetime.now(UTC) + timedelta(days=30))
    env = {"HEADGATE_TLS_CERT_FILE": str(cert), "HEADGATE_TLS_KEY_FILE": str(key)}
    stack = LocalStack(tmp_path / "data", env=env, services=("gateway",))
    stack.start()
    try:
        stack.wait_ready()
        assert stack.gateway_url.startswith("https://")
        owner = {"Authorization": f"Bearer {stack.token}"}
        with httpx2.Client(base_url=stack.gateway_url, verify=ssl.create_default_context(cafile=str(cert))) as client:
            made = client.post("/api/sites", json={"site": "plant-1", "title": "x"}, headers=owner)
            assert (made.status_code, made.headers["Strict-Transport-Security"]) == (201, "max-age=31536000"), made.text
            opened = client.post("/api/sessions", headers=owner)
            assert opened.status_code == 201, opened.text
            assert opened.headers["Set-Cookie"].startswith("__Host-headgate-session=")
            assert "secure" in opened.headers["Set-Cookie"].lower()
            client.cookies.clear()
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(stack.gateway_url.replace("https", "http"), timeout=10)
        renew(cert, key, tmp_path / "renewed", 60)
        until, port = time.monotonic() + WITHIN_S, stack.options.http_port
        while served(port) != cert.read_bytes().strip():
            assert time.monotonic() < until, "the new certificate was not taken"
            time.sleep(0.5)
        with httpx2.Client(base_url=stack.gateway_url, verify=ssl.create_default_context(cafile=str(cert))) as client:
            assert client.get("/api/sites", headers=owner).status_code == 200
    finally:
        stack.stop()
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
