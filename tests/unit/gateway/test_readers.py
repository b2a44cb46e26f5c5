"""CloudEvents over HTTP and reports, as the readers take them apart."""

from __future__ import annotations

import base64
import gzip
import zlib
from hashlib import sha256
from typing import Any

import orjson
import pytest
from starlette.requests import Request

from libs.common.contracts.governance.reports import ReportRecord, StoredReport
from libs.common.contracts.governance.signals import SignalRecord
from libs.common.objects import Bucket
from libs.common.problems import Invalid, Refusal, TooLarge, Unavailable, UnsupportedMedia
from services.gateway import uploads
from services.gateway.readers import BATCH, STRUCTURED, read_cloudevents, read_report
from services.gateway.uploads import INLINE_BYTES, Uploads

UPLOADS = Uploads(Bucket("reports"), 2**20)  # never stored here, so the bucket needs no connection
EVENT = {"specversion": "1.0", "id": "1", "source": "/ci", "type": "tests.unit", "data": {"passed": 3}}


def raw(text: str) -> str:
    """What UTF-8 that nobody encoded looks like in a header."""
    return text.encode().decode("latin-1")


def request(body: bytes | Any, **headers: str) -> Request:
    """A request with this body (JSON if it is no bytes); `_` in a header's name stands for `-`."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    raw = [(name.replace("_", "-").lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw, "query_string": b""}, receive)


async def test_structured() -> None:
    event = EVENT | {"subject": "shop", "version": "1.2", "part": "unit", "traceparent": "x", "anything": 1}
    found = await read_cloudevents(request(event, content_type=STRUCTURED + "; charset=utf-8"))
    record = SignalRecord(**found)
    assert (record.signals[0].id, record.signals[0].version, record.signals[0].part) == ("1", "1.2", "unit")
    assert record.signals[0].data == {"passed": 3}


async def test_batch() -> None:
    found = await read_cloudevents(request([EVENT, EVENT | {"id": "2"}], content_type=BATCH))
    assert [signal.id for signal in SignalRecord(**found).signals] == ["1", "2"]
    with pytest.raises(Refusal, match=r"event 2: required attribute missing: id, type\."):
        await read_cloudevents(request([EVENT, {"specversion": "1.0", "source": "x"}], content_type=BATCH))
    with pytest.raises(Refusal, match="at least one"):
        await read_cloudevents(request([], content_type=BATCH))
    with pytest.raises(TooLarge, match="500"):
        await read_cloudevents(request([EVENT] * 501, content_type=BATCH))


async def test_binary_with_percent_encoding() -> None:
    headers = {"ce_specversion": "1.0", "ce_id": "a%20b", "ce_source": "/Euro%20%E2%82%AC", "ce_type": "tests.unit"}
    found = await read_cloudevents(
        request({"passed": 1}, content_type="application/json", ce_subject='"shop"', ce_other="x", **headers)
    )
    signal = SignalRecord(**found).signals[0]
    assert (signal.id, signal.source, signal.subject, signal.data) == ("a b", "/Euro €", "shop", {"passed": 1})
    empty = await read_cloudevents(request(b"", **headers))
    assert SignalRecord(**empty).signals[0].data is None


@pytest.mark.parametrize(
    ("event", "error", "words"),
    [
        ({}, Refusal, "specversion, id, source, type"),
        ({**EVENT, "id": ""}, Refusal, "missing: id"),
        ({**EVENT, "specversion": "0.3"}, Refusal, r"must be 1\.0"),
        ([], Refusal, "JSON object"),
        ({**EVENT, "data_base64": "e30="}, Refusal, "exclude each other"),
        ({**EVENT, "datacontenttype": "text/xml"}, UnsupportedMedia, "/api/signals/{format}"),
        ({**EVENT, "datacontenttype": 7}, UnsupportedMedia, "datacontenttype"),
    ],
)
async def test_bad_structured(event: Any, error: type[Refusal], words: str) -> None:
    with pytest.raises(error, match=words):
        await read_cloudevents(request(event, content_type=STRUCTURED))


async def test_data_in_base64() -> None:
    event = {name: value for name, value in EVENT.items() if name != "data"}
    packed = base64.b64encode(b'{"passed":2}').decode()
    found = await read_cloudevents(request(event | {"data_base64": packed}, content_type=STRUCTURED))
    assert found["signals"][0]["data"] == {"passed": 2}
    for odd in ("%%%", 5, "é", None):
        with pytest.raises(Refusal, match="base64"):
            await read_cloudevents(request(event | {"data_base64": odd}, content_type=STRUCTURED))


@pytest.mark.parametrize(
    ("headers", "error", "words"),
    [
        ({"content_type": "application/json"}, UnsupportedMedia, "This takes CloudEvents"),
        ({"content_type": "application/cloudevents+avro"}, UnsupportedMedia, "avro"),
        ({"ce_id": "1"}, Refusal, "ce-specversion, ce-source, ce-type"),
        ({"ce_id": "%FF"}, Refusal, "percent-encoded"),
        ({"ce_id": "%00"}, Invalid, "NUL"),
        ({"ce_bad_name": "1"}, Refusal, "lower-case"),
    ],
)
async def test_bad_binary(headers: dict[str, str], error: type[Refusal], words: str) -> None:
    with pytest.raises(error, match=words):
        await read_cloudevents(request(b"{}", **headers))


async def test_binary_data_must_be_json() -> None:
    headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "x", "ce_type": "y"}
    with pytest.raises(UnsupportedMedia, match="text/xml"):
        await read_cloudevents(request(b"<x/>", content_type="text/xml", **headers))


@pytest.mark.parametrize("packed", [False, True])
async def test_a_small_report_travels_in_the_command(packed: bool) -> None:
    report = b"<testsuites/>" * (INLINE_BYTES // 13)
    sent, headers = (gzip.compress(report), {"content_encoding": "gzip"}) if packed else (report, {})
    body = await read_report(request(sent, content_type="application/xml", **headers), UPLOADS)
    record = ReportRecord(format="junit", **body.fields)
    assert zlib.decompress(base64.b64decode(record.content_zlib_base64 or "")) == report
    assert record.stored is None
    # What is empty can't be read; the service keeps that as its sender's word.
    nothing = ReportRecord(format="junit", **(await read_report(request(b""), UPLOADS)).fields)
    assert (zlib.decompress(base64.b64decode(nothing.content_zlib_base64 or "")), nothing.file) == (b"", None)


@pytest.mark.parametrize("packed", [False, True])
async def test_a_large_report_travels_by_its_name(packed: bool) -> None:
    report = b"<testsuites/>" * INLINE_BYTES
    sent, headers = (gzip.compress(report), {"content_encoding": "gzip"}) if packed else (report, {})
    body = await read_report(request(sent, **headers), UPLOADS)
    assert body.upload is not None
    body.upload.close()
    record = ReportRecord(format="junit", **body.fields)
    assert record.content_zlib_base64 is None
    assert record.stored == StoredReport(sha256=sha256(report).hexdigest(), size=len(report))


async def test_of_a_report_over_the_limit_only_that_goes_on() -> None:
    for sent, headers in ((b" " * (2**20 + 1), {}), (gzip.compress(b" " * (2**20 + 1)), {"content_encoding": "gzip"})):
        named = {"content_disposition": 'attachment; filename="unit.xml"', **headers}
        body = await read_report(request(sent, **named), UPLOADS)
        assert (body.fields, body.upload) == ({"too_large": {"max_bytes": 2**20}, "file": "unit.xml"}, None)
        ReportRecord(format="junit", **body.fields)


async def test_so_many_large_bodies_arrive_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_AT_ONCE", 0)
    with pytest.raises(Unavailable):
        await read_report(request(b"<testsuites/>"), UPLOADS)
    body = await read_report(request(b"<testsuites/>", content_length="13"), UPLOADS)
    assert body.fields


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="unit.xml"', "unit.xml"),
        ("form-data; name=x; filename=it.xml", "it.xml"),
        ("attachment; filename*=UTF-8''b%C3%BCro.xml", "büro.xml"),
        (raw('attachment; filename="결제-unit.xml"'), "결제-unit.xml"),
        (raw("attachment; filename=주문.xml; x=y"), "주문.xml"),
        (raw("attachment; filename*=UTF-8''결제.xml"), "결제.xml"),
        ('attachment; filename="b\xfcro.xml"', "büro.xml"),
        ("attachment; filename*=UTF-8''%C3%83%C2%BC.xml", "Ã¼.xml"),
        ("attachment", None),
        ("filename", None),
        (";;=", None),
        (f'attachment; filename="{"x" * 500}.xml"', "x" * 500 + ".xml"),
    ],
)
async def test_a_report_may_name_its_file(disposition: str, name: str | None) -> None:
    found = await read_report(request(b"<x/>", content_disposition=disposition), UPLOADS)
    assert ReportRecord(format="junit", **found.fields).file == name


@pytest.mark.parametrize(
    "disposition",
    [
        "attachment; filename*=idna''unit.xml",
        "attachment; filename*=undefined''unit.xml",
        'attachment; filename="unit.xml"' + ";" * 60_000,
    ],
)
async def test_a_file_name_that_can_not_be_read_is_refused_and_not_left_out(disposition: str) -> None:
    with pytest.raises(Refusal, match="part or file"):
        await read_report(request(b"<x/>", content_disposition=disposition), UPLOADS)
