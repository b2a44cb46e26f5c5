"""Overrides of a policy by the environment, such as ``GOVERNANCE_GATE_DAILY_CHECK_MAX_AGE_HOURS=48``.

Which values may be set stands in the policy file (``settings``). Numbers are clamped; anything else that doesn't fit
is an error, so that a typing mistake never opens a gate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from libs.judge.policy_model import Policy, PolicyError, Rule, Setting

MAX_NUMBER = 1_000_000.0  # keeps ages within what dates can hold
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")
_OF_POLICY = {  # a target's names, new and old, and the field
    "allow_warnings": "allow_warning",
    "allow_warning": "allow_warning",
    "min_score_percent": "min_weighted_score_percent",
    "min_weighted_score_percent": "min_weighted_score_percent",
}
_RULE_TARGETS = ("required", "weight", "max_age_minutes", "max_age_hours", "max_age_days")


def apply_overrides(policy: Policy, overrides: Mapping[str, str]) -> Policy:
    """``policy`` with the values of ``overrides`` (suffix to text, as in the environment) set and clamped.

    Its digest covers them, so a stored verdict says which policy it used. Raises PolicyError for an unknown suffix
    or a value that is not of the setting's type.
    """
    known = {setting.suffix: setting for setting in policy.settings}
    changed: dict[str, Any] = {}
    for suffix in sorted(overrides):
        setting = known.get(suffix)
        if setting is None:
            raise PolicyError(f"{policy.file}: no setting {suffix[:80]}; known are {', '.join(known) or 'none'}")
        before = read_setting(policy, setting)
        value = _convert(overrides[suffix], before, setting, f"{policy.file}: setting {suffix}")
        if value != before:
            policy = _write(policy, setting, value)
            changed[suffix] = value
    if not changed:
        return policy
    digest = sha256(f"{policy.digest}\n{json.dumps(changed, sort_keys=True)}".encode()).hexdigest()
    return replace(policy, digest=digest, overridden=changed)


def settings_view(policy: Policy) -> dict[str, Any]:
    """The settings in force by their public names, in the order of the file (the ``policy`` object of answers)."""
    return {setting.name: read_setting(policy, setting) for setting in policy.settings}


def check_setting(policy: Policy, setting: Setting) -> None:
    """Raise PolicyError if the setting's target doesn't exist or holds a value that the setting wouldn't allow."""
    where = f"{policy.file}: setting {setting.suffix}"
    value = read_setting(policy, setting)
    if value is None:
        raise PolicyError(f"{where}: there is no {setting.target}")
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if _convert(text, value, setting, where) != value:
        raise PolicyError(f"{where}: {setting.target} is {value}, which is outside its own limits")


def read_setting(policy: Policy, setting: Setting) -> Any:
    """The value in force, None when the target doesn't exist."""
    root, _, rest = setting.target.partition(".")
    if root == "parameters":
        return policy.parameters.get(rest)
    if root == "rules":
        rule_id, _, name = rest.partition(".")
        rule = next((rule for rule in policy.rules if rule.id == rule_id), None)
        return _rule_value(rule, name) if rule and name in _RULE_TARGETS else None
    return getattr(policy, _OF_POLICY[setting.target]) if setting.target in _OF_POLICY else None


def _rule_value(rule: Rule, name: str) -> Any:
    if name.startswith("max_age_"):
        return rule.max_age if name == f"max_age_{rule.max_age_unit}" else None
    return getattr(rule, name)


def _write(policy: Policy, setting: Setting, value: Any) -> Policy:
    root, _, rest = setting.target.partition(".")
    if root == "parameters":
        return replace(policy, parameters={**policy.parameters, rest: value})
    if root == "rules":
        rule_id, _, name = rest.partition(".")
        name = "max_age" if name.startswith("max_age_") else name
        changed = tuple(replace(rule, **{name: value}) if rule.id == rule_id else rule for rule in policy.rules)
        return replace(policy, rules=changed)
    return replace(policy, **{_OF_POLICY[root]: value})


def _convert(text: str, before: Any, setting: Setting, where: str) -> Any:
    """``text`` as the type of ``before``, clamped."""
    text = text.strip()
    if isinstance(before, bool):
        if text.lower() not in _TRUE + _FALSE:
            raise PolicyError(f"{where}: {text[:40]!r} must be true or false")
        return text.lower() in _TRUE
    if isinstance(before, str):
        if setting.choices and text.lower() not in setting.choices:
            raise PolicyError(f"{where}: {text[:40]!r} must be one of {', '.join(setting.choices)}")
        return text.lower() if setting.choices else text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise PolicyError(f"{where}: {text[:40]!r} must be a number")
    if setting.minimum is not None:
        number = max(number, float(setting.minimum))
    number = min(number, MAX_NUMBER if setting.maximum is None else float(setting.maximum))
    return int(number) if number.is_integer() and isinstance(before, int) else number
