"""Noise: how many alerts may be wrong or missing, and how many were, by what people have said."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, Model, Nothing, Open, Query, Time
from libs.common.contracts.notifier.outages import ALERTS
from libs.common.contracts.notifier.policies import Policy
from libs.common.contracts.versions import Document
from libs.common.problems import Conflict

_PATH = f"{ALERTS}/noise-policy"

NoiseStatus = Literal["ok", "warning", "critical", "no_data"]


class NoisePolicy(Model):
    """How many alerts may be wrong or missing. A rate that is at its limit is within it."""

    review_window_days: int = Field(14, ge=7, le=90, description="How far back a review looks")
    false_positive_percent: float = Field(5.0, ge=0, le=100, description="How many of the judged alerts may be wrong")
    false_negative_percent: float = Field(
        1.0, ge=0, le=100, description="How many of what should have been told may have been missed"
    )
    critical_weeks: int = Field(2, ge=1, le=8, description="After so many weeks above a limit, one after the other")


class NoiseCounts(Open):
    """``reviewed_count``: alerts of which somebody said something. Rates are null where nothing can be said.

    ``false_positive_rate_percent``: of the judged ones the wrong ones. ``false_negative_rate_percent``: of the right
    ones and those that were missed, the missed ones.
    """

    reviewed_count: int
    true_positive_count: int
    false_positive_count: int
    missed_count: int
    false_positive_rate_percent: float | None
    false_negative_rate_percent: float | None
    status: Literal["ok", "above", "no_data"]


class NoiseWeek(NoiseCounts):
    """A week from Monday to Monday (UTC)."""

    begins_at: Time
    ends_at: Time


class NoiseReview(Open):
    """``status``: ``critical`` after so many whole weeks above a limit, one after the other; ``warning`` where the

    window or the newest whole week is above; ``no_data`` where nobody has said anything in the window, which is never
    ok. ``weeks``: whole ones, the newest first; ``message`` says it in a sentence.
    """

    generated_at: Time
    policy: NoisePolicy
    status: NoiseStatus
    message: str
    window_days: int
    window: NoiseCounts
    weeks: list[NoiseWeek]


NOISE_DOCUMENT: Document[NoisePolicy] = Document(
    "notifier",
    "noise_policy",
    content=NoisePolicy,
    default=NoisePolicy(),
    path=f"{_PATH}/document",
    what="the noise policy",
)
NOISE: Policy[NoisePolicy] = Policy(NOISE_DOCUMENT, _PATH, key="alert_noise_policy_default", scope="ops.alerts.noise")
get_policy = NOISE.get
set_policy = NOISE.configure
review_noise = Query(
    "notifier.noise.review",
    params=Nothing,
    result=NoiseReview,
    permission="subscription:read",
    http=GET(f"{_PATH}/review"),
    errors=(Conflict,),
    summary="How many alerts were wrong or missing, by what people said, in the window and week by week",
)
