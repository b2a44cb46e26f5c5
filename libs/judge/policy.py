"""Policies: YAML files, one for each gate, read strictly at start.

A file with an unknown key, a broken condition or a rule without a maximum age stops the service: a gate that
silently judges something else is worse than none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from libs.judge.cel import BadExpression, Condition, compile_condition
from libs.judge.derive import DERIVED_KEYS
from libs.judge.kinds import KINDS
from libs.judge.overrides import apply_overrides, check_setting, settings_view
from libs.judge.policy_model import (
    EVERY_PART,
    VARIABLES,
    WATCHDOG,
    AgeUnit,
    ParameterValue,
    Policy,
    PolicyError,
    Reason,
    Rule,
    Sentence,
    Setting,
    placeholders,
)
from libs.judge.policy_yaml import LinedDict, read_yaml

__all__ = ["Policy", "PolicyError", "Rule", "apply_overrides", "load_policies", "parse_policy", "settings_view"]

MAX_RULES = 100
MAX_POLICIES = 100
_NAME = re.compile(r"[a-z0-9-]{1,40}")
_RULE_ID = re.compile(r"[a-z][a-z0-9_]{0,79}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,59}")
_AGE_UNITS: tuple[AgeUnit, ...] = ("minutes", "hours", "days")
_RULE_LOOKUPS = ("id", "required", "weight", "max_age_minutes", "max_age_hours", "max_age_days")
DEFAULT_OWNER = "Ops Manager"
DEFAULT_SLA_HOURS = 24


def load_policies(folder: Path) -> dict[str, Policy]:
    """Every ``*.yaml`` of ``folder`` by the policy's name. Read once at start.

    Raises PolicyError that names file, rule and place.
    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise PolicyError(f"{folder.name}: holds no policy (*.yaml)")
    if len(files) > MAX_POLICIES:
        raise PolicyError(f"{folder.name}: holds {len(files)} policies, and at most {MAX_POLICIES} are read")
    policies: dict[str, Policy] = {}
    for file in files:
        policy = parse_policy(file.read_bytes(), file.name)
        if policy.name in policies:
            raise PolicyError(f"{file.name}: the name {policy.name} is taken by {policies[policy.name].file}")
        policies[policy.name] = policy
    return policies


def parse_policy(content: bytes, file: str) -> Policy:
    """The policy in a file's bytes; ``file`` is only for messages. Raises PolicyError."""
    reader = _Reader(read_yaml(content, file), file)
    name = reader.text("name")
    if _NAME.fullmatch(name) is None:
        raise PolicyError(f"{file}: name must be 1 to 40 of the letters a-z, 0-9 and -")
    parameters = _parameters(reader)
    listed = reader.take("rules", list, "a list")
    if not listed or len(listed) > MAX_RULES:
        raise PolicyError(f"{file}: rules must hold 1 to {MAX_RULES} rules: an empty gate would say GO to everything")
    mode = reader.one_of("subject_mode", ("site", "version"))
    rules: list[Rule] = []
    for index, item in enumerate(listed):
        if not isinstance(item, LinedDict):
            raise PolicyError(f"{file}: rule number {index + 1} is not a mapping")
        rule = _rule(_Reader(item, f"{file}: rule {item.get('id', f'number {index + 1}')}"), parameters)
        if any(rule.id == other.id for other in rules):
            raise PolicyError(f"{file}: rule {rule.id}: stands here a second time")
        if mode == "site" and rule.scope == "version":
            raise PolicyError(f"{file}: rule {rule.id}: scope version needs subject_mode version")
        rules.append(rule)
    if sum(rule.weight for rule in rules) <= 0:
        raise PolicyError(f"{file}: at least one rule needs a weight above 0")
    policy = Policy(
        name=name,
        title=reader.text("title"),
        description=reader.text("description"),
        subject_mode=cast(Any, mode),
        allow_warning=reader.take("allow_warning", bool, "true or false"),
        min_weighted_score_percent=reader.number("min_weighted_score_percent", 0, 100),
        parameters=parameters,
        rules=tuple(rules),
        digest=sha256(content).hexdigest(),
        file=file,
        settings=_settings(reader),
    )
    reader.refuse_rest()
    for setting in policy.settings:
        check_setting(policy, setting)
    return policy


