"""Deliveries to other systems and people."""

from __future__ import annotations

from deploy.dashboards.pages import DELIVERIES, GIVEN_UP, GUARD, IN_THIS_STATE
from deploy.dashboards.parts import COUNT, PER_SECOND, SECONDS, Board, Choice, Query, graph
from deploy.dashboards.parts import number as single

_HERE = 'channel=~"$channel"'

NOW = (
    single(
        "Given up in 24 hours", "Deliveries that are sent no more; each can be sent again by hand.", COUNT,
        Query(
            f'sum(increase(headgate_delivery_attempts_total{{state="dead", {_HERE}}}[24h])) or vector(0)', "given up"
        ),
        pages=(GIVEN_UP,), bad_from=1,
    ),
    single(
        "Targets left alone", "Circuits that are open or tried: these targets keep failing.", COUNT,
        Query('sum(max by (state) (headgate_circuits{state=~"open|half_open"})) or vector(0)', "left alone"),
        pages=(GUARD,), bad_from=1,
    ),
    single(
        "Oldest without a try", "How long the oldest delivery has been due without an attempt.", SECONDS,
        Query(f"max(headgate_delivery_oldest_age_seconds{{{_HERE}}})", "oldest"), pages=(DELIVERIES,),
        bad_from=120,
    ),
    single(
        "Oldest held back", "How long the oldest one has been held back while its target fails; 17 hours is the end.",
        SECONDS, Query(f"max(headgate_delivery_held_back_age_seconds{{{_HERE}}})", "oldest"),
        pages=(GUARD,), bad_from=43200,
    ),
)  # fmt: skip
OVER_TIME = (
    graph(
        "Attempts to deliver", "A second, by what became of them.", PER_SECOND,
        Query(
            f"sum by (channel, state) (rate(headgate_delivery_attempts_total{{{_HERE}}}[5m]))", "{{channel}} {{state}}"
        ),
        pages=(DELIVERIES,), leads=(IN_THIS_STATE,),
    ),
    graph(
        "Time to a receiver's answer",
        "The slowest twentieth by channel, and how long the oldest has been due without a try.", SECONDS,
        Query(
            f"histogram_quantile(0.95, sum by (le, channel) "
            f"(rate(headgate_delivery_duration_seconds_bucket{{{_HERE}}}[5m])))",
            "{{channel}} 95 %",
        ),
        Query(f"max by (channel) (headgate_delivery_oldest_age_seconds{{{_HERE}}})", "{{channel}} oldest due"),
    ),
    graph(
        "Deliveries that are open, and circuits",
        "What waits, is sent or is held back, and how many targets are left alone.", COUNT,
        Query(f"sum by (state) (max by (channel, state) (headgate_deliveries_open{{{_HERE}}}))", "{{state}}"),
        Query("max by (state) (headgate_circuits)", "circuits {{state}}"), pages=(DELIVERIES, GUARD),
    ),
    graph(
        "Age of what is held back", "By channel. What is held back for 17 hours is given up.", SECONDS,
        Query(f"max by (channel) (headgate_delivery_held_back_age_seconds{{{_HERE}}})", "{{channel}}"), pages=(GUARD,),
    ),
)  # fmt: skip


def board() -> Board:
    """Does what we say arrive?"""
    return Board(
        "notifications",
        "headgate-notifications",
        "Headgate: notifications",
        "Deliveries to other systems and people: do they arrive, and what waits.",
        (("Now", NOW), ("Over time", OVER_TIME)),
        (Choice("channel", "headgate_delivery_attempts_total", "Channel"),),
    )
