"""``gate run --wait``: a verdict that lacks something is looked at again until it is GO, or the time is over."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

from libs.client.errors import UsageProblem
from libs.client.http import read_as
from libs.client.moments import seconds_of
from libs.client.session import Session
from libs.client.show import clean
from libs.common.contracts.governance.forecasts import Forecast, ForecastFilter
from libs.common.contracts.governance.runs import GateRun

POLL_S = 5.0
MAX_WAIT_S = 24 * 3600
HELP = "Wait so long (30s, 15m, 2h) for what is missing; what failed is not waited for."


def span(text: str) -> float:
    """Seconds of ``30s``, ``15m`` or ``2h``. Raises `UsageProblem`, also beyond a day."""
    seconds = seconds_of(text)
    if seconds is None or seconds > MAX_WAIT_S:
        raise UsageProblem(f"--wait {clean(text)[:40]} is no time to wait; write 30s, 15m or 2h, at most 24h.")
    return float(seconds)


def wait_for_go(session: Session, answer: Any, target: dict[str, Any], wait_s: float, run: Callable[[], Any]) -> Any:
    """The last verdict: GO, or what it was when waiting made no sense any more.

    ``run`` judges and stores; between, the gate is only asked, so that waiting leaves no verdicts behind. It is run
    again where what it says has changed by more than numbers, such as ages.
    """
    deadline = time.monotonic() + wait_s
    asked = {name: value for name, value in target.items() if name == "site" or name in ForecastFilter.model_fields}
    said: set[str] = set()
    for _ in range(math.ceil(wait_s / POLL_S)):
        verdict = read_as(GateRun, answer)
        if verdict.decision == "go" or _is_final(session, verdict):
            return answer
        if not said:
            session.note(f"headgate: waiting for: {' '.join(map(clean, verdict.reasons[:3]))}")
        said = _gist(verdict.reasons)
        if time.monotonic() >= deadline:
            break
        session.client.sleep(POLL_S)
        now = read_as(Forecast, session.client.call("governance.forecasts.get", **asked)).now
        if now.decision == "go" or _gist(now.reasons) != said:
            answer = run()
    if read_as(GateRun, answer).decision != "go":
        session.note("headgate: the time to wait is over.")
    return answer


def _is_final(session: Session, verdict: GateRun) -> bool:
    """Whether waiting mends nothing: something failed by what is there, or nothing is missing and nothing holds it."""
    counted = [rule for rule in verdict.rules if rule.status in ("fail", "warning")]
    failed = [rule.id for rule in counted if rule.status == "fail" and rule.has_evidence]
    if not failed and (verdict.holds or any(not rule.has_evidence for rule in counted)):
        return False
    named = ", ".join(map(clean, failed[:5])) or "the policy as a whole"
    session.note(f"headgate: not waiting, since this failed by what is there: {named}")
    return True


def _gist(reasons: list[str]) -> set[str]:
    return {re.sub(r"\d+", "#", reason) for reason in reasons}
