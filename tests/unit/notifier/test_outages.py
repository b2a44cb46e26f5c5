"""Outages follow from attempts alone, in whichever order these become known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.outages import Figures, Span, changes, mark, spans, time_of

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
ATTEMPTS = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=30)


def at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


def marks(*attempts: tuple[float, bool]) -> list[int]:
    return sorted({mark(at(minute), well=well) for minute, well in attempts})


def test_a_mark_keeps_the_time_to_the_microsecond() -> None:
    moment = datetime(2026, 11, 28, 16, 32, 1, 123457, tzinfo=UTC)
    assert time_of(mark(moment, well=True)) == time_of(mark(moment, well=False)) == moment
    assert mark(moment, well=False) < mark(moment, well=True) < mark(moment + timedelta(microseconds=1), well=False)


def test_the_first_failure_begins_it_and_the_next_success_ends_it() -> None:
    told = marks((0, True), (1, False), (2, False), (5, True), (6, True), (7, False))
    assert spans(told) == [Span(at(1), at(5)), Span(at(7))]
    assert spans(told[:1]) == []
    assert spans(told[2:], since=at(-3)) == [Span(at(-3), at(5)), Span(at(7))]
    assert spans(told[3:], since=at(-3)) == [Span(at(-3), at(5)), Span(at(7))]


def test_a_success_that_comes_late_splits_an_outage_and_a_failure_that_comes_late_moves_its_begin() -> None:
    known = {1: Span(at(1), at(9))}
    assert changes(marks((1, False), (4, False), (9, True), (2, True)), known).kept == (
        Span(at(1), at(2)),
        Span(at(4), at(9)),
    )
    moved = changes(marks((0, False), (1, False), (9, True)), known)
    assert (moved.gone, moved.kept) == ((1,), (Span(at(0), at(9)),))
    assert not changes(marks((1, False), (9, True)), known)
    assert not changes(marks((8, False), (9, True)), known)


@given(ATTEMPTS, st.randoms())
def test_any_order_and_any_repeat_give_the_same(attempts: list[tuple[int, bool]], chance: object) -> None:
    """As the notifier does it: each batch adds marks, and what differs is written."""
    wanted = spans(marks(*attempts))
    told = [*attempts, *attempts[::2]]
    chance.shuffle(told)  # type: ignore[attr-defined]
    rows: dict[int, Span] = {}
    known: set[int] = set()
    while told:
        batch, told = told[:3], told[3:]
        known.update(marks(*batch))
        first = time_of(min(known))
        seen = {number: one for number, one in rows.items() if one.ended_at is None or one.ended_at >= first}
        found = changes(sorted(known), seen)
        for number in found.gone:
            del rows[number]
        for one in found.kept:
            number = next((n for n, known_one in rows.items() if known_one.began_at == one.began_at), len(rows) + 1000)
            while number in rows and rows[number].began_at != one.began_at:
                number += 1
            rows[number] = one
    assert sorted(rows.values(), key=lambda one: one.began_at) == wanted


def test_nothing_recovered_has_no_mean() -> None:
    assert Figures().mttr_minutes is None
    assert Figures(2, 0).mttr_minutes is None
    both = Figures(2, 1, 60.0)
    both.add(Figures(3, 3, 540.0))
    assert (both.incident_count, both.unresolved_incidents, both.mttr_minutes) == (5, 1, 2.5)
