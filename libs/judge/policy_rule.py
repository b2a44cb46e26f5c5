"""A rule of a policy, as it is read from its mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from libs.judge.cel import compile_condition
from libs.judge.derive import DERIVED_KEYS
from libs.judge.history import KIND as HISTORY
from libs.judge.kinds import KINDS
from libs.judge.own_kinds import may_be_own
from libs.judge.policy_model import (
    EVERY_PART,
    VARIABLES,
    WATCHDOG,
    AgeUnit,
    Need,
    ParameterValue,
    PolicyError,
    Reason,
    Rule,
    Sentence,
    placeholders,
)
from libs.judge.policy_reader import Reader
from libs.judge.policy_yaml import LinedDict
from libs.judge.stages import KIND as STAGE
from libs.judge.stages import StageTerms

_GATE = re.compile(r"[a-z0-9-]{1,40}")
_RULE_ID = re.compile(r"[a-z][a-z0-9_]{0,79}")
_AGE_UNITS: tuple[AgeUnit, ...] = ("minutes", "hours", "days")
_RULE_LOOKUPS = ("id", "required", "weight", "max_age_minutes", "max_age_hours", "max_age_days")
ALERTS = "alert.alertmanager"
DEFAULT_OWNER = "Ops Manager"
DEFAULT_SLA_HOURS = 24
Lookups = Mapping[str, tuple[str, ...] | None]  # by what a lookup begins with: the keys there are, None: any


def read_rule(reader: Reader, parameters: Mapping[str, ParameterValue]) -> Rule:
    """The rule in a mapping; ``parameters`` are the policy's. Raises PolicyError."""
    rule_id = reader.text("id")
    if _RULE_ID.fullmatch(rule_id) is None:
        raise PolicyError(f"{reader.where}: id must begin with a-z and hold only a-z, 0-9 and _")
    if reader.has("stage"):
        return _stage_rule(reader, rule_id)
    kind = read_kind(reader)
    if kind == STAGE:
        line = reader.mapping.lines["kind"]
        raise PolicyError(f"{reader.where}: instead of the kind {STAGE} write stage with a gate (line {line})")
    max_age, unit = _max_age(reader)
    age_of = reader.text("age_of", EVERY_PART)
    keys = tuple(KINDS[kind].keys) if kind in KINDS else None
    if age_of == WATCHDOG:
        fits = keys is not None and "watchdog" in keys
    else:
        fits = age_of == EVERY_PART or keys is None or age_of in keys
    if not fits:
        raise PolicyError(f"{reader.where}: age_of must be {EVERY_PART}, {WATCHDOG} or a key of {kind}")
    # Which keys a kind of one's own has may change; `lint_kinds` compares them with what is declared.
    lookups: Lookups = {
        "fact": keys,
        "params": tuple(parameters),
        "derived": None if keys is None else DERIVED_KEYS.get(kind, ()),
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
        required=_required(reader),
        weight=reader.number("weight", 0, 1_000),
        kind=kind,
        scope=cast(Any, reader.one_of("scope", ("subject", "version"))),
        condition=reader.condition(reader.one_name("when", "condition")),
        sentence=_sentence(reader, lookups),
        reasons=_reasons(reader, lookups),
        detail=detail,
        max_age=max_age,
        max_age_unit=unit,
        age_of=age_of,
        ageless_reason=reader.text("ageless_reason", "") if max_age is None else "",
        owner_role=reader.text("owner_role", DEFAULT_OWNER),
        sla_hours=reader.whole("sla_hours", 1, 24 * 365, DEFAULT_SLA_HOURS),
        action=reader.text("action", ""),
        mode=cast(Any, reader.one_of("mode", ("enforce", "shadow")) if reader.has("mode") else "enforce"),
        effective_on=reader.day("effective_on"),
        tags=reader.texts("tags"),
        runbook=_runbook(reader),
        sources=reader.texts("sources"),
        actors=reader.texts("actors"),
        signers=reader.texts("signers"),
        needs=_needs(reader, kind),
        stale_after_hours=_stale_after(reader, kind),
        passes_at_first=_passes_at_first(reader, kind),
    )
    reader.refuse_rest()
    return rule


def _stage_rule(reader: Reader, rule_id: str) -> Rule:
    """A rule that wants another gate's GO: it reads no facts, so it has neither kind nor condition."""
    inner = reader.inner("stage")
    assert inner is not None  # noqa: S101 - the caller has looked
    gate = inner.text("gate")
    least = inner.number("min_age_hours", 0, 100_000) if inner.has("min_age_hours") else 0
    most = inner.above_zero("max_age_hours", 100_000)
    line = reader.mapping.lines["stage"]
    if _GATE.fullmatch(gate) is None:
        raise PolicyError(f"{reader.where}: stage: gate must be 1 to 40 of the letters a-z, 0-9 and - (line {line})")
    if most is not None and most <= least:
        raise PolicyError(f"{reader.where}: stage: max_age_hours must be above min_age_hours (line {line})")
    inner.refuse_rest()
    rule = Rule(
        id=rule_id,
        title=reader.text("title"),
        required=_required(reader),
        weight=reader.number("weight", 0, 1_000),
        kind=STAGE,
        scope="version",
        condition=compile_condition("true", VARIABLES),
        sentence=Sentence("", ""),
        reasons=(),
        detail={},
        max_age=None,
        max_age_unit="hours",
        age_of=EVERY_PART,
        ageless_reason="the other gate's GO holds or not",
        owner_role=reader.text("owner_role", DEFAULT_OWNER),
        sla_hours=reader.whole("sla_hours", 1, 24 * 365, DEFAULT_SLA_HOURS),
        action=reader.text("action", ""),
        mode=cast(Any, reader.one_of("mode", ("enforce", "shadow")) if reader.has("mode") else "enforce"),
        effective_on=reader.day("effective_on"),
        tags=reader.texts("tags"),
        runbook=_runbook(reader),
        stage=StageTerms(gate, least, most),
    )
    reader.refuse_rest()
    return rule


