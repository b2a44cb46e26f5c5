"""What totals of all kinds are made with: data of facts, and names short enough for a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from libs.judge.facts import Fact
from libs.judge.report_base import DEFAULT_PART, announced_words

NAMED = 5  # how many names a sentence lists
MAX_NAME_CHARS = 200  # of each; a run is stored and told whole, so what it lists stays short


def data_of(fact: Fact) -> Mapping[str, Any]:
    """The data of a fact that was checked before."""
    if not isinstance(fact.data, Mapping):
        raise TypeError(f"signal {fact.signal_id}: facts are checked before anything is derived of them")
    return fact.data


def shortened(text: str) -> str:
    """A name as long as may be."""
    return text if len(text) <= MAX_NAME_CHARS else text[: MAX_NAME_CHARS - 1] + "…"


def first_names(names: Sequence[str]) -> list[str]:
    """The first few names, each short enough to be read."""
    return [shortened(name) for name in names[:NAMED]]


def missing_parts_of(current: Sequence[Fact], baseline: Sequence[Fact]) -> list[str]:
    """The parts that the last GO had and that are not there now."""
    return sorted({fact.part for fact in baseline} - {fact.part for fact in current})


def part_words(fact: Fact, facts: Sequence[Fact]) -> str:
    """The fact's part and a space, for a sentence; nothing for the only part of a sender who names none."""
    return "" if fact.part in ("", DEFAULT_PART) and len(facts) == 1 else f"{fact.part} "


def incomplete_words(facts: Sequence[Fact]) -> list[str]:
    """For each report that announces more than it holds, what it announces and what is there."""
    found = [
        announced_words(short) + (f" in the report {part}".rstrip() if (part := part_words(fact, facts)) else "")
        for fact in facts
        for short in data_of(fact).get("incomplete", ())
    ]
    return first_names(found)
