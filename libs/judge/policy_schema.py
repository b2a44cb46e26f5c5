"""The JSON Schema of a policy's YAML, so that editors complete and check it while it is written.

It says less than the parser: which keys there are, their types and words. What keys must say together only
`policy.parse_policy` and `lint.lint` know. A test holds the keys of both beside each other.
"""

from __future__ import annotations

from typing import Any

from libs.judge.history import MAX_RUNS
from libs.judge.kinds import KINDS
from libs.judge.own_kinds import MAX_NAME_CHARS, OWN_PATTERN
from libs.judge.policy_model import EVERY_PART, WATCHDOG
from libs.judge.policy_tests import MAX_CASE_FACTS, MAX_CASES, STATUSES

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PARAMETER_VALUE = {"type": ["boolean", "number", "string"]}
_PATTERNS = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 200},
    "minItems": 1,
    "maxItems": 50,
    "uniqueItems": True,
}
# YAML 1.1 reads times and days as such, while an editor sees the text.
_TIME = {"type": "string", "description": "A time with a zone, such as 2026-01-01T12:00:00Z"}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description}


def _number(description: str, low: float, high: float) -> dict[str, Any]:
    return {"type": "number", "minimum": low, "maximum": high, "description": description}


def _above_zero(description: str) -> dict[str, Any]:
    return {"type": "number", "exclusiveMinimum": 0, "maximum": 100_000, "description": description}


def _words(description: str, *words: str) -> dict[str, Any]:
    return {"enum": list(words), "description": description}


def _flag(description: str) -> dict[str, Any]:
    return {"type": "boolean", "description": description}


def _old(of: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "deprecated": True, "description": f"Older name of {of}"}


def _object(properties: dict[str, Any], required: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False, **more}


def _one_of(*names: str) -> dict[str, Any]:
    return {"oneOf": [{"required": [name]} for name in names]}


def _kind(description: str) -> dict[str, Any]:
    own = {"type": "string", "pattern": OWN_PATTERN, "maxLength": MAX_NAME_CHARS}
    return {"anyOf": [{"enum": sorted(KINDS)}, own], "description": description}


def _condition() -> dict[str, Any]:
    return _text("CEL over fact, parts, baseline, params and derived; only true passes")


def _reason() -> dict[str, Any]:
    return _object(
        {
            "when": _text("CEL: when this sentence fits"),
            "observed": _text("What was seen; {fact.key} and {derived.key} stand for values"),
            "wanted": _text("What is wanted"),
        },
        ("when", "observed", "wanted"),
    )


def _need() -> dict[str, Any]:
    kind = _kind("A further kind that must be there, whole")
    aged = {"kind": kind, "max_age_hours": _above_zero("How old its newest fact may be")}
    return {"anyOf": [kind, _object(aged, ("kind",))]}


def _stage() -> dict[str, Any]:
    gate = {"type": "string", "pattern": "^[a-z0-9-]{1,40}$", "description": "The other gate"}
    least = _number("For how long its GO must have held", 0, 100_000)
    most = _above_zero("For how long at the most")
    return _object({"gate": gate, "min_age_hours": least, "max_age_hours": most}, ("gate",))


