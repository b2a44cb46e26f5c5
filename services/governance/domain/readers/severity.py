"""How severe a vulnerability is, by one table for every tool.

Of a scanner that weighs its sources itself (Trivy, Grype, npm) the word counts, and where it has none the score; where
several ratings stand side by side the worst counts.

A CVSS score of 9 and more is critical, 7 high, 4 medium, above 0 low (the bands of CVSS 3 and 4, used for version 2,
too). A vector of version 3 is computed where no score stands beside it. Words of tools and distributions are mapped; a
word that nobody knows, or none, counts as high: what was not rated was not found harmless.

What is known to be exploited is critical whatever its score says. A probability of 0.5 and more that it will be within
30 days (EPSS) makes it high at least.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

from libs.judge.report_base import JSON

SEVERITIES = ("critical", "high", "medium", "low", "none")
SEVERE = ("critical", "high")
_WORDS = {
    "critical": "critical",
    "high": "high",
    "important": "high",  # Red Hat
    "serious": "high",
    "medium": "medium",
    "moderate": "medium",
    "low": "low",
    "minor": "low",
    "negligible": "low",
    "info": "none",
    "informational": "none",
    "none": "none",
}
_BANDS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"))
LIKELY = 0.5  # an EPSS from which on a finding is high at least
_AV = {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}
_AC = {"L": 0.77, "H": 0.44}
_UI = {"N": 0.85, "R": 0.62}
_PR = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_CIA = {"H": 0.56, "L": 0.22, "N": 0.0}


def word_severity(word: JSON) -> str | None:
    """The severity that a tool's word means, None for no word and one that is unknown."""
    return _WORDS.get(word.strip().lower()) if isinstance(word, str) else None


def score_severity(score: float) -> str:
    """The severity of a CVSS score of 0 to 10."""
    return next((word for least, word in _BANDS if score >= least), "low" if score > 0 else "none")


def as_score(value: JSON) -> float | None:
    """A CVSS score, None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        score = float(value)
    except (ValueError, OverflowError):
        return None
    return score if math.isfinite(score) and 0 <= score <= 10 else None


def as_fraction(value: JSON) -> float | None:
    """A probability of 0 to 1, such as EPSS, None for what is none."""
    score = as_score(value)
    return score if score is not None and score <= 1 else None


def vector_score(vector: JSON) -> float | None:
    """The base score of a CVSS 3.0 or 3.1 vector, None for any other text."""
    if not isinstance(vector, str) or not vector.startswith(("CVSS:3.0/", "CVSS:3.1/")) or len(vector) > 300:
        return None
    metrics = dict(pair.partition(":")[::2] for pair in vector.split("/")[1:])
    try:
        return _base_score(metrics)
    except KeyError:
        return None


def _base_score(metrics: Mapping[str, str]) -> float:
    """https://www.first.org/cvss/v3.1/specification-document, section 7.1. Raises KeyError for a missing metric."""
    scope = metrics["S"]
    missed = (1 - _CIA[metrics["C"]]) * (1 - _CIA[metrics["I"]]) * (1 - _CIA[metrics["A"]])
    base = 1 - missed
    changed = scope == "C"
    impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 if changed else 6.42 * base
    ease = 8.22 * _AV[metrics["AV"]] * _AC[metrics["AC"]] * _PR[scope][metrics["PR"]] * _UI[metrics["UI"]]
    if impact <= 0:
        return 0.0
    tenths = round(min((1.08 if changed else 1) * (impact + ease), 10) * 100_000)
    return tenths / 100_000 if tenths % 10_000 == 0 else (tenths // 10_000 + 1) / 10


def worst(severities: Sequence[str | None]) -> str:
    """The worst of what is told, ``high`` if nothing is."""
    told = [one for one in severities if one is not None]
    return min(told, key=SEVERITIES.index) if told else "high"


def rated_severity(severities: Sequence[str | None], epss: float | None, exploited: bool) -> str:
    """The severity of a finding with all that is told of it."""
    if exploited:
        return "critical"
    told = worst(severities)
    return min((told, "high"), key=SEVERITIES.index) if epss is not None and epss >= LIKELY else told
