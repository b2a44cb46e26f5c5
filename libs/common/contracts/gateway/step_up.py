"""Step-up: a session shows its person's second factor once more, before what the policy names."""

from __future__ import annotations

from typing import Literal

from libs.common.contracts.base import POST, Command, Event, Model, Open, Time
from libs.common.contracts.changes import Changed
from libs.common.contracts.gateway.passwords import Tries
from libs.common.contracts.gateway.second_factors import FactorProof
from libs.common.problems import Conflict, Forbidden

PATH = "/api/me/step-up"


class StepUpSealed(Model):
    """What travels on the bus: what the edge has seen of a code, how that was counted, and the caller's session."""

    proof: FactorProof
    tries: Tries
    caller_session_id: int


class SteppedUp(Open):
    """``fresh_until``: until when this session is asked for no other code."""

    session_id: int
    username: str
    factor_at: Time
    fresh_until: Time


class SessionSteppedUp(Changed):
    """A second factor was shown in a session that was open. ``by``: a ``code`` of the app, or a ``recovery`` code."""

    session_id: int
    username: str
    by: Literal["code", "recovery"]


step_up = Command(
    "gateway.session.step_up",
    body=StepUpSealed,
    result=SteppedUp,
    permission="me:write",
    http=POST(PATH, seal="step_up"),
    errors=(Conflict, Forbidden),
    summary="Show a code of your second factor in the session that you come with",
    about="{session_id}",
    sited=False,
)
session_stepped_up = Event(
    "gateway.session.stepped_up", data=SessionSteppedUp, summary="A second factor was shown in an open session"
)
