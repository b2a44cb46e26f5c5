"""Bodies at the edge: packed ones, large ones, and clients that say so before they send."""

from __future__ import annotations

import asyncio
import gzip
import urllib.error
import urllib.request
import zlib
from collections.abc import AsyncIterator, Callable

import orjson
import pytest
import pytest_asyncio

from services.gateway.bodies import MAX_BODY_BYTES
from tests.http_edge import OWNER, Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
MIB = 1024 * 1024


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge alone: its own operations are answered by its own loop."""
    edge = await Http(stack).open()
    yield edge
    await edge.close()


def site(name: str, title: str = "x") -> bytes:
    """A body that makes a site."""
    return orjson.dumps({"site": name, "title": title})


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity", "GZIP"])
async def test_a_packed_body_is_read(http: Http, coding: str) -> None:
    packed: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}
    pack = packed[coding.lower()]
    name = f"packed-{coding.lower()}"
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = await http.client.post("/api/sites", content=pack(site(name)), headers=headers)
    assert (answer.status_code, answer.json()["site"]) == (201, name)


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "compress", "gzip,", "x" * 200])
async def test_another_coding_is_refused_and_told_which_are_read(http: Http, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = await http.client.post("/api/sites", content=site("coded"), headers=headers)
    assert answer.status_code == 415, answer.text
    assert answer.headers["Accept-Encoding"] == "gzip, deflate, zstd"
    assert "gzip, deflate, zstd" in answer.json()["detail"]


async def test_two_content_encodings_are_several_codings(http: Http) -> None:
    pairs = [("Content-Type", "application/json"), ("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")]
    answer = await http.client.post("/api/sites", content=gzip.compress(site("twice")), headers=pairs)
    assert answer.status_code == 415


async def test_broken_gzip_is_a_sentence(http: Http) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    for body in (site("not-packed"), gzip.compress(site("cut"))[:-4]):
        answer = await http.client.post("/api/sites", content=body, headers=headers)
        assert answer.status_code == 400, answer.text
        assert "Content-Encoding gzip" in answer.json()["detail"]


async def test_a_small_body_that_unpacks_to_too_much_is_refused(http: Http) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    fits = gzip.compress(site("fits").ljust(MAX_BODY_BYTES))
    assert (await http.client.post("/api/sites", content=fits, headers=headers)).status_code == 201
    answer = await http.client.post("/api/sites", content=gzip.compress(bytes(200 * MIB)), headers=headers)
    assert (answer.status_code, answer.json()["max_bytes"]) == (413, MAX_BODY_BYTES)
    assert "unpacked" in answer.json()["detail"]


async def test_a_client_that_reads_only_after_sending_gets_the_413(http: Http) -> None:
    def send() -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {OWNER}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{http.url}/api/sites", b" " * (90 * MIB), headers, method="POST")
        with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=30):
            raise AssertionError("taken")
        with refused.value as answer:
            return answer.code, answer.read()

    status, body = await asyncio.to_thread(send)
    assert status == 413
    assert orjson.loads(body)["max_bytes"] == MAX_BODY_BYTES


@pytest.mark.parametrize("coding", ["", "Content-Encoding: gzip\r\n"])
async def test_a_client_that_asks_first_is_refused_before_it_sends(http: Http, coding: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(http.url.rpartition(":")[2]))
    writer.write(
        f"POST /api/sites HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OWNER}\r\nExpect: 100-continue\r\n"
        f"Content-Length: {90 * MIB}\r\n{coding}\r\n".encode()
    )
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_client_that_asks_first_and_may_is_told_to_send(http: Http) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(http.url.rpartition(":")[2]))
    body = site("asked-first")
    writer.write(
        f"POST /api/sites HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OWNER}\r\nExpect: 100-continue\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 100 ")
    await reader.readline()
    writer.write(body)
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 201 ")
    writer.close()
