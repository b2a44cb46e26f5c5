"""Answers of Prometheus: one finite number passes, and nothing else is one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from libs.common.runtime import StartError
from libs.common.settings import Settings
from libs.judge.facts import Fact
from libs.judge.kinds import check_data
from libs.judge.pipelines import of_samples
from services.governance.domain.samples import NoNumber, Sample, read_sample
from services.governance.inputs.prometheus import read_prometheus
from tests.unit.governance.samples import NOW


def vector(*values: Any, **more: Any) -> bytes:
    """An answer with a series for each value."""
    result = [{"metric": {"job": f"j{n}"}, "value": [1772366400, value]} for n, value in enumerate(values)]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more}).encode()


def scalar(value: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [1, value]}}).encode()


def test_one_number_is_read() -> None:
    assert read_sample(vector("0.25")) == Sample(0.25, ("job=j0",))
    assert read_sample(scalar("-1e3")) == Sample(-1000.0)
    assert read_sample(vector("1", infos=["a hint"])).value == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (vector(), "no series"),
        (vector("1", "2"), "2 series"),
        (vector("NaN"), "NaN"),
        (vector("+Inf"), r"\+Inf"),
        (scalar("-Inf"), "-Inf"),
        (vector("1e999"), "1e999"),
        (vector("1", warnings=["one store is away"]), "one store is away"),
        (vector("1", warnings={"odd": 1}), "warns"),
        (vector("1", status="error", error="parse error: unexpected end"), "unexpected end"),
        (vector("1", status="SUCCESS"), "refuses"),
        (json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}).encode(), "a matrix"),
        (json.dumps({"status": "success", "data": {"resultType": "string", "result": [1, "1"]}}).encode(), "a string"),
        (json.dumps({"status": "success"}).encode(), "something unknown"),
        (vector("1").replace(b'"value"', b'"histogram"'), "histogram"),
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"status": NaN}', "not JSON"),
        (b"[]", "no JSON object"),
    ],
)
def test_what_is_no_number_says_why(answer: bytes, why: str) -> None:
    with pytest.raises(NoNumber, match=why):
        read_sample(answer)


@pytest.mark.parametrize("odd", [1, 0.5, None, True, "", " 1", "1_0", "0x10", "one", [], {}, "9" * 50])
def test_odd_values_are_no_number(odd: Any) -> None:
    with pytest.raises(NoNumber):
        read_sample(scalar(odd))


@given(st.binary(max_size=200) | st.from_regex(rb'\{"status":"success","data":.{0,40}\}'))
def test_any_bytes_give_a_number_or_a_sentence(content: bytes) -> None:
    try:
        assert isinstance(read_sample(content).value, float)
    except NoNumber:
        return


def test_a_rule_sees_each_number_under_its_name() -> None:
    facts = [
        Fact("metric.sample", name, 1, "/x", "1", NOW, {"name": name, "value": value, "unit": ""})
        for name, value in (("burn", 0.5), ("errors", 3))
    ]
    assert all(check_data(fact.kind, fact.data) == [] for fact in facts)
    assert of_samples(facts, (), {}) == {"values": {"burn": 0.5, "errors": 3.0}}


@pytest.mark.parametrize(
    "url",
    ["prom:9090", "file:///etc/passwd", "http://", "http://u:pw@x/?query=1", "http://x/#a", "http://x:port"],
)
def test_an_address_that_is_none_stops_the_start_and_is_not_shown(url: str) -> None:
    with pytest.raises(StartError) as stopped:
        read_prometheus(Settings(prometheus_url=SecretStr(url)))
    assert "HEADGATE_PROMETHEUS_URL" in str(stopped.value)
    assert url == "http://" or url not in str(stopped.value)
    assert read_prometheus(
        Settings(prometheus_url=SecretStr("https://user:secret@prometheus.example/base"))
    ).may_be_asked
    assert not read_prometheus(Settings()).may_be_asked