def _rule() -> dict[str, Any]:
    ages = {
        f"max_age_{unit}": _above_zero(f"How old the facts may be, in {unit}") for unit in ("minutes", "hours", "days")
    }
    properties = {
        "id": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,79}$", "description": "The name that boards go by"},
        "title": _text("What people read"),
        "severity": _words(
            "required: failing it forbids GO; advisory: it warns and costs score", "required", "advisory"
        ),
        "required": _old("severity", {"type": "boolean"}),
        "weight": _number("Its share of the score", 0, 1_000),
        "kind": _kind("Which facts it reads"),
        "scope": _words("Of the subject, or of the version under judgement", "subject", "version"),
        "when": _condition(),
        "condition": _old("when", {"type": "string"}),
        "observed": _text("What was seen; {fact.key} and {derived.key} stand for values"),
        "wanted": _text("What is wanted"),
        "reasons": {"type": "array", "items": _reason(), "description": "Sentences for what may be wrong"},
        "detail": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "What the answer shows",
        },
        **ages,
        "age_of": _text(f"What the age counts from: {EVERY_PART}, {WATCHDOG} or a key of the data that holds a time"),
        "ageless_reason": _text("Why the rule has no maximum age"),
        "owner_role": _text("Who mends it"),
        "sla_hours": {"type": "integer", "minimum": 1, "maximum": 8_760, "description": "Within which time"},
        "action": _text("How"),
        "runbook": {"type": "string", "format": "uri", "maxLength": 500, "description": "A link to how"},
        "mode": _words("shadow: judged and told, and counted nowhere", "enforce", "shadow"),
        "effective_on": {
            "type": "string",
            "format": "date",
            "description": "Until this day begins (UTC) it only warns",
        },
        "tags": {**_PATTERNS, "description": "Words to find it by"},
        "sources": {**_PATTERNS, "description": "Sources whose signals count (* for anything)"},
        "actors": {**_PATTERNS, "description": "Users whose signals count (* for anything)"},
        "signers": {**_PATTERNS, "description": "Whose signature beside a report is wanted (* for anything)"},
        "stale_after_hours": _above_zero("How long an alert group may fire unrepeated before it is called stale"),
        "passes_at_first": _flag("Of gate.history: whether it passes while there is no earlier verdict"),
        "needs": {"type": "array", "items": _need(), "description": "Further kinds that must be there"},
        "stage": _stage(),
    }
    of_facts = {
        "required": ["kind", "scope", "observed", "wanted"],
        "allOf": [_one_of("when", "condition"), _one_of(*ages, "ageless_reason")],
    }
    either = {"if": {"required": ["stage"]}, "then": {}, "else": of_facts}
    return _object(properties, ("id", "title", "weight"), allOf=[_one_of("severity", "required"), either])


def _case() -> dict[str, Any]:
    fact = {
        "kind": _kind("The kind of the fact"),
        "part": _text("Which of several sources of the kind"),
        "age_minutes": _number("How old it is", 0, 10_000_000),
        "data": {"type": "object", "description": "Whole data, as signals of this kind carry it"},
        "source": _text("What the signal says of itself"),
        "actor": _text("Who recorded it"),
        "signer": _text("Whose signature beside it was verified"),
    }
    stage = {"gate": _text("Another gate"), "age_hours": _number("For how long its GO holds", 0, 100_000)}
    rules = {"type": "object", "additionalProperties": _words("", *STATUSES), "description": "Statuses by rule id"}
    verdict = {
        "decision": _words("What was decided", "go", "no_go"),
        "age_minutes": _number("How long ago", 0, 10_000_000),
        "score_percent": _number("The weighted score; else 100", 0, 100),
        "version": _text("Of which version; else the one under judgement"),
    }
    expect = {"decision": _words("What the verdict must be", "go", "no_go"), "rules": rules}
    properties = {
        "name": _text("What the test is about"),
        "version": _text("The version under judgement"),
        "now": _TIME,
        "facts": {"type": "array", "items": _object(fact, ("kind", "data")), "maxItems": MAX_CASE_FACTS},
        "stages": {"type": "array", "items": _object(stage, ("gate", "age_hours")), "maxItems": MAX_CASE_FACTS},
        "history": {"type": "array", "items": _object(verdict, ("decision", "age_minutes")), "maxItems": MAX_RUNS},
        "expect": _object(expect, ("decision",)),
    }
    return _object(properties, ("name", "facts", "expect"))


