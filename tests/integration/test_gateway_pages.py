"""Lists as people read them: pages that link on, and CSV. The audit service's part is played by a small service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from libs.common.contracts.audit import CONTRACT
from libs.common.contracts.audit.chain import verify_chain
from libs.common.contracts.audit.entries import list_entries
from libs.common.contracts.base import Query
from libs.common.service import Batch, Read, Service, Staged
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge; tests start the double of the audit service themselves."""
    edge = await Http(stack).open()
    yield edge
    await edge.close()


class Ledger:
    """Plays the audit service: two pages of one entry."""

    async def page(self, _: Read, params: Any) -> bytes:
        rows = [{"seq": 2, "type": "=HYPERLINK()", "site": "global"}] if params.cursor is None else [{"seq": 1}]
        return orjson.dumps({"items": rows, "next_cursor": None if params.cursor else "2"})

    async def verify(self, _: Read, __: Any) -> bytes:
        return b"{}"

    async def take(self, *_: Any) -> list[Staged]:
        return []

    def service(self) -> Service:
        """The table of contents."""
        queries: dict[Query, Any] = {list_entries: self.page, verify_chain: self.verify}
        return Service(contract=CONTRACT, queries=queries, batch=Batch(self.take))


async def test_pages_link_on_and_read_as_csv(http: Http) -> None:
    await http.stack.start(Ledger().service())
    page = await http.client.get("/api/audit/entries", params={"limit": 1})
    assert page.headers["Link"] == '</api/audit/entries?limit=1&cursor=2>; rel="next"'
    last = await http.client.get(page.headers["Link"].partition("<")[2].partition(">")[0])
    assert last.json()["items"] == [{"seq": 1}], last.text
    assert "Link" not in last.headers
    for path, accept in (("/api/audit/entries.csv", "*/*"), ("/api/audit/entries", "text/csv")):
        csv = await http.client.get(path, headers={"Accept": accept})
        assert csv.headers["content-type"] == "text/csv; charset=utf-8"
        disposition = csv.headers["Content-Disposition"]
        assert disposition == f'attachment; filename="audit-entries-{http.stack.clock():%Y%m%dT%H%M%SZ}.csv"'
        header, row = csv.text.split("\r\n")[:2]
        assert header.startswith("seq,time,type,site")
        assert row.startswith("2,,'=HYPERLINK(),global,")
        same = await http.client.get(path, headers={"Accept": accept, "If-None-Match": csv.headers["ETag"]})
        assert (same.status_code, same.content) == (304, b"")
