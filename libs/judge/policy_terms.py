"""What a policy says beside its rules: whom it binds, how long a GO holds, and which exceptions there may be."""

from __future__ import annotations

import re
from typing import Any

from libs.judge.policy_model import ApprovalTerms, OverrideTerms, PolicyError, WaiverTerms
from libs.judge.policy_reader import Reader

MAX_PATTERN_CHARS = 200
MAX_REPEATS = 3  # each may look at a whole version again: more of them could think for seconds
_TOKEN = re.compile(r"[a-z0-9-]{1,40}")
_ESCAPES_AND_CLASSES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
_REPEATED_GROUP = re.compile(r"\)[*+{]")


def read_terms(reader: Reader) -> dict[str, Any]:
    """The fields of a `Policy` that every policy may leave out. Raises PolicyError."""
    return {
        "valid_for_hours": reader.above_zero("valid_for_hours", 100_000),
        "stale_after_hours": reader.above_zero("stale_after_hours", 100_000),
        "line_pattern": _line_pattern(reader),
        "tier": _tier(reader),
        "subjects": reader.texts("subjects"),
        "approvals": _approvals(reader),
        "freeze_calendars": _tokens(reader, "freeze_calendars"),
        "waivers": _waivers(reader),
        "overrides": _overrides(reader),
        "exceptions_per_quarter": (
            reader.whole("exceptions_per_quarter", 0, 10_000, 0) if reader.has("exceptions_per_quarter") else None
        ),
    }


def _line_pattern(reader: Reader) -> str:
    """An expression that can't run away: what repeats holds no other repetition, and there are few of them."""
    pattern = reader.text("line_pattern", "")
    if not pattern:
        return ""
    where = f"{reader.where}: line_pattern"
    line = reader.mapping.lines["line_pattern"]
    try:
        groups = re.compile(pattern).groups if len(pattern) <= MAX_PATTERN_CHARS else 0
    except (re.error, OverflowError, RecursionError) as error:
        raise PolicyError(f"{where} is no regular expression: {error} (line {line})") from None
    bare = _ESCAPES_AND_CLASSES.sub("x", pattern)
    special = bare.replace("(?:", "").count("(?")
    repeats = sum(bare.count(sign) for sign in "*+{")
    refers = re.search(r"\\[0-9]", pattern)
    if groups != 1 or special or refers or repeats > MAX_REPEATS or _REPEATED_GROUP.search(bare):
        raise PolicyError(
            f"{where} must have one group, at most {MAX_REPEATS} of * + and {{}}, none of them behind a bracket, "
            f"and at most {MAX_PATTERN_CHARS} letters, such as ^([0-9]+[.][0-9]+) (line {line})"
        )
    return pattern


def _tier(reader: Reader) -> str:
    tier = reader.text("tier", "")
    if tier and _TOKEN.fullmatch(tier) is None:
        raise PolicyError(
            f"{reader.where}: tier must be 1 to 40 of the letters a-z, 0-9 and - (line {reader.mapping.lines['tier']})"
        )
    return tier


def _tokens(reader: Reader, key: str) -> tuple[str, ...]:
    names = reader.texts(key)
    wrong = next((name for name in names if _TOKEN.fullmatch(name) is None), None)
    if wrong is not None:
        line = reader.mapping.lines[key]
        raise PolicyError(f"{reader.where}: {key}: {wrong} must be 1 to 40 of the letters a-z, 0-9 and - (line {line})")
    return names


def _approvals(reader: Reader) -> ApprovalTerms | None:
    inner = reader.inner("approvals")
    if inner is None:
        return None
    if not inner.has("count"):
        inner.number("count", 1, 20)  # says that it is missing
    terms = ApprovalTerms(inner.whole("count", 1, 20, 1), _tokens(inner, "roles"), _tokens(inner, "groups"))
    inner.refuse_rest()
    return terms


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
    terms = OverrideTerms(inner.flag("issue_required", False))
    inner.refuse_rest()
    return terms
