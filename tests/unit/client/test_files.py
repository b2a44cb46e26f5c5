"""Files that the tool sends and fetches: packed, sent again whole, checked before they are written."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import pytest

from libs.client import packing
from libs.client.errors import BadAnswer, Unreachable, UsageProblem
from libs.client.http import Client
from libs.client.packing import PackedFile
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import Asked, FakeGateway, Says, refusal

REPORT = b"<testsuites>" + b"<testsuite/>" * 200_000 + b"</testsuites>"
RECEIPTS = {"count": 0, "recorded": 0, "items": []}
NOISE = random.Random(3).randbytes(3_000_000)


def file_answer(content: bytes, digest: str | None = None) -> Says:
    """A file as the gateway sends it."""
    etag = digest or hashlib.sha256(content).hexdigest()
    headers = {
        "Content-Type": "application/xml",
        "ETag": f'"{etag}"',
        "Content-Disposition": 'attachment; filename="junit-7.xml"',
    }
    return Says(content, 200, headers)


def test_a_report_is_sent_packed(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "big.xml"
    file.write_bytes(REPORT)
    gateway.on("POST /api/signals/junit", Says(RECEIPTS, 201))
    assert tool("report", "send", "junit", str(file)).exit_code == 0
    asked = gateway.asked[0]
    assert asked.body == REPORT
    assert asked.headers["content-encoding"] == "gzip"
    assert int(asked.headers["content-length"]) < len(REPORT) / 50
    assert "transfer-encoding" not in asked.headers


def test_a_report_is_sent_again_whole(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "big.bin"
    file.write_bytes(NOISE)
    gateway.on("POST /api/signals/junit", refusal(503, "later"), Says(RECEIPTS, 201))
    assert tool("report", "send", "junit", str(file)).exit_code == 0
    assert [asked.body for asked in gateway.asked] == [NOISE, NOISE]
    keys = {asked.headers["idempotency-key"] for asked in gateway.asked}
    assert len(keys) == 1


@pytest.mark.parametrize(("status", "words"), [(413, "at the most"), (415, "gzip, deflate")])
def test_a_refusal_of_the_body_is_a_sentence(
    gateway: FakeGateway, tool: Tool, tmp_path: Path, status: int, words: str
) -> None:
    file = tmp_path / "unit.xml"
    file.write_bytes(REPORT)
    gateway.on("POST /api/signals/junit", refusal(status, f"told: {words}"))
    result = tool("report", "send", "junit", str(file))
    assert result.exit_code == 1
    assert f"told: {words}" in result.stderr


def test_a_file_larger_than_any_gateway_takes_is_not_sent(
    gateway: FakeGateway, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MAX_REPORT_BYTES", 1024 * 1024)
    file = tmp_path / "big.xml"
    file.write_bytes(REPORT)
    result = tool("report", "send", "junit", str(file))
    assert result.exit_code == 2
    assert "larger than 1 MiB" in result.stderr
    assert gateway.asked == []


def test_a_packed_file_tells_how_much_is_sent() -> None:
    told: list[int] = []
    packed = PackedFile.of(io.BytesIO(NOISE), "noise")
    packed.told = told.append
    for _ in range(2):
        assert sum(map(len, packed)) == packed.packed_size
    assert told[-1] == packed.packed_size
    assert told == sorted(told[: len(told) // 2]) * 2
    packed.close()


def test_a_report_is_fetched(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    gateway.on("GET /api/signals/7/report", file_answer(NOISE))
    target = tmp_path / "fetched.xml"
    result = tool("report", "get", "7", "--output", str(target))
    assert (result.exit_code, target.read_bytes()) == (0, NOISE)
    assert "junit-7.xml" in result.stdout
    gateway.on("GET /api/signals/7/report", file_answer(b"<testsuites/>"))
    result = tool("report", "get", "7")
    assert (result.exit_code, result.stdout) == (0, "<testsuites/>")


def test_a_report_that_is_not_what_was_said_is_not_written(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    gateway.on("GET /api/signals/7/report", file_answer(b"<testsuites/>", "0" * 64))
    target = tmp_path / "fetched.xml"
    result = tool("report", "get", "7", "-o", str(target))
    assert result.exit_code == 2
    assert "not what it said" in result.stderr
    assert not target.exists()


def test_a_report_that_is_gone_is_a_sentence(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    gateway.on("GET /api/signals/7/report", refusal(404, "It was removed on 2026-01-01."))
    result = tool("report", "get", "7", "-o", str(tmp_path / "x"))
    assert result.exit_code == 1
    assert "removed on" in result.stderr


def test_a_folder_that_is_not_there_is_a_sentence(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    gateway.on("GET /api/signals/7/report", file_answer(b"<testsuites/>"))
    result = tool("report", "get", "7", "-o", str(tmp_path / "none" / "x"))
    assert result.exit_code == 2
    assert "can't be written" in result.stderr


def test_a_broken_connection_is_an_error(gateway: FakeGateway) -> None:
    def cut(_: Asked) -> Says:
        answer = file_answer(b"<tests")
        return Says(answer.body, 200, {**answer.headers, "Content-Length": "100"})

    gateway.on("GET /api/signals/7/report", cut)
    with Client(gateway.url, "hg_x", timeout_s=2) as client, pytest.raises((BadAnswer, Unreachable)):
        client.download("governance.reports.get", io.BytesIO(), signal_id=7)


def test_what_can_not_be_read_is_not_packed() -> None:
    with pytest.raises(UsageProblem, match="can't be read"):
        packing.pack_input("/nowhere/at/all")
