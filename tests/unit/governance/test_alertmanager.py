"""Alertmanager webhook bodies, version 4."""

from __future__ import annotations

import json
from typing import Any

import pytest

from libs.judge.kinds import check_data
from services.governance.domain.readers.alertmanager import group_part
from services.governance.domain.readers.reports import BadReport, parse_report
from tests.unit.governance.samples import webhook

REAL = {
    "receiver": "headgate",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "DiskFull", "instance": "a:9100", "severity": "Critical"},
            "annotations": {"summary": "full"},
            "startsAt": "2026-03-01T10:00:00.123Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus/graph",
            "fingerprint": "c1c2",
        },
        {"status": "resolved", "labels": {}, "startsAt": "2026-03-01T09:00:00Z", "endsAt": "2026-03-01T09:30:00Z"},
    ],
    "groupLabels": {"alertname": "DiskFull"},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager",
    "version": "4",
    "groupKey": '{}:{alertname="DiskFull"}',
    "truncatedAlerts": 0,
}


def test_a_real_body() -> None:
    (signal,) = parse_report("alertmanager", json.dumps(REAL).encode())
    assert (signal.kind, signal.part) == ("alert.alertmanager", group_part('{}:{alertname="DiskFull"}'))
    assert check_data(signal.kind, signal.data) == []
    assert signal.data == {
        "group_key": '{}:{alertname="DiskFull"}',
        "status": "firing",
        "receiver": "headgate",
        "truncated_alerts": 0,
        "watchdog": False,
        "summary": "2 alerts: 1 firing, 1 resolved",
        "notes": [],
        "incomplete": [],
        "alerts": [
            {
                "name": "DiskFull",
                "status": "firing",
                "severity": "critical",
                "fingerprint": "c1c2",
                "starts_at": "2026-03-01T10:00:00.123Z",
                "ends_at": "0001-01-01T00:00:00Z",
            },
            {
                "name": "(unnamed)",
                "status": "resolved",
                "severity": "none",
                "fingerprint": "",
                "starts_at": "2026-03-01T09:00:00Z",
                "ends_at": "2026-03-01T09:30:00Z",
            },
        ],
    }


@pytest.mark.parametrize(("status", "alive"), [("firing", True), ("resolved", False)])
def test_only_a_firing_watchdog_is_a_heartbeat(status: str, alive: bool) -> None:
    (signal,) = parse_report("alertmanager", webhook("g", ("Watchdog", status, "none")))
    assert signal.data["watchdog"] is alive


def without(key: str) -> bytes:
    return json.dumps({name: value for name, value in REAL.items() if name != key}).encode()


def changed(**values: Any) -> bytes:
    return json.dumps({**REAL, **values}).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"[]", "is not a JSON object"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'{"a": NaN}', "NaN, which is not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number that can't be read"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested more than 64"),
        (b"[" * 200_000, "nested more than 64"),
        (b"[" + b"1," * 2_100_000 + b"1]", "more than 2000000 values"),
        (without("version"), "version 'None'"),
        (changed(version="3"), '"4" is read'),
        (without("groupKey"), "no groupKey"),
        (without("status"), "no status"),
        (without("alerts"), "no alerts"),
        (changed(alerts={}), "alerts is not a list"),
        (changed(alerts=["x"]), "alerts[0] is not an object"),
        (changed(alerts=[{"status": "maybe"}]), "alerts[0] has no status"),
        (changed(alerts=[{"status": "firing", "labels": {"alertname": 7}}]), "alertname is not text"),
        (changed(alerts=[]), "none of its alerts is"),
        (changed(alerts=[{"status": "resolved"}] * 5_001), "at most 5000"),
        (changed(truncatedAlerts=-1), "truncatedAlerts is not"),
        (changed(truncatedAlerts=True), "truncatedAlerts is not"),
        (changed(truncatedAlerts=2**64), "truncatedAlerts is not"),
    ],
)
def test_bad_bodies_say_what_is_wrong(content: bytes, words: str) -> None:
    with pytest.raises(BadReport) as raised:
        parse_report("alertmanager", content)
    assert words in raised.value.message


def test_letters_that_no_database_holds_are_replaced() -> None:
    (signal,) = parse_report("alertmanager", changed(receiver="a\x00b\ud800", groupKey="k\ud800"))
    assert signal.data["receiver"] == "a\ufffdb\ufffd"
    assert signal.data["group_key"] == "k\ufffd"