def _setting() -> dict[str, Any]:
    properties = {
        "name": _text("How answers call it"),
        "target": _text("The value, such as parameters.max_errors"),
        "minimum": {"type": "number"},
        "maximum": {"type": "number"},
        "choices": {"type": "array", "items": {"type": ["string", "number"]}},
    }
    return _object(properties, ("name", "target"))


def _terms() -> dict[str, Any]:
    """The keys that `policy_terms.read_terms` reads."""
    waivers = {
        "max_days": {"type": "integer", "minimum": 1, "maximum": 3_650, "description": "How long one may last"},
        "issue_required": _flag("Whether one needs an issue"),
    }
    overrides = {
        "allowed": _flag("Whether there may be emergency overrides; else true"),
        "max_hours": {**_above_zero("How long one lasts at the most; else 24"), "maximum": 168},
        "issue_required": _flag("Whether one needs an issue; else true"),
    }
    return {
        "valid_for_hours": _above_zero("How long a GO holds at the most"),
        "line_pattern": _text("Which line a version is of: {1}.{2} are the parts of its number, all else is as it is"),
        "digest": _words(
            "Whether facts of a version must name the digest of the artifact judged", "optional", "required"
        ),
        "subjects": {**_PATTERNS, "description": "Subjects that it binds (* for anything); else all"},
        "freeze_calendars": {**_PATTERNS, "description": "Calendars whose freezes bind it"},
        "waivers": _object(waivers),
        "baselines": _object(
            {
                "max_days": {"type": "integer", "minimum": 1, "maximum": 3_650, "description": "How long one may last"},
                "issue_required": _flag("Whether one needs an issue"),
            }
        ),
        "retirements": _object({"two_persons": _flag("Whether a fact is retired only with a second person's word")}),
        "overrides": _object(overrides),
        "exceptions_per_quarter": {
            "type": "integer",
            "minimum": 0,
            "maximum": 10_000,
            "description": "How many exceptions a site may make before the gate says NO-GO",
        },
        "publish_approvals": _object(_approvals(), description="Persons who must approve the next text of the policy"),
        "approvals": _object(_approvals(), description="Persons who must approve a candidate"),
    }


def _approvals() -> dict[str, Any]:
    return {
        "count": {"type": "integer", "minimum": 1, "maximum": 20, "description": "How many persons; else 1"},
        "roles": {**_PATTERNS, "description": "Roles of which they may be"},
        "groups": {**_PATTERNS, "description": "Groups of which they may be"},
        "max_age_hours": _above_zero("How long an approval counts"),
    }


def policy_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a policy's YAML."""
    properties = {
        "name": {"type": "string", "pattern": "^[a-z0-9-]{1,40}$", "description": "The gate's name"},
        "title": _text("What people read"),
        "description": _text("What the gate is for"),
        "subject_mode": _words("Whether it judges a whole site, or one version of one subject", "site", "version"),
        "allow_warnings": _flag("Whether a GO may hold failing advisory rules"),
        "allow_warning": _old("allow_warnings", {"type": "boolean"}),
        "min_score_percent": _number("The least weighted score", 0, 100),
        "min_weighted_score_percent": _old("min_score_percent", {"type": "number"}),
        "parameters": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,59}$"},
            "additionalProperties": _PARAMETER_VALUE,
            "description": "Names and values that conditions see as params",
        },
        "settings": {
            "type": "object",
            "additionalProperties": _setting(),
            "description": "Of a file: which values the environment may override",
        },
        "rules": {"type": "array", "items": _rule(), "minItems": 1, "maxItems": 1_000},
        "tests": {"type": "array", "items": _case(), "minItems": 1, "maxItems": MAX_CASES},
        **_terms(),
    }
    required = ("name", "title", "description", "subject_mode", "rules")
    named = [
        _one_of("allow_warnings", "allow_warning"),
        _one_of("min_score_percent", "min_weighted_score_percent"),
    ]
    return {
        "$schema": SCHEMA_DIALECT,
        "title": "Headgate policy",
        **_object(properties, required, allOf=named),
    }
