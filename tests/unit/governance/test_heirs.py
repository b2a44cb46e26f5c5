"""Baselines whose parts have other names now, also those of which only fingerprints are kept."""

from __future__ import annotations

from typing import Any

import pytest

from libs.judge.facts import Fact
from libs.judge.heirs import renamed
from libs.judge.test_ids import UNNAMED, pack, vanished
from tests.unit.governance.samples import fact, junit_data


def ran(part: str, *tests: str, packed: bool = False) -> Fact:
    data: dict[str, Any] = junit_data(*tests)
    if packed:
        data |= {"tests": [], "tests_packed": pack(tests)}
    return fact("test.junit", data, part=part, version="1.0")


def gone(current: list[Fact], baseline: list[Fact]) -> list[tuple[str, str]]:
    """(part, test) of what ran in the baseline and not now."""
    now: dict[str, Any] = {one.part: one.data for one in current}
    found = renamed("test.junit", current, baseline)
    return [(one.part, test) for one in found for test in vanished(one.data, now.get(one.part))]  # type: ignore[arg-type]


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("integration", [False, True])
def test_heirs_of_a_part_hold_what_it_held(before: bool, unit: bool, integration: bool) -> None:
    baseline = [ran("default", "a", "b", "c", "d", packed=before)]
    current = [ran("unit", "a", "b", packed=unit), ran("it", "c", "d", "e", packed=integration)]
    assert gone(current, baseline) == []


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("now", [False, True])
def test_what_no_heir_ran_has_vanished_once(before: bool, now: bool) -> None:
    baseline = [ran("default", "a", "b", "c", "d", packed=before)]
    current = [ran("it", "a", packed=now), ran("unit", "c", "d")]
    assert gone(current, baseline) == [("it", UNNAMED if before else "b")]


def test_a_part_that_is_still_there_has_no_heirs() -> None:
    baseline = [ran("default", "a", "b", packed=True)]
    current = [ran("default", "a"), ran("unit", "b")]
    assert gone(current, baseline) == [("default", UNNAMED)]
