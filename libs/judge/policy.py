"""Policies: YAML files, one for each gate, read strictly at start.

A file with an unknown key, a broken condition or a rule without a maximum age stops the service: a gate that
silently judges something else is worse than none.
"""

from __future__ import annotations

import math
import re
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from libs.judge.overrides import apply_overrides, check_setting, settings_view
from libs.judge.policy_model import ParameterValue, Policy, PolicyError, Rule, Setting
from libs.judge.policy_reader import Reader
from libs.judge.policy_rule import read_rule
from libs.judge.policy_terms import read_terms
from libs.judge.policy_tests import read_cases
from libs.judge.policy_yaml import LinedDict, read_yaml

__all__ = [
    "Policy",
    "PolicyError",
    "Rule",
    "apply_overrides",
    "load_policies",
    "parse_policy",
    "settings_view",
]

MAX_RULES = 1_000
MAX_POLICIES = 100
_NAME = re.compile(r"[a-z0-9-]{1,40}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,59}")


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
    reader = Reader(read_yaml(content, file), file)
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
        rule = read_rule(Reader(item, f"{file}: rule {item.get('id', f'number {index + 1}')}"), parameters)
        if any(rule.id == other.id for other in rules):
            raise PolicyError(f"{file}: rule {rule.id}: stands here a second time")
        if mode == "site" and rule.scope == "version":
            raise PolicyError(f"{file}: rule {rule.id}: scope version needs subject_mode version")
        if rule.stage is not None and rule.stage.gate == name:
            raise PolicyError(f"{file}: rule {rule.id}: a gate can't wait for its own GO")
        rules.append(rule)
    if sum(rule.weight for rule in rules if rule.mode == "enforce") <= 0:
        raise PolicyError(f"{file}: at least one rule that is enforced needs a weight above 0")
    policy = Policy(
        name=name,
        title=reader.text("title"),
        description=reader.text("description"),
        subject_mode=cast(Any, mode),
        allow_warning=reader.take(reader.one_name("allow_warnings", "allow_warning"), bool, "true or false"),
        min_weighted_score_percent=reader.number(
            reader.one_name("min_score_percent", "min_weighted_score_percent"), 0, 100
        ),
        parameters=parameters,
        rules=tuple(rules),
        digest=sha256(content).hexdigest(),
        file=file,
        settings=_settings(reader),
        text=content.decode(),
        cases=read_cases(reader, tuple(rule.id for rule in rules)),
        **read_terms(reader),
    )
    reader.refuse_rest()
    for setting in policy.settings:
        check_setting(policy, setting)
    return policy


def _parameters(reader: Reader) -> dict[str, ParameterValue]:
    parameters: dict[str, ParameterValue] = {}
    for name, value in reader.mapping_of("parameters").items():
        if _PARAMETER.fullmatch(name) is None or not isinstance(value, bool | int | float | str):
            raise PolicyError(f"{reader.where}: parameter {name} must be a number, a text or true or false")
        if isinstance(value, float) and not math.isfinite(value):
            raise PolicyError(f"{reader.where}: parameter {name} must be a finite number")
        parameters[name] = value
    return parameters


def _settings(reader: Reader) -> tuple[Setting, ...]:
    settings = []
    for suffix, item in reader.mapping_of("settings").items():
        where = f"{reader.where}: setting {suffix}"
        if not isinstance(item, LinedDict):
            raise PolicyError(f"{where}: is not a mapping")
        inner = Reader(item, where)
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
