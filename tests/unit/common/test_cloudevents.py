"""The CloudEvents codec, held against the official SDK."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.http import HTTPMessage  # the SDK's own reader
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as SdkEvent
from hypothesis import given
from hypothesis import strategies as st

from libs.common.cloudevents import CloudEvent, DecodeError, decode, header_text, parse_time

WHEN = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)


def event(**changed: object) -> CloudEvent:
    values: dict[str, object] = {
        "id": "01a1fbbb-89e7-78b2-af93-eb949575d519",
        "source": "/headgate/governance",
        "type": "headgate.governance.gate.decided.v1",
        "subject": "operations",
        "time": WHEN,
        "site": "plant-7",
        "actor": "ann",
        "causationid": "c",
        "data": {"n": 1, "text": "é"},
    }
    return CloudEvent(**{**values, **changed})  # type: ignore[arg-type]


def test_what_we_write_the_official_sdk_reads() -> None:
    read = JSONFormat().read(SdkEvent, event().encode())
    assert read.get_id() == "01a1fbbb-89e7-78b2-af93-eb949575d519"
    assert read.get_type() == "headgate.governance.gate.decided.v1"
    assert read.get_source() == "/headgate/governance"
    assert read.get_time() == WHEN
    assert read.get_extension("site") == "plant-7"
    assert read.get_data() == {"n": 1, "text": "é"}
    assert HTTPMessage is not None


def test_what_the_official_sdk_writes_we_read() -> None:
    attributes = {
        "specversion": "1.0",
        "id": "a",
        "source": "/x",
        "type": "t",
        "time": WHEN,
        "datacontenttype": "application/json",
        "site": "plant-7",
    }
    read = decode(JSONFormat().write(SdkEvent(attributes, {"k": [1]})))
    assert (read.id, read.source, read.type, read.time, read.site, read.data) == (
        "a", "/x", "t", WHEN, "plant-7", {"k": [1]},
    )  # fmt: skip


def test_a_round_trip_changes_nothing() -> None:
    assert decode(event().encode()) == event()


def test_ready_made_data_are_put_in_as_they_are() -> None:
    assert json.loads(event().encode(b'{"x":1.50}'))["data"] == {"x": 1.5}
    assert b'"x":1.50' in event().encode(b'{"x":1.50}')


def test_binary_mode() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "a", "ce-source": "/x%20y", "ce-type": "t", "ce-site": "plant-7"}
    read = decode(b'{"k":1}', headers)
    assert (read.source, read.site, read.data) == ("/x y", "plant-7", {"k": 1})


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "JSON object"),
        (b"{}", "specversion, id, source, type"),
        (b'{"specversion":"1.0","id":"a","source":"s"}', "missing: type"),
        (b'{"specversion":"0.3","id":"a","source":"s","type":"t"}', "specversion"),
        (b'{"specversion":"1.0","id":7,"source":"s","type":"t"}', "id must be a string"),
        (b'{"specversion":"1.0","id":"a","source":"s","type":"t","time":"yesterday"}', "RFC 3339"),
        (b'{"specversion":"1.0","id":"a","source":"s","type":"t","time":"2026-03-01T09:00:00"}', "zone"),
        (b'{"specversion":"1.0","id":"a","source":"s","type":"t","time":"0001-01-01T00:00:00+14:00"}', "1970"),
        (b'{"specversion":"1.0","id":"a","source":"s","type":"t","site":{"a":1}}', "site must be a string"),
    ],
)
def test_bad_envelopes_say_what_is_wrong(payload: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(payload)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode(payload)


def test_time_is_utc() -> None:
    assert parse_time("2026-03-01T18:00:00+09:00") == datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),  # the example of the binding
        (b"release%2f2026", "release/2026"),
        (b'"a b"', "a b"),
        (b'"a \\"b\\" %22c%22"', 'a "b" "c"'),
        (b"%22a%22", '"a"'),  # unquoting comes first, so this is no quoted string
        (b"%2541", "%41"),  # one round only
        (b'"a', '"a'),
        (b'a"b"', 'a"b"'),
        (b'"', '"'),
        (b'"a\\"', '"a\\"'),  # the closing quote is escaped, so nothing is quoted
        (b"100%", "100%"),
        (b"%zz%4", "%zz%4"),
        ("naïve €".encode(), "naïve €"),
    ],
)
def test_a_header_is_unquoted_and_decoded_once(header: bytes, text: str) -> None:
    assert header_text(header) == text


@pytest.mark.parametrize("header", [b"%C0%A0", b"%FF", b"%ED%A0%80", b"\xe9", b"%E2%82"])
def test_a_header_that_is_no_utf8_is_refused(header: bytes) -> None:
    with pytest.raises(DecodeError, match="UTF-8"):
        header_text(header)
    with pytest.raises(DecodeError, match="ce-subject: not percent-encoded UTF-8"):
        decode(b"", {"ce-specversion": "1.0", "ce-subject": header.decode("utf-8", "surrogateescape")})


@given(st.text(st.characters(codec="utf-8")))
def test_what_the_binding_encodes_is_read_back(text: str) -> None:
    encoded = "".join(
        "".join(f"%{byte:02X}" for byte in sign.encode()) if sign in ' "%' or not "!" <= sign <= "~" else sign
        for sign in text
    )
    assert header_text(encoded.encode("ascii")) == text
