"""What is gathered of a person's work is bounded, whatever pages the log answers with."""

from __future__ import annotations

import itertools
from typing import cast

import pytest

from libs.common.contracts.audit.sessions import Session, SessionFilter
from libs.common.contracts.base import Page, Query
from libs.common.service import Read
from services.gateway.personal import data


class Log:
    """A log that always has another page."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, _query: Query, _wanted: SessionFilter) -> Page[Session]:
        self.asked += 1
        return Page[Session](items=[], next_cursor="7")


async def test_it_ends_after_so_many_pages_and_says_so() -> None:
    log = Log()
    assert await data._work(cast("Read", log), "bob") == ([], True)
    assert log.asked == data.MAX_PAGES


async def test_it_ends_after_so_long_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    log, clock_s = Log(), itertools.count(0.0, data.MAX_WORK_S / 2)
    monkeypatch.setattr(data, "monotonic", lambda: next(clock_s))
    assert await data._work(cast("Read", log), "bob") == ([], True)
    assert log.asked == 2
