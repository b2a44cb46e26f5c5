"""What the tests of archives share: a month of a log that is over, and its file taken apart and put together again."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

from libs.common.contracts.audit.archives import get_archive, make_archive
from libs.common.settings import Settings
from services.audit.domain import months
from services.audit.service import make_service
from services.operations.service import make_service as make_operations
from tests.integration.audit_desk import record
from tests.integration.test_audit_static import settled
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Answer, Stack

Change = Callable[[dict[str, bytes]], None]


async def month_with(stack: Stack, count: int) -> str:
    """Entries in a month, which is over when this returns."""
    month = months.month_of(stack.clock())
    await record(stack, count)
    await settled(stack)
    await pass_month(stack)
    return month


async def pass_month(stack: Stack) -> None:
    """Let the month end: the next entries are of the next one."""
    end = months.window(months.month_of(stack.clock()))[1]
    stack.clock.now = end + 2 * months.SETTLED


async def start(stack: Stack) -> None:
    """The services that an archive is made by."""
    await stack.start(make_service(SIGNER), make_operations(Settings()))


async def make(stack: Stack, month: str, status: int = 201) -> Answer:
    """Archive a month."""
    await settled(stack)
    answer = await stack.command(make_archive, {"month": month})
    assert answer.status == status, answer
    return answer


async def shown(stack: Stack, month: str) -> dict[str, Any]:
    """What lies there of a month."""
    answer = await stack.query(get_archive, {"month": month})
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


def files_of(content: bytes) -> dict[str, bytes]:
    """The files of an archive by their paths."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed(content: bytes, change: Change) -> bytes:
    """The archive with changed files."""
    files, made = files_of(content), io.BytesIO()
    change(files)
    with zipfile.ZipFile(made, "w") as archive:
        for name, one in files.items():
            archive.writestr(name, one)
    return made.getvalue()
