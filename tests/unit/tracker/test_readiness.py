"""May a board be completed?"""

from dataclasses import fields

import pytest

from services.tracker.domain.readiness import Counts, assess, completion_rate_percent


def test_no_items_after_a_go_is_ready() -> None:
    assessment = assess(Counts(closed=3), "go")
    assert (assessment.ready, assessment.score_percent, assessment.blockers) == (True, 100, ())
    assert completion_rate_percent(Counts(closed=3)) == 100


def test_no_data_is_not_a_pass() -> None:
    assessment = assess(Counts(), None)
    assert (assessment.ready, assessment.score_percent) == (False, 0)
    assert assessment.blockers == ("The gate has not been judged yet: sync the board or run the gate.",)


def test_a_no_go_without_items_is_not_ready() -> None:
    assessment = assess(Counts(), "no_go")
    assert (assessment.ready, assessment.score_percent) == (False, 99)
    assert assessment.blockers == ("The gate's last verdict is NO_GO.",)


@pytest.mark.parametrize("name", [one.name for one in fields(Counts) if one.name not in ("active", "closed", "done")])
def test_each_counter_blocks(name: str) -> None:
    one = assess(Counts(active=10, **{name: 1}), "go")
    two = assess(Counts(active=10, **{name: 2}), "go")
    assert (one.ready, len(one.blockers), one.score_percent) == (False, 1, 88)
    assert one.blockers[0].startswith("1 item is ")
    assert two.blockers[0].startswith("2 items are ")


def test_claims_alone_do_not_make_a_board_ready() -> None:
    counts = Counts(active=2, done=2, unverified_done=2)
    assessment = assess(counts, "go")
    assert (assessment.ready, assessment.score_percent) == (False, 99)
    assert assessment.blockers == ("2 items are claimed done but not yet confirmed by a passing gate run.",)


def test_score_counts_passed_checks_and_is_raised_to_the_rate() -> None:
    low = Counts(active=4, pending=4, missing_assignee=4, missing_completion_checked=4, critical_open=4)
    assert assess(low, "no_go").score_percent == 50
    high = Counts(
        active=10,
        done=9,
        pending=1,
        missing_assignee=1,
        missing_completion_checked=1,
        critical_open=1,
        overdue=1,
        unverified_done=9,
    )
    assert assess(high, "no_go").score_percent == 90
