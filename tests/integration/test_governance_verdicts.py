"""The newest verdict of each line of a site, with what led to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from libs.common.contracts.governance.halts import stop_line
from libs.common.contracts.governance.verdicts import list_verdicts
from tests.integration.governance_desk import run, send_release, start
from tests.stack import Stack

pytestmark = pytest.mark.integration

LONG = "界" * 200  # the longest name there is, and the widest signs that are common


async def verdicts(stack: Stack, *, site: str = "global", **wanted: Any) -> list[dict[str, Any]]:
    """All that is listed."""
    answer = await stack.query(list_verdicts, wanted, site=site)
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.json["items"]
    return found


async def judged(stack: Stack, version: str, *, good: bool) -> dict[str, Any]:
    """A run of the gate ``release`` about the subject ``app``, of whose version there are good signals, or none."""
    if good:
        await send_release(stack, version, tests=("a",))
    stack.clock.advance(minutes=1)
    made: dict[str, Any] = await run(stack, gate="release", subject="app", version=version)
    assert (made["decision"] == "go") is good
    return made


async def test_a_line_shows_its_newest_verdict_and_since_when_it_is_so(stack: Stack) -> None:
    await start(stack)
    assert await verdicts(stack) == []
    first = await judged(stack, "1.0", good=False)
    (shown,) = await verdicts(stack)
    assert (shown["verdict"], shown["run_id"], shown["last_go_run_id"]) == ("NO_GO", first["run_id"], None)
    assert (shown["changed_at"], shown["changed_from"]) == (None, None)
    assert shown["reasons"] == [one if len(one) <= 300 else f"{one[:299]}…" for one in first["reasons"][:3]]
    assert len(first["reasons"]) > 3, "else nothing shows that the rest is left out"

    go = await judged(stack, "1.1", good=True)
    again = await judged(stack, "1.1", good=True)
    (shown,) = await verdicts(stack)
    assert shown["run_number"] == 3
    assert shown["last_go_run_id"] == again["run_id"]
    assert (shown["changed_at"], shown["changed_from"]) == (go["decided_at"], "NO_GO")
    assert shown["valid_until"] == again["valid_until"] is not None

    bad = await judged(stack, "1.2", good=False)
    worse = await judged(stack, "1.3", good=False)
    (shown,) = await verdicts(stack)
    assert {name: shown[name] for name in ("gate", "site", "subject", "line", "version", "run_id", "decision")} == {
        "gate": "release", "site": "global", "subject": "app", "line": "", "version": "1.3",
        "run_id": worse["run_id"], "decision": "no_go",
    }  # fmt: skip
    assert (shown["changed_at"], shown["changed_from"]) == (bad["decided_at"], again["verdict"])
    assert shown["last_go_run_id"] == again["run_id"]
    scores = [one["summary"]["weighted_score_percent"] for one in (first, go, again, bad, worse)]
    assert shown["scores"] == scores
    assert shown["score_percent"] == scores[-1]
    assert len(set(scores)) > 1, "else their order shows nothing"


async def test_pages_and_filters_of_a_site(stack: Stack) -> None:
    await start(stack)
    await judged(stack, "1.0", good=True)
    for subject in ("bare", LONG):
        await run(stack, gate="release", subject=subject, version="1.0")
    await run(stack, gate="release", subject="app", version="2.0", line="next")
    await run(stack, gate="operations")
    lines = [
        ("operations", "site", ""), ("release", "app", ""), ("release", "app", "next"), ("release", "bare", ""),
        ("release", LONG, ""),
    ]  # fmt: skip

    def places(found: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
        return [(one["gate"], one["subject"], one["line"]) for one in found]

    assert places(await verdicts(stack)) == lines
    both = await verdicts(stack, gate="release", subject="app")
    told = [(one["version"], one["decision"], len(one["scores"]), one["changed_at"]) for one in both]
    assert told == [("1.0", "go", 1, None), ("2.0", "no_go", 1, None)]  # nothing of another line
    seen: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await stack.query(list_verdicts, {"limit": 1} | ({"cursor": cursor} if cursor else {}))
        assert page.status == 200, page
        seen += page.json["items"]
        if (cursor := page.json["next_cursor"]) is None:
            break
        assert len(seen) < 10
    assert places(seen) == lines
    assert places(await verdicts(stack, gate="release", subject="app")) == lines[1:3]
    assert places(await verdicts(stack, subject="bare")) == [lines[3]]
    assert places(await verdicts(stack, gate="release", decision="go")) == [lines[1]]
    assert places(await verdicts(stack, gate="release", decision="no_go")) == lines[2:]
    assert await verdicts(stack, gate="nobody-s") == []
    assert await verdicts(stack, site="elsewhere") == []
    assert (await stack.query(list_verdicts, {"cursor": "x"})).status == 422


async def test_a_go_that_is_over_is_shown_as_such_before_any_run_says_so(stack: Stack) -> None:
    await start(stack)
    go = await judged(stack, "1.0", good=True)
    (shown,) = await verdicts(stack)
    assert (shown["verdict"], shown["holds"], shown["valid_until"]) == ("GO", True, go["valid_until"])
    await stack.command(stop_line, {"subjects": "app", "reason": "the disk burns"})
    (shown,) = await verdicts(stack)
    assert (shown["decision"], shown["holds"]) == ("go", False)


async def test_a_go_is_over_by_the_clock_alone(stack: Stack) -> None:
    await start(stack)
    go = await judged(stack, "1.0", good=True)
    stack.clock.advance(seconds=(datetime.fromisoformat(go["valid_until"]) - stack.clock()).total_seconds() + 1)
    (shown,) = await verdicts(stack)
    assert (shown["decision"], shown["holds"]) == ("go", False)


async def test_what_is_no_go_holds_nothing(stack: Stack) -> None:
    await start(stack)
    await judged(stack, "1.0", good=True)
    await judged(stack, "1.1", good=False)
    (shown,) = await verdicts(stack)
    assert (shown["decision"], shown["holds"]) == ("no_go", False)