class _Reader:
    """Takes keys out of a mapping with their types; ``where`` begins every message."""

    def __init__(self, mapping: LinedDict, where: str) -> None:
        self.mapping = mapping
        self.where = where
        self._rest = set(mapping)

    def has(self, key: str) -> bool:
        return key in self.mapping

    def take(self, key: str, kind: type, words: str) -> Any:
        if key not in self.mapping:
            raise PolicyError(f"{self.where}: {key} is missing")
        self._rest.discard(key)
        value = self.mapping[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise PolicyError(f"{self.where}: {key} must be {words} (line {self.mapping.lines[key]})")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        if default is not None and key not in self.mapping:
            return default
        value = str(self.take(key, str, "text")).strip()
        if not value:
            raise PolicyError(f"{self.where}: {key} must not be empty (line {self.mapping.lines[key]})")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        value = self.take(key, cast(type, int | float), "a number")
        if not math.isfinite(value) or not low <= value <= high:
            raise PolicyError(f"{self.where}: {key} must be {low:g} to {high:g} (line {self.mapping.lines[key]})")
        return cast(float, value)

    def one_of(self, key: str, words: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in words:
            raise PolicyError(f"{self.where}: {key} must be one of {', '.join(words)}")
        return value

    def mapping_of(self, key: str) -> LinedDict:
        return cast(LinedDict, self.take(key, LinedDict, "a mapping")) if self.has(key) else LinedDict()

    def condition(self, key: str) -> Condition:
        text = self.text(key)
        try:
            return compile_condition(text, VARIABLES)
        except BadExpression as error:
            line = f"line {error.line}, " if error.line > 1 else ""
            raise PolicyError(
                f"{self.where}: {key}, {line}column {error.column}: {error.message} "
                f"(file line {self.mapping.lines[key]})"
            ) from None

    def refuse_rest(self) -> None:
        if self._rest:
            key = min(self._rest)
            raise PolicyError(f"{self.where}: unknown key {key} (line {self.mapping.lines[key]})")


def _parameters(reader: _Reader) -> dict[str, ParameterValue]:
    parameters: dict[str, ParameterValue] = {}
    for name, value in reader.mapping_of("parameters").items():
        if _PARAMETER.fullmatch(name) is None or not isinstance(value, bool | int | float | str):
            raise PolicyError(f"{reader.where}: parameter {name} must be a number, a text or true or false")
        if isinstance(value, float) and not math.isfinite(value):
            raise PolicyError(f"{reader.where}: parameter {name} must be a finite number")
        parameters[name] = value
    return parameters


def _rule(reader: _Reader, parameters: Mapping[str, ParameterValue]) -> Rule:
    rule_id = reader.text("id")
    if _RULE_ID.fullmatch(rule_id) is None:
        raise PolicyError(f"{reader.where}: id must begin with a-z and hold only a-z, 0-9 and _")
    kind = reader.one_of("kind", tuple(KINDS))
    max_age, unit = _max_age(reader)
    age_of = reader.text("age_of", EVERY_PART)
    if age_of == WATCHDOG:
        fits = "watchdog" in KINDS[kind].keys
    else:
        fits = age_of == EVERY_PART or age_of in KINDS[kind].keys
    if not fits:
        raise PolicyError(f"{reader.where}: age_of must be {EVERY_PART}, {WATCHDOG} or a key of {kind}")
    lookups = {
        "fact": tuple(KINDS[kind].keys),
        "params": tuple(parameters),
        "derived": DERIVED_KEYS.get(kind, ()),
        "baseline": ("exists", "run"),
        "rule": _RULE_LOOKUPS,
    }
    detail = {}
    for name, lookup in reader.mapping_of("detail").items():
        if not isinstance(lookup, str) or not _is_known(lookup, lookups):
            raise PolicyError(f"{reader.where}: detail {name}: unknown lookup {lookup}")
        detail[name] = lookup
    rule = Rule(
        id=rule_id,
        title=reader.text("title"),
        required=reader.take("required", bool, "true or false"),
        weight=reader.number("weight", 0, 1_000),
        kind=kind,
        scope=cast(Any, reader.one_of("scope", ("subject", "version"))),
        condition=reader.condition("condition"),
        sentence=_sentence(reader, lookups),
        reasons=_reasons(reader, lookups),
        detail=detail,
        max_age=max_age,
        max_age_unit=unit,
        age_of=age_of,
        ageless_reason=reader.text("ageless_reason", "") if max_age is None else "",
        owner_role=reader.text("owner_role", DEFAULT_OWNER),
        sla_hours=_whole(reader, "sla_hours", DEFAULT_SLA_HOURS),
        action=reader.text("action", ""),
    )
    reader.refuse_rest()
    return rule


def _whole(reader: _Reader, key: str, default: int) -> int:
    if not reader.has(key):
        return default
    value = reader.number(key, 1, 24 * 365)
    if not isinstance(value, int):
        raise PolicyError(f"{reader.where}: {key} must be a whole number")
    return value


def _max_age(reader: _Reader) -> tuple[float | None, AgeUnit]:
    units = [unit for unit in _AGE_UNITS if reader.has(f"max_age_{unit}")]
    if len(units) > 1:
        raise PolicyError(f"{reader.where}: give one of max_age_minutes, max_age_hours and max_age_days")
    if not units:
        if not reader.has("ageless_reason"):
            raise PolicyError(f"{reader.where}: max_age_hours is missing; without one, say why in ageless_reason")
        return None, "hours"
    value = reader.number(f"max_age_{units[0]}", 0, 100_000)
    if value <= 0:
        raise PolicyError(f"{reader.where}: max_age_{units[0]} must be above 0")
    return value, units[0]


def _is_known(lookup: str, lookups: Mapping[str, tuple[str, ...]]) -> bool:
    root, _, key = lookup.partition(".")
    return key in lookups.get(root, ())


def _sentence(reader: _Reader, lookups: Mapping[str, tuple[str, ...]]) -> Sentence:
    texts = []
    for key in ("observed", "wanted"):
        text = reader.text(key)
        try:
            unknown = [lookup for lookup in placeholders(text) if not _is_known(lookup, lookups)]
        except ValueError as error:
            raise PolicyError(f"{reader.where}: {key}: {error}") from None
        if unknown:
            raise PolicyError(f"{reader.where}: {key}: unknown lookup {{{unknown[0]}}}")
        texts.append(text)
    return Sentence(texts[0], texts[1])


def _reasons(reader: _Reader, lookups: Mapping[str, tuple[str, ...]]) -> tuple[Reason, ...]:
    if not reader.has("reasons"):
        return ()
    reasons = []
    for index, item in enumerate(reader.take("reasons", list, "a list")):
        where = f"{reader.where}: reason {index + 1}"
        if not isinstance(item, LinedDict):
            raise PolicyError(f"{where}: is not a mapping")
        inner = _Reader(item, where)
        reasons.append(Reason(inner.condition("when"), _sentence(inner, lookups)))
        inner.refuse_rest()
    return tuple(reasons)


def _settings(reader: _Reader) -> tuple[Setting, ...]:
    settings = []
    for suffix, item in reader.mapping_of("settings").items():
        where = f"{reader.where}: setting {suffix}"
        if not isinstance(item, LinedDict):
            raise PolicyError(f"{where}: is not a mapping")
        inner = _Reader(item, where)
        choices = inner.take("choices", list, "a list") if inner.has("choices") else []
        settings.append(
            Setting(
                suffix=suffix,
                name=inner.text("name"),
                target=inner.text("target"),
                minimum=inner.number("minimum", -1e9, 1e9) if inner.has("minimum") else None,
                maximum=inner.number("maximum", -1e9, 1e9) if inner.has("maximum") else None,
                choices=tuple(str(choice) for choice in choices),
            )
        )
        inner.refuse_rest()
    return tuple(settings)
