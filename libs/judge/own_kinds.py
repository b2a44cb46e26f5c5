"""Kinds of one's own: an installation declares what the data of its signals hold, and policies read them like others.

A declaration is plain text and goes with the facts, so that a capsule carries it. The schema is a small part of JSON
Schema: what is not known here is refused when it is published, never passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from libs.judge.kinds import KINDS, Kind, check_data
from libs.judge.own_schemas import BadSchema, check_of, samples_of

MAX_SCHEMA_CHARS = 16_384
MAX_DATA_CHARS = 65_536  # of one signal as JSON: conditions see all of it
MAX_PROPERTIES = 100
MAX_NAME_CHARS = 120
_NAME = r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+"
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")
_NUMBERS = ("integer", "number")
# What later versions of Headgate may bring: a kind of one's own must not turn into one of theirs.
RESERVED = frozenset(
    {name.partition(".")[0] for name in KINDS} | {"headgate", "gate", "build", "deploy", "slo", "vuln"}
)

OWN_PATTERN = f"^(?!({'|'.join(sorted(RESERVED))})\\.){_NAME}$"  # for editors


@dataclass(frozen=True, slots=True)
class OwnKind:
    """A declared kind. ``schema``: JSON Schema of the data, as text. ``totals``: keys that are summed over all parts.

    ``noun``: what a sentence calls such a signal.
    """

    name: str
    noun: str
    schema: str
    totals: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, noun: str, schema: object, totals: Iterable[str]) -> OwnKind:
        """The kind whose schema is given as plain JSON."""
        return cls(name, noun, json.dumps(schema, sort_keys=True), tuple(totals))


def may_be_own(name: str) -> bool:
    """Whether an installation may declare a kind of this name: two words or more, the first none of Headgate's."""
    return (
        len(name) <= MAX_NAME_CHARS
        and re.fullmatch(_NAME, name) is not None
        and name.partition(".")[0].lower() not in RESERVED
    )


@lru_cache(maxsize=512)
def compiled(own: OwnKind) -> Kind:
    """The kind with a check for each key. Raises `BadSchema`."""
    if not may_be_own(own.name):
        raise BadSchema(
            f"{own.name[:120]} can't be declared: a name has two words or more with a dot between, such as "
            f"acme.review, and the first is none of {', '.join(sorted(RESERVED))}"
        )
    schema = _read(own)
    properties, required = schema["properties"], set(schema.get("required", ()))
    if len(properties) > MAX_PROPERTIES or any(_KEY.fullmatch(key) is None for key in properties):
        raise BadSchema(
            f"{own.name}: properties must be at most {MAX_PROPERTIES}, each of a-z, A-Z, 0-9 and _, "
            "as conditions name them"
        )
    whole = check_of(schema, own.name)
    checks = {key: check_of(inner, f"{own.name}/properties/{key}") for key, inner in properties.items()}
    for key in own.totals:
        if key not in properties or properties[key].get("type") not in _NUMBERS:
            raise BadSchema(f"{own.name}: totals must name numbers among the properties, and {key[:60]} is none")

    def consistent(data: Mapping[str, object]) -> list[str]:
        if len(json.dumps(data)) > MAX_DATA_CHARS:
            return [f"data of {own.name} have more than {MAX_DATA_CHARS} letters as JSON"]
        problem = whole(data)
        return [f"data of {own.name}: {problem}"] if problem else []

    return Kind(
        own.name,
        own.noun,
        {key: check for key, check in checks.items() if key in required},
        optional={key: check for key, check in checks.items() if key not in required},
        consistent=consistent,
        totals=own.totals,
        is_own=True,
    )


def _read(own: OwnKind) -> dict[str, Any]:
    if len(own.schema) > MAX_SCHEMA_CHARS:
        raise BadSchema(f"{own.name}: the schema may have {MAX_SCHEMA_CHARS} letters")
    try:
        schema = json.loads(own.schema)
    except (ValueError, RecursionError):
        raise BadSchema(f"{own.name}: the schema is no JSON") from None
    if not isinstance(schema, dict) or schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
        raise BadSchema(f"{own.name}: the schema must be of type object and have properties")
    if not all(isinstance(inner, dict) for inner in schema["properties"].values()):
        raise BadSchema(f"{own.name}: each of the properties must be a schema")
    return schema


@lru_cache(maxsize=256)
def by_name(declared: tuple[OwnKind, ...]) -> Mapping[str, Kind]:
    """Declared kinds by their names. One that this version can't read is left out, so that its rules fail."""
    found: dict[str, Kind] = {}
    for one in declared:
        try:
            found[one.name] = compiled(one)
        except BadSchema:
            continue
    return MappingProxyType(found)


def find_kind(name: str, own: Mapping[str, Kind]) -> Kind | None:
    """The kind of this name, Headgate's or one's own; None if nobody declared it."""
    return KINDS.get(name) or own.get(name)


def noun_of(name: str, own: Mapping[str, Kind]) -> str:
    """What a sentence calls a signal of this kind."""
    found = find_kind(name, own)
    return found.noun if found else name


def problems_of(name: str, data: object, own: Mapping[str, Kind]) -> list[str]:
    """What is wrong with the data of a fact: of a kind that nobody declared all is."""
    found = find_kind(name, own)
    return [undeclared_words(name)] if found is None else check_data(found, data)


def undeclared_words(name: str) -> str:
    """What to say where a rule reads a kind that is not there."""
    return f"the kind {name} is not declared here"


def samples(own: OwnKind) -> list[dict[str, Any]]:
    """Data that fit the schema, each property filled."""
    return [made for made in samples_of(_read(own)) if isinstance(made, dict)]


def derived_keys(kind: Kind) -> tuple[str, ...]:
    """The totals over all parts of a kind of one's own."""
    sums = tuple(f"{key}_{how}" for key in kind.totals for how in ("sum", "min", "max", "before"))
    return ("part_count", "missing_parts", *sums)
