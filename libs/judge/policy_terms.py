"""What a policy says beside its rules: whom it binds, how long a GO holds, and which exceptions there may be."""

from __future__ import annotations

import re
from typing import Any

from libs.judge.lines import check_pattern
from libs.judge.policy_model import (
    APPROVERS,
    ApprovalTerms,
    BaselineTerms,
    OverrideTerms,
    PolicyError,
    RetirementTerms,
    WaiverTerms,
)
from libs.judge.policy_reader import Reader

MAX_APPROVALS = 20
MAX_OVERRIDE_HOURS = 168
_TOKEN = re.compile(r"[a-z0-9-]{1,40}")


def read_terms(reader: Reader) -> dict[str, Any]:
    """The fields of a `Policy` that every policy may leave out. Raises PolicyError."""
    return {
        "valid_for_hours": reader.above_zero("valid_for_hours", 100_000),
        "line_pattern": _line_pattern(reader),
        "digest_required": _digest_required(reader),
        "subjects": reader.texts("subjects"),
        "freeze_calendars": _tokens(reader, "freeze_calendars"),
        "waivers": _waivers(reader),
        "approvals": _approvals(reader, "approvals"),
        "publish_approvals": _approvals(reader, "publish_approvals"),
        "retirements": _retirements(reader),
        "overrides": _overrides(reader),
        "exceptions_per_quarter": _budget(reader),
        "baselines": _baselines(reader),
    }


def _tokens(reader: Reader, key: str) -> tuple[str, ...]:
    names = reader.texts(key)
    wrong = next((name for name in names if _TOKEN.fullmatch(name) is None), None)
    if wrong is not None:
        line = reader.mapping.lines[key]
        raise PolicyError(f"{reader.where}: {key}: {wrong} must be 1 to 40 of the letters a-z, 0-9 and - (line {line})")
    return names


def _digest_required(reader: Reader) -> bool:
    if not reader.has("digest"):
        return False
    if reader.mapping.get("subject_mode") == "site":
        where = f"line {reader.mapping.lines['digest']}"
        raise PolicyError(f"{reader.where}: digest needs subject_mode version: a site is no artifact ({where})")
    return reader.one_of("digest", ("optional", "required")) == "required"


def _line_pattern(reader: Reader) -> str:
    if not reader.has("line_pattern"):
        return ""
    pattern, where = reader.text("line_pattern"), f"line {reader.mapping.lines['line_pattern']}"
    if reader.mapping.get("subject_mode") == "site":
        raise PolicyError(f"{reader.where}: line_pattern needs subject_mode version: a site has no versions ({where})")
    try:
        check_pattern(pattern)
    except ValueError as error:
        raise PolicyError(f"{reader.where}: line_pattern {error} ({where})") from None
    return pattern


def _waivers(reader: Reader) -> WaiverTerms:
    inner = reader.inner("waivers")
    if inner is None:
        return WaiverTerms()
    days = inner.whole("max_days", 1, 3_650, 1) if inner.has("max_days") else None
    terms = WaiverTerms(days, inner.flag("issue_required", False))
    inner.refuse_rest()
    return terms


def _overrides(reader: Reader) -> OverrideTerms:
    inner = reader.inner("overrides")
    if inner is None:
        return OverrideTerms()
    hours = inner.above_zero("max_hours", MAX_OVERRIDE_HOURS)
    terms = OverrideTerms(inner.flag("allowed", True), hours or 24, inner.flag("issue_required", True))
    inner.refuse_rest()
    return terms


def _budget(reader: Reader) -> int | None:
    key = "exceptions_per_quarter"
    return int(reader.whole(key, 0, 10_000, 0)) if reader.has(key) else None


def _approvals(reader: Reader, key: str) -> tuple[ApprovalTerms, ...]:
    inner = reader.inner(key)
    if inner is None:
        return ()
    count = int(inner.whole("count", 1, MAX_APPROVALS, 1))
    roles, groups = _tokens(inner, "roles"), _tokens(inner, "groups")
    named = {"groups": groups} if groups and not roles else {"roles": roles or APPROVERS, "groups": groups}
    terms = ApprovalTerms(count, **named, max_age_hours=inner.above_zero("max_age_hours", 100_000))
    inner.refuse_rest()
    return (terms,)


def _baselines(reader: Reader) -> BaselineTerms:
    inner = reader.inner("baselines")
    if inner is None:
        return BaselineTerms()
    days = inner.whole("max_days", 1, 3_650, 1) if inner.has("max_days") else None
    terms = BaselineTerms(days, inner.flag("issue_required", False))
    inner.refuse_rest()
    return terms


def _retirements(reader: Reader) -> RetirementTerms:
    inner = reader.inner("retirements")
    if inner is None:
        return RetirementTerms()
    terms = RetirementTerms(inner.flag("two_persons", False))
    inner.refuse_rest()
    return terms
