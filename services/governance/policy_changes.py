"""What a policy's new text changes, as its event states it: by JSON Pointers into the text, rules and tests by name."""

from __future__ import annotations

import asyncio
from typing import Any

from libs.common.contracts.changes import FieldChange
from libs.common.versions import stated_differences
from libs.judge.policy import PolicyError
from libs.judge.policy_yaml import read_yaml


async def policy_changes(gate: str, before: str, after: str) -> tuple[list[FieldChange], int]:
    """The differences of two texts, bounded, and how many more there are. ``before`` is "" where there was none.

    A text that can't be read any more is told as a whole: it was so, and is another now.
    """
    try:
        return await asyncio.to_thread(_compared, f"{gate}.yaml", before, after)
    except (PolicyError, RecursionError):
        return [
            FieldChange(field="", before="a text that this version of Headgate can't read", after="another text")
        ], 0


def _compared(file: str, before: str, after: str) -> tuple[list[FieldChange], int]:
    return stated_differences(_read(before, file) if before else {}, _read(after, file))


def _read(text: str, file: str) -> Any:
    return _named(read_yaml(text.encode(), file))


def _named(value: Any) -> Any:
    """Lists of things that have ids as objects by id: one that is put in between moves none of the others."""
    if isinstance(value, dict):
        return {str(key): _named(one) for key, one in value.items()}
    if not isinstance(value, list):
        return value
    ids = [one.get("id") for one in value if isinstance(one, dict)]
    if len(ids) == len(value) and len(set(map(str, ids))) == len(ids) and None not in ids:
        return {str(one["id"]): _named(one) for one in value}
    return [_named(one) for one in value]
