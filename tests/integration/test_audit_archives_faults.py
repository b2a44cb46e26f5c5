"""Each write of an archive to the outside, failed and failed though it was persisted: trying again ends well."""

from __future__ import annotations

from typing import IO, Any

import pytest

from libs.common import outcomes
from libs.common.buckets import AUDIT_ARCHIVES, stream_name
from libs.common.contracts.audit.archives import get_archive, make_archive, verify_archive
from libs.common.objects import Bucket
from libs.common.problems import Unavailable
from services.audit.archives import making
from tests.integration.archive_desk import make, month_with, shown, start
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick_checkpoints")]


async def _objects(stack: Stack) -> int:
    """How many files lie in the store, whole or not."""
    bucket = stream_name(stack.topology.namespace, AUDIT_ARCHIVES.name)
    info = await stack.bus.js.stream_info(bucket, subjects_filter="$O.*.>")
    return len(info.state.subjects or {})


class Faulty:
    """Breaks a function some times: before it did anything, or after it did all of it."""

    def __init__(self, real: Any, persisted: bool, error: BaseException, times: int) -> None:
        self.real, self.persisted, self.error, self.times, self.broken = real, persisted, error, times, 0

    async def __call__(self, *values: Any) -> Any:
        if self.broken == self.times:
            return await self.real(*values)
        self.broken += 1
        if self.persisted:
            await self.real(*values)
        raise self.error


@pytest.mark.parametrize("persisted", [False, True], ids=["failed", "failed but persisted"])
async def test_a_file_that_could_not_be_put(stack: Stack, monkeypatch: pytest.MonkeyPatch, persisted: bool) -> None:
    await start(stack)
    month = await month_with(stack, 3)
    real = Bucket.put
    # The loop tries a batch, then each of its messages.
    fault = Faulty(real, persisted, Unavailable("The message bus can't store the request now."), 2)

    async def put(self: Bucket, name: str, size: int, packed: IO[bytes]) -> None:
        await (fault if self.name == AUDIT_ARCHIVES.name else real)(self, name, size, packed)

    monkeypatch.setattr(Bucket, "put", put)
    await make(stack, month, 503)
    assert (await stack.query(get_archive, {"month": month})).status == 404  # no row names what may lie there
    assert (await _objects(stack) > 0) is persisted
    made = (await make(stack, month)).json
    assert fault.broken == 2
    assert await _objects(stack) == 2 + 2 * persisted  # one description, and the chunks of each putting
    assert (await stack.query(verify_archive, {"month": month})).json["valid"]
    stack.clock.advance(hours=5)
    assert await stack.run_job("audit", "remove_unnamed_archives")
    assert await _objects(stack) == 2  # what the broken one left is gone, what the row names is there
    assert await shown(stack, month) == made
    assert (await stack.query(verify_archive, {"month": month})).json["valid"]


async def test_a_row_that_could_not_be_written_and_an_outcome_that_was_lost(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row fails: the whole transaction is gone, and the next try makes the same file. The transaction is stored and
    its answer lost: the command comes again, and is known.
    """
    await start(stack)
    month = await month_with(stack, 3)
    right, put, told = making.UPSERT_ARCHIVE, Bucket.put, outcomes.tell
    wrong = right.replace("INTO archive", "INTO archive_that_is_not")
    lost = Faulty(told, False, ConnectionError("the answer was lost"), 1)
    rows = [right, wrong, wrong]  # from its end: two tries fail, which are the batch and then the message
    seen: list[int] = []

    async def put_before_the_row(self: Bucket, name: str, size: int, packed: IO[bytes]) -> None:
        await put(self, name, size, packed)
        if self.name == AUDIT_ARCHIVES.name:
            seen.append((await stack.query(get_archive, {"month": month})).status)
            monkeypatch.setattr(making, "UPSERT_ARCHIVE", rows.pop())
            if not rows:
                monkeypatch.setattr(outcomes, "tell", lost)

    monkeypatch.setattr(Bucket, "put", put_before_the_row)
    command_id = await stack.post(make_archive, {"month": month})
    answer = await stack.outcome(command_id)
    assert (answer.status, lost.broken, seen) == (201, 1, [404] * 3)
    made = await shown(stack, month)
    assert answer.json == made
    assert await _objects(stack) == 4  # three puttings under one name
    stack.clock.advance(hours=5)
    assert await stack.run_job("audit", "remove_unnamed_archives")
    assert await _objects(stack) == 2
    assert (await stack.query(verify_archive, {"month": month})).json["valid"]
