"""Policies that are measured, and small facts for them: a value, totals, and each part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A fact's data by its kind, and a condition that it meets.
KINDS: Mapping[str, tuple[dict[str, Any], str]] = {
    "coverage.cobertura": (
        {"line_rate_percent": 91.0, "lines_valid": 100, "lines_covered": 91},
        "derived.lowest_percent >= 80.0 && derived.lines_valid > 0",
    ),
    "ops.preflight": (
        {"overall_status": "ok", "error_count": 0, "warning_count": 0},
        "parts.all(part, part.error_count == 0)",
    ),
    "ops.security": ({"risk_level": "low", "risk_score": 3}, "fact.risk_score <= 10"),
    "ops.quality_streak": ({"current_streak_weeks": 5}, "fact.current_streak_weeks >= 2"),
    "ops.runbook": (
        {"overall_status": "ok", "critical_count": 0, "check_count": 3},
        "fact.critical_count == 0 && fact.check_count > 0",
    ),
}
HEAD = """
name: {name}
title: A gate that is measured
description: Rules of every kind
subject_mode: {mode}
allow_warnings: true
min_score_percent: 0
rules:
"""
RULE = """
  - id: rule_{number}
    title: Rule {number}
    severity: required
    weight: 1
    kind: {kind}
    scope: {scope}
    when: {when}
    observed: seen
    wanted: good
    max_age_hours: 24
"""
