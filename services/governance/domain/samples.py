"""Answers of Prometheus to instant queries: one finite number, or a sentence that says why there is none.

Format: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from libs.judge.report_base import clean_text

MAX_LABELS = 20
MAX_LABEL_CHARS = 100


class NoNumber(ValueError):
    """The answer holds no number that could be judged; the message is a sentence that says why."""

    def __init__(self, why: str) -> None:
        self.why = clean_text(why, 400)
        super().__init__(self.why)


@dataclass(frozen=True, slots=True)
class Sample:
    """``labels`` are ``name=value``, sorted."""

    value: float
    labels: tuple[str, ...] = ()


def read_sample(content: bytes) -> Sample:
    """The one number of an answer. Raises `NoNumber`; what Prometheus itself complains of is in the sentence."""
    body = _object(content)
    if body.get("status") != "success":
        said = body.get("error")
        raise NoNumber(
            f"Prometheus refuses the query: {said if isinstance(said, str) and said else 'it says no more'}."
        )
    warnings = body.get("warnings")
    if warnings:
        # Such as a part of the data that could not be reached: a number over the rest proves nothing.
        first = warnings[0] if isinstance(warnings, list) and isinstance(warnings[0], str) else "it does not say why"
        raise NoNumber(f"Prometheus warns of its own answer: {first}.")
    data = body.get("data")
    result = data.get("result") if isinstance(data, Mapping) else None
    kind = data.get("resultType") if isinstance(data, Mapping) else None
    if kind == "scalar":
        return Sample(_number(result))
    if kind != "vector" or not isinstance(result, list):
        raise NoNumber(f"The query gives {_kind_words(kind)}; wanted one number.")
    if len(result) != 1:
        how = "no series" if not result else f"{len(result)} series"
        what = "; is the metric still there?" if not result else "; add them up, such as with max() or sum()."
        raise NoNumber(f"The query gives {how}, wanted 1{what}")
    (series,) = result
    if not isinstance(series, Mapping) or "value" not in series:
        raise NoNumber("The query gives a series without a plain value, such as a histogram; wanted one number.")
    return Sample(_number(series["value"]), _labels(series.get("metric")))


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise NoNumber("What answers is no Prometheus: the answer is not JSON.") from None
    if not isinstance(body, dict):
        raise NoNumber("What answers is no Prometheus: the answer is no JSON object.")
    return body


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


def _number(pair: object) -> float:
    """The number of ``[time, "text"]``, as Prometheus writes it."""
    text = pair[1] if isinstance(pair, list) and len(pair) == 2 else None
    if not isinstance(text, str) or len(text) > 40 or text.strip() != text or "_" in text:
        raise NoNumber("The answer's value is no number.")
    try:
        value = float(text)
    except ValueError:
        raise NoNumber(f"The answer's value is no number: {text[:40]}.") from None
    if not math.isfinite(value):
        raise NoNumber(f"The value is {text}, which is no number to compare with; is something divided by zero?")
    return value


def _labels(metric: object) -> tuple[str, ...]:
    found = metric.items() if isinstance(metric, Mapping) else ()
    words = (f"{name}={value}" for name, value in found if isinstance(value, str))
    return tuple(sorted(clean_text(word, MAX_LABEL_CHARS) for word in words))[:MAX_LABELS]


def _kind_words(kind: object) -> str:
    return f"a {kind}" if kind in ("matrix", "string", "vector") else "something unknown"
