"""The end of the log, for services that watch it."""

from __future__ import annotations

from libs.common.contracts.base import Nothing, Open, Query, Time


class Head(Open):
    """The newest entry; with ``seq`` 0 there is none yet.

    ``broken``: what a verification found that does not fit, as a sentence, until a whole one is valid.
    """

    seq: int
    recorded_at: Time | None
    broken: str | None = None


get_head = Query("audit.head.get", params=Nothing, result=Head, sited=False)
