"""What of a stream or durable may be wider than declared, and what may not."""

from __future__ import annotations

from typing import Any

import pytest
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, StreamConfig

from libs.common.widths import covers, differences, subjects_of, surplus, widened

DURABLE = ConsumerConfig(
    filter_subjects=["e.*.a.b.c", "e.*.d.e.f"],
    ack_policy=AckPolicy.EXPLICIT,
    ack_wait=60,
    max_deliver=-1,
    max_ack_pending=5000,
)
STREAM = StreamConfig(subjects=["e.>"], discard=DiscardPolicy.NEW, max_age=60, max_bytes=100, duplicate_window=120)


@pytest.mark.parametrize(
    ("pattern", "subject", "wider"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a.*", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a.>", True),
        ("a.>", "a.*", True),
        (">", "a.>", True),
        ("a.*.>", "a.b.>", True),
        ("a.>", "a", False),
        ("a.*", "a.>", False),
        ("a.*", "a.b.c", False),
        ("a.b.c", "a.b", False),
        ("a.b", "a.*", False),
        ("a.*.>", "a.>", False),
    ],
)
def test_one_pattern_covers_another(pattern: str, subject: str, wider: bool) -> None:
    assert covers(pattern, subject) is wider


@pytest.mark.parametrize(
    "changed",
    [
        {"filter_subjects": ["e.*.a.b.c", "e.*.d.e.f", "e.*.g.h.i"]},
        {"filter_subjects": ["e.*.a.>", "e.*.d.e.f"]},
        {"filter_subject": "e.>", "filter_subjects": None},
        {"filter_subjects": None},
        {"ack_wait": 90},
        {"max_ack_pending": 10_000},
        {"max_ack_pending": -1},
    ],
)
def test_a_wider_durable_serves_and_stays_as_wide(changed: dict[str, Any]) -> None:
    have = DURABLE.evolve(**changed)
    assert differences(DURABLE, have) == []
    assert len(surplus(DURABLE, have)) == 1
    assert (mended := widened(DURABLE, have)) == have or subjects_of(mended) == subjects_of(have) == {">"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"filter_subject": "e.*.a.b.c", "filter_subjects": None}, "e.*.d.e.f is missing"),
        ({"ack_wait": 30}, "ack_wait is 30, should be 60 at least"),
        ({"ack_wait": 0}, "ack_wait is 0, should be 60 at least"),
        ({"max_deliver": 5}, "max_deliver is 5, should be -1"),
        ({"ack_policy": AckPolicy.ALL}, "ack_policy"),
        ({"max_ack_pending": 10}, "max_ack_pending is 10"),
    ],
)
def test_what_a_durable_lacks_is_a_difference_and_is_mended(changed: dict[str, Any], said: str) -> None:
    have = DURABLE.evolve(**changed)
    [row] = differences(DURABLE, have)
    assert row.startswith(said)
    mended = widened(DURABLE, have)
    assert differences(DURABLE, mended) == surplus(DURABLE, mended) == []


def test_what_is_lacking_is_mended_beside_what_is_wider() -> None:
    have = DURABLE.evolve(filter_subjects=["e.*.a.b.c", "e.*.d.>"], ack_wait=10, max_ack_pending=9000, description="x")
    mended = widened(DURABLE.evolve(filter_subjects=["e.*.a.b.c", "e.*.d.e.f", "e.*.g.h.i"]), have)
    assert mended.filter_subjects == ["e.*.a.b.c", "e.*.d.>", "e.*.g.h.i"]
    assert (mended.ack_wait, mended.max_ack_pending, mended.description) == (60, 9000, "x")


def test_one_that_begins_to_hear_everything_hears_it_once() -> None:
    mended = widened(DURABLE.evolve(filter_subject="e.*.>", filter_subjects=None), DURABLE)
    assert subjects_of(mended) == {"e.*.>"}
    assert mended.filter_subjects is None


@pytest.mark.parametrize(
    ("changed", "is_enough"),
    [
        ({"subjects": ["e.>", "f.>"]}, True),
        ({"max_age": 0}, True),
        ({"max_bytes": -1}, True),
        ({"max_bytes": 101}, True),
        ({"duplicate_window": 300}, True),
        ({"duplicate_window": 0}, False),
        ({"subjects": ["f.>"]}, False),
        ({"max_age": 59}, False),
        ({"max_bytes": 99}, False),
        ({"discard": DiscardPolicy.OLD}, False),
    ],
)
def test_a_stream_may_keep_more_but_not_less(changed: dict[str, Any], is_enough: bool) -> None:
    have = STREAM.evolve(**changed)
    assert (differences(STREAM, have) == []) is is_enough
    mended = widened(STREAM, have)
    assert differences(STREAM, mended) == []
    assert set(have.subjects or ()) <= set(mended.subjects or ())
