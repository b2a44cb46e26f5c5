"""Forecasts: what the judge will say of the facts of now, what turns on the way, and what to renew."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.judge.facts import Facts
from libs.judge.forecast import MAX_TURNS, forecast
from libs.judge.standing import NOBODY_DECIDED, Freeze, Halt, Standing, Waiver
from libs.judge.verdict import judge
from tests.unit.governance.samples import NOW, RELEASE, fact, good_release, junit_data

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GOOD = Facts(tuple(good_release()), (), None, "1.0")
ME = ("release", "plant", "app")


def waiver(begins: float, ends: float, rule_id: str = "junit_all_passed", number: int = 1) -> Waiver:
    return Waiver(number, "release", "app", rule_id, NOW + begins * HOUR, NOW + ends * HOUR, "known", "", "ann", "bob")


def freeze(begins: float, ends: float, name: str = "summer") -> Freeze:
    return Freeze(name, NOW + begins * HOUR, NOW + ends * HOUR, "closing")


def test_the_first_fact_that_grows_old_breaks_a_go() -> None:
    found = forecast(RELEASE, GOOD, NOBODY_DECIDED, NOW, NOW + 60 * DAY)
    assert (found.now.decision, found.then.decision) == ("go", "no_go")
    assert found.breaks_at == found.now.next_change_at == found.turns[0].at
    assert found.turns[0].rules[0].after == "fail"
    assert found.known_until == NOW + 60 * DAY
    kinds = [one.kind for one in found.renewals]
    assert sorted(kinds) == sorted({rule.kind for rule in RELEASE.rules if rule.max_age is not None})
    assert [one.begin_by for one in found.renewals] == sorted(one.begin_by for one in found.renewals)
    for one in found.renewals:
        assert one.begin_by == one.renew_by - timedelta(hours=one.sla_hours)
        assert one.times >= 1
    assert not found.repairs
    assert min(one.renew_by for one in found.renewals) == found.breaks_at


def test_what_is_renewed_just_in_time_leaves_no_gap() -> None:
    found = forecast(RELEASE, GOOD, NOBODY_DECIDED, NOW, NOW + 60 * DAY)
    tick = timedelta(microseconds=1)
    for one in found.renewals:
        others = tuple(replace(it, time=one.renew_by - tick) for it in GOOD.current if it.signal_id != one.signal_id)
        (mine,) = (it for it in GOOD.current if it.signal_id == one.signal_id)
        assert judge(RELEASE, replace(GOOD, current=(mine, *others)), one.renew_by - tick).decision == "go"
        assert judge(RELEASE, replace(GOOD, current=(mine, *others)), one.renew_by).decision == "no_go"


def test_nothing_turns_where_nothing_ends() -> None:
    found = forecast(RELEASE, GOOD, NOBODY_DECIDED, NOW, NOW + timedelta(seconds=1))
    assert (found.turns, found.breaks_at, found.renewals, found.then.decision) == ((), None, (), "go")


def test_a_freeze_breaks_and_its_end_gives_back() -> None:
    heart = Standing(*ME, freezes=(freeze(0.1, 0.15), freeze(0.12, 0.2, "other")))
    found = forecast(RELEASE, GOOD, heart, NOW, NOW + 0.21 * HOUR)
    assert [(turn.before, turn.after) for turn in found.turns] == [
        ("GO", "NO_GO"), ("NO_GO", "NO_GO"), ("NO_GO", "NO_GO"), ("NO_GO", "GO"),
    ]  # fmt: skip
    assert found.turns[0].changes == ("The freeze summer begins: closing",)
    assert found.turns[-1].changes == ("The freeze other ends: closing",)
    assert (found.breaks_at, found.then.decision, found.renewals) == (NOW + 0.1 * HOUR, "go", ())


def test_a_waivers_end_and_a_rule_that_begins_are_told() -> None:
    failing = Facts(
        (fact("test.junit", junit_data("t::a", failed=("t::b",)), part="unit", version="1.0"),
         *(one for one in GOOD.current if one.kind != "test.junit")), (), None, "1.0",
    )  # fmt: skip
    junit = next(one for one in RELEASE.rules if one.kind == "test.junit")
    covered = forecast(RELEASE, failing, Standing(*ME, (waiver(-1, 0.1, junit.id),)), NOW, NOW + 0.2 * HOUR)
    assert (covered.now.decision, covered.then.decision) == ("go", "no_go")
    assert covered.turns[0].changes == (f"The waiver 1 of the rule {junit.id} ends: known",)
    assert [one.id for one in covered.repairs] == [junit.id], "a waiver that ends is no fact to renew"
    rules = tuple(replace(one, effective_on=date(2026, 3, 2), max_age=None) for one in RELEASE.rules)
    policy = replace(RELEASE, rules=rules, allow_warning=True, min_weighted_score_percent=0.0)
    begun = forecast(policy, failing, NOBODY_DECIDED, NOW, NOW + DAY)
    assert begun.breaks_at is not None
    assert begun.breaks_at.isoformat() == "2026-03-02T00:00:00+00:00"
    assert f"The rule {junit.id} begins to fail rather than to warn." in begun.turns[0].changes


def test_too_much_to_list_says_how_far_it_is_known() -> None:
    many = tuple(freeze(24 * day, 24 * day + 1, "often") for day in range(1, 100))
    found = forecast(RELEASE, GOOD, Standing(*ME, freezes=many), NOW, NOW + 200 * DAY)
    assert len(found.turns) == MAX_TURNS
    assert found.known_until == found.turns[-1].at < NOW + 200 * DAY
    assert found.then.decision == "no_go"


def test_a_halt_has_no_end() -> None:
    halt = Halt(1, "global", "*", "stop", "eve", NOW)
    found = forecast(RELEASE, GOOD, Standing(*ME, halts=(halt,)), NOW, NOW + HOUR)
    assert (found.now.decision, found.then.decision, found.breaks_at) == ("no_go", "no_go", None)


HOURS = st.floats(-300, 300, allow_nan=False).map(lambda hours: round(hours, 2))


@given(
    ages=st.lists(st.floats(0, 200), min_size=4, max_size=4),
    freezes=st.lists(st.tuples(HOURS, HOURS), max_size=4),
    waivers=st.lists(st.tuples(HOURS, HOURS, st.sampled_from([one.id for one in RELEASE.rules])), max_size=3),
    hours=st.floats(0.01, 400),
)
@settings(max_examples=80, deadline=None)
def test_a_forecast_is_what_the_judge_says_then_of_the_same_facts(
    ages: list[float],
    freezes: list[tuple[float, float]],
    waivers: list[tuple[float, float, str]],
    hours: float,
) -> None:
    aged = [replace(one, time=NOW - age * HOUR) for one, age in zip(GOOD.current, ages, strict=True)]
    facts = replace(GOOD, current=tuple(aged))
    decided = Standing(
        *ME,
        tuple(waiver(a, b, rule, n) for n, (a, b, rule) in enumerate(waivers, 1)),
        freezes=tuple(freeze(a, b, f"c{n}") for n, (a, b) in enumerate(freezes)),
    )
    until = NOW + hours * HOUR
    found = forecast(RELEASE, facts, decided, NOW, until)
    assert found.then == judge(RELEASE, facts, until, decided)
    moments = [turn.at for turn in found.turns]
    assert moments == sorted(moments)
    assert all(NOW < moment <= until for moment in moments)
    # Between what is listed nothing turns.
    for before, after in zip([NOW, *moments], [*moments, until], strict=True):
        middle = before + (after - before) / 2
        if before < middle < after:
            there = judge(RELEASE, facts, middle, decided)
            assert there.verdict == judge(RELEASE, facts, before, decided).verdict