def read_kind(reader: Reader) -> str:
    """The kind under ``kind``: one of Headgate's, or a name under which one's own may be declared."""
    kind = reader.text("kind")
    if kind not in KINDS and not may_be_own(kind):
        line = reader.mapping.lines["kind"]
        raise PolicyError(f"{reader.where}: kind must be one of {_KIND_WORDS} (line {line})")
    return kind


_KIND_WORDS = f"{', '.join(KINDS)}, or one of your own"


def _required(reader: Reader) -> bool:
    if not reader.has("severity") and not reader.has("required"):
        raise PolicyError(
            f"{reader.where}: required or severity is missing (the rule begins in line {reader.mapping.line})"
        )
    if reader.one_name("severity", "required") == "required":
        return bool(reader.take("required", bool, "true or false"))
    return reader.one_of("severity", ("required", "advisory")) == "required"


def _passes_at_first(reader: Reader, kind: str) -> bool:
    """Of a rule over past verdicts only; nobody can send those, so it can't name who may say them either."""
    if kind == HISTORY:
        named = next((key for key in ("sources", "actors", "signers", "needs", "age_of") if reader.has(key)), None)
        if named is not None:
            line = reader.mapping.lines[named]
            raise PolicyError(f"{reader.where}: {named} has no meaning for {HISTORY}: nobody sends it (line {line})")
    elif reader.has("passes_at_first"):
        line = reader.mapping.lines["passes_at_first"]
        raise PolicyError(f"{reader.where}: passes_at_first is for rules of the kind {HISTORY} (line {line})")
    return reader.flag("passes_at_first", False)


def _runbook(reader: Reader) -> str:
    link = reader.text("runbook", "")
    if link and (not link.startswith(("https://", "http://")) or len(link) > 500 or not link.isprintable()):
        line = reader.mapping.lines["runbook"]
        raise PolicyError(f"{reader.where}: runbook must be a link that begins with https:// or http:// (line {line})")
    return link


def _stale_after(reader: Reader, kind: str) -> float | None:
    hours = reader.above_zero("stale_after_hours", 100_000)
    if hours is not None and kind != ALERTS:
        line = reader.mapping.lines["stale_after_hours"]
        raise PolicyError(f"{reader.where}: stale_after_hours is for rules over {ALERTS} (line {line})")
    return hours


def _needs(reader: Reader, kind: str) -> tuple[Need, ...]:
    """Each a kind, or a mapping with ``kind`` and ``max_age_hours``."""
    if not reader.has("needs"):
        return ()
    needs: list[Need] = []
    for index, item in enumerate(reader.take("needs", list, "a list")):
        where = f"{reader.where}: need {index + 1}"
        if isinstance(item, LinedDict):
            inner = Reader(item, where)
            need = Need(inner.text("kind"), inner.above_zero("max_age_hours", 100_000))
            inner.refuse_rest()
        else:
            need = Need(str(item))
        if need.kind not in KINDS and not may_be_own(need.kind):
            line = reader.mapping.lines["needs"]
            raise PolicyError(f"{where}: the kind must be one of {_KIND_WORDS} (line {line})")
        if need.kind in (HISTORY, STAGE):
            raise PolicyError(f"{where}: {need.kind} is always there; read it by a rule of its own")
        if need.kind == kind or any(need.kind == other.kind for other in needs):
            raise PolicyError(f"{where}: {need.kind} is needed anyway; name it once")
        needs.append(need)
    return tuple(needs)


def _max_age(reader: Reader) -> tuple[float | None, AgeUnit]:
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


def _is_known(lookup: str, lookups: Lookups) -> bool:
    root, _, key = lookup.partition(".")
    keys = lookups.get(root, ())
    return bool(key) and (keys is None or key in keys)


def _sentence(reader: Reader, lookups: Lookups) -> Sentence:
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


def _reasons(reader: Reader, lookups: Lookups) -> tuple[Reason, ...]:
    if not reader.has("reasons"):
        return ()
    reasons = []
    for index, item in enumerate(reader.take("reasons", list, "a list")):
        where = f"{reader.where}: reason {index + 1}"
        if not isinstance(item, LinedDict):
            raise PolicyError(f"{where}: is not a mapping")
        inner = Reader(item, where)
        reasons.append(Reason(inner.condition("when"), _sentence(inner, lookups)))
        inner.refuse_rest()
    return tuple(reasons)
