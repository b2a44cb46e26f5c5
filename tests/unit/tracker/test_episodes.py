"""What runs do to a board."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracker.domain.deadlines import Terms
from services.tracker.domain.episodes import judge
from services.tracker.domain.item import NOTE_LIMIT, Item, add_note
from services.tracker.domain.plan import Options, make_plan, priority
from tests.unit.tracker.samples import START, apply, kinds, run, verdict


def claimed(item: Item, hours: float) -> Item:
    return replace(item, status="done", completion_checked=True, completed_at=START + timedelta(hours=hours))


@pytest.mark.parametrize(
    ("status", "required", "expected"),
    [("fail", True, 1), ("fail", False, 2), ("warning", True, 3), ("warning", False, 4)],
)
def test_priority(status: str, required: bool, expected: int) -> None:
    assert priority(status, required) == expected  # type: ignore[arg-type]


def test_plan_order_and_numbers() -> None:
    verdicts = [
        verdict("z_warning", "warning", required=False, sla_hours=1),
        verdict("b_slow", sla_hours=8),
        verdict("c_fast", sla_hours=4),
        verdict("a_fast", sla_hours=4),
        verdict("optional", required=False, sla_hours=0),
        verdict("fine", "pass"),
    ]
    plan = make_plan(verdicts, Options())
    assert [(one.item_id, one.verdict.rule_id) for one in plan] == [
        ("GR-001", "a_fast"),
        ("GR-002", "c_fast"),
        ("GR-003", "b_slow"),
        ("GR-004", "optional"),
        ("GR-005", "z_warning"),
    ]
    assert plan[3].sla_hours == 1, "an SLA is at least an hour"


def test_plan_defaults_for_rules_that_name_no_owner_or_action() -> None:
    bare = replace(verdict("x"), owner_role="", action="")
    silent = replace(bare, rule_id="y", reason="")
    plan = make_plan([bare, silent], Options())
    assert [(one.owner_role, one.action) for one in plan] == [
        ("Ops Manager", "x is fail"),
        ("Ops Manager", "Mend what the rule found, then run the gate again."),
    ]


def test_first_failure_opens() -> None:
    items: dict[str, Item] = {}
    changes = apply(items, run(1, verdict("a"), verdict("b", "warning"), verdict("c", "pass")))
    assert kinds(changes) == {"a": "opened", "b": "opened"}
    item = items["a"]
    assert (item.status, item.is_active, item.episode, item.assignee) == ("pending", True, 1, None)
    assert item.due_at == START + timedelta(hours=4)
    assert (item.opened_at, item.gate_run_id, item.created_by) == (START, 1, "ann")


def test_due_time_never_moves_within_an_episode() -> None:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    due_at = items["a"].due_at
    for number in range(2, 6):
        apply(items, run(number, verdict("a", "warning", sla_hours=100 * number), hours=number))
    assert (items["a"].due_at, items["a"].sla_hours) == (due_at, 4)
    assert (items["a"].rule_status, items["a"].priority) == ("warning", 3)


def test_only_a_change_is_told() -> None:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    (again,) = apply(items, run(2, verdict("a"), hours=1))
    assert (again.kind, again.changed) == ("judged", ())
    assert (again.item.gate_run_id, again.item.updated_at) == (2, START + timedelta(seconds=1))
    (worse,) = apply(items, run(3, replace(verdict("a"), reason="two checks are critical"), hours=2))
    assert (worse.kind, worse.changed) == ("updated", ("reason",))


def test_a_pass_resolves() -> None:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    (change,) = apply(items, run(2, verdict("a", "pass"), hours=3))
    assert change.kind == "resolved"
    item = items["a"]
    assert (item.is_active, item.status, item.completion_checked, item.rule_status) == (False, "done", True, "pass")
    assert item.completed_at == item.verified_at == START + timedelta(hours=3)
    assert item.completion_note == "[2026-03-01 12:00 UTC] Resolved: run 2 passes a."
    assert apply(items, run(3, verdict("a", "pass"), hours=4)) == []


def test_a_pass_keeps_the_time_of_the_claim() -> None:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    items["a"] = claimed(items["a"], 1)
    apply(items, run(2, verdict("a", "pass"), hours=3))
    assert items["a"].completed_at == START + timedelta(hours=1)
    assert items["a"].verified_at == START + timedelta(hours=3)


def test_absence_never_resolves() -> None:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a"), verdict("b", "warning")))
    assert apply(items, run(2)) == []
    changes = apply(items, run(3, verdict("a"), verdict("b", "warning")), Options(include_warnings=False, max_items=1))
    assert kinds(changes) == {"a": "judged", "b": "judged"}
    assert all(item.is_active for item in items.values())


def test_options_limit_only_what_opens() -> None:
    items: dict[str, Item] = {}
    failing = (verdict("a"), verdict("b"), verdict("c", "warning"))
    assert kinds(apply(items, run(1, *failing), Options(max_items=1))) == {"a": "opened"}
    assert kinds(apply(items, run(2, *failing), Options(include_warnings=False))) == {"a": "judged", "b": "opened"}
    assert kinds(apply(items, run(3, *failing))) == {"a": "judged", "b": "judged", "c": "opened"}
    apply(items, run(4, verdict("a", "pass"), verdict("b", "pass"), verdict("c", "pass")))
    assert apply(items, run(5, verdict("c", "warning")), Options(include_warnings=False)) == []
    assert not items["c"].is_active


def test_failing_after_resolve_is_a_new_episode() -> None:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    items["a"] = replace(items["a"], assignee="bob", completion_note="rebooted")
    apply(items, run(2, verdict("a", "pass"), hours=1))
    (change,) = apply(items, run(3, verdict("a", sla_hours=8), hours=48))
    assert change.kind == "reopened"
    item = items["a"]
    assert (item.episode, item.status, item.completion_checked, item.completed_at) == (2, "pending", False, None)
    assert (item.verified_at, item.is_active, item.assignee, item.sla_hours) == (None, True, "bob", 8)
    assert (item.opened_at, item.due_at) == (START + timedelta(hours=48), START + timedelta(hours=56))
    assert item.completion_note.splitlines() == [
        "rebooted",
        "[2026-03-01 10:00 UTC] Resolved: run 2 passes a.",
        "[2026-03-03 09:00 UTC] Reopened: run 3 does not pass a. a is fail",
    ]
    assert item.created_at == START + timedelta(seconds=1)


def test_a_later_failure_refuses_a_claim() -> None:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    due_at = items["a"].due_at
    items["a"] = claimed(items["a"], 1)
    (change,) = apply(items, run(2, verdict("a"), hours=2))
    assert change.kind == "refused"
    item = items["a"]
    assert (item.status, item.completion_checked, item.completed_at) == ("pending", False, None)
    assert (item.episode, item.due_at, item.is_active) == (1, due_at, True)
    assert item.completion_note == "[2026-03-01 11:00 UTC] Claim refused: run 2 does not pass a. a is fail"


@pytest.mark.parametrize("hours", [0.5, 1])
def test_a_run_decided_before_the_claim_says_nothing_about_it(hours: float) -> None:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    items["a"] = claimed(items["a"], 1)
    (change,) = apply(items, run(2, verdict("a"), hours=hours))
    assert change.kind == "judged"
    assert items["a"].status == "done"


def test_a_rule_named_twice_passes_only_if_both_pass() -> None:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    changes = apply(items, run(2, verdict("a"), verdict("a", "pass")))
    assert kinds(changes) == {"a": "judged"}


def test_notes_are_bounded_and_keep_the_newest() -> None:
    note = add_note("x" * NOTE_LIMIT, START, "Resolved.")
    assert len(note) == NOTE_LIMIT
    assert note.startswith("…x")
    assert note.endswith("[2026-03-01 09:00 UTC] Resolved.")


STATUS = st.sampled_from(["pass", "fail", "warning", None])
RUNS = st.lists(st.tuples(STATUS, STATUS, st.integers(0, 2), st.booleans()), max_size=12)


@given(RUNS)
def test_every_history_keeps_the_rules(history: list[tuple[str | None, str | None, int, bool]]) -> None:
    items: dict[str, Item] = {}
    for number, (first, second, max_items, claim) in enumerate(history, start=1):
        before = dict(items)
        named = {"a": first, "b": second}
        verdicts = [verdict(rule, status) for rule, status in named.items() if status]  # type: ignore[arg-type]
        apply(items, run(number, *verdicts, hours=number), Options(max_items=max_items))
        for rule, item in items.items():
            old = before.get(rule)
            assert item.due_at == item.opened_at + timedelta(hours=item.sla_hours or 0)
            assert (item.status == "done") == item.completion_checked == (item.completed_at is not None)
            assert item.is_active == (item.verified_at is None)
            assert len(item.completion_note) <= NOTE_LIMIT
            if old is not None and old.is_active and not item.is_active:
                assert named[rule] == "pass"
            if old is not None and old.episode == item.episode:
                assert old.due_at == item.due_at
            if claim and item.is_active:
                items[rule] = claimed(item, number + 0.5)
        assert judge(items, run(number, hours=number), Options(), Terms()) == []
