"""The list of job runs: a run that is told in another site's envelope is not taken."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from libs.common.contracts.jobs import JobRun
from services.metrics.job_runs import on_job_finished


async def test_a_run_of_another_site_is_refused() -> None:
    now = datetime(2027, 1, 4, tzinfo=UTC)
    run = JobRun(
        run_id=3, job_name="tally", site="north", trigger="api", actor="ann", status="success", started_at=now,
        finished_at=now,
    )  # fmt: skip
    with pytest.raises(ValueError, match="'north' was told in the site 'south'"):
        await on_job_finished("tracker", cast(Any, SimpleNamespace(site="south")), run)
