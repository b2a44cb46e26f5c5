"""A month's CSV files alone: read out of the stored archive, with a signature of their own."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.common.buckets import AUDIT_ARCHIVES
from libs.common.objects import Bucket
from libs.tlog.archives import check_csv
from libs.tlog.notes import Signer
from tests.command_line import Tool
from tests.http_edge import Http
from tests.integration.archive_desk import files_of, make, month_with, start
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick_checkpoints")]


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    await start(stack)
    made = await Http(stack).open()
    yield made
    await made.close()


async def test_both_forms_are_what_lies_in_the_archive(http: Http, tool: Tool, tmp_path: Path) -> None:
    stack = http.stack
    month = await month_with(stack, 40)
    assert (await http.client.get(f"/api/audit/archives/{month}/csv")).status_code == 404
    made = (await make(stack, month)).json
    files = files_of((await http.client.get(f"/api/audit/archives/{month}/content")).content)
    for version, name in (("v1", f"audit-archive-{month}.csv"), ("v2", f"audit-archive-{month}-v2.csv")):
        answer = await http.client.get(f"/api/audit/archives/{month}/csv", params={"format_version": version})
        assert (answer.status_code, answer.content) == (200, files[name])
        said, sha256 = answer.headers, hashlib.sha256(files[name]).hexdigest()
        assert said["content-type"].startswith("text/csv")
        assert said["content-disposition"] == f'attachment; filename="{name}"'
        assert (said["x-audit-archive-sha256"], said["x-audit-archive-format-version"]) == (sha256, version)
        assert (
            check_csv(said["x-audit-archive-signature"], month, version, sha256, [SIGNER.verifier]).name
            in made["origin"]
        )
        again = await http.client.get(answer.request.url, headers={"If-None-Match": said["etag"]})
        assert again.status_code == 304
        target = tmp_path / name
        done = await tool("audit", "archive", "csv", month, "--format-version", version, "--output", str(target),
                          "--key", SIGNER.verifier.text)  # fmt: skip
        assert (done.exit_code, target.read_bytes()) == (0, files[name]), done.output
    # The default is the form that older callers know.
    assert (await http.client.get(f"/api/audit/archives/{month}/csv")).content == files[f"audit-archive-{month}.csv"]
    assert (await http.client.get(f"/api/audit/archives/{month}/csv?format_version=v3")).status_code == 422
    head = await http.client.head(f"/api/audit/archives/{month}/csv")
    assert (head.status_code, int(head.headers["content-length"])) == (200, len(files[f"audit-archive-{month}.csv"]))


async def test_only_who_may_see_all_sites_has_it(http: Http) -> None:
    month = await month_with(http.stack, 5)
    await make(http.stack, month)
    await http.site("plant-1")
    some, every = await http.user("some", "auditor", ["plant-1"]), await http.user("every", "auditor")
    path = f"/api/audit/archives/{month}/csv"
    assert ((await some.get(path)).status_code, (await every.get(path)).status_code) == (403, 200)


async def test_what_the_key_has_not_signed_is_not_written(http: Http, tool: Tool, tmp_path: Path) -> None:
    month = await month_with(http.stack, 5)
    await make(http.stack, month)
    target = tmp_path / "month.csv"
    words = ("audit", "archive", "csv", month, "--output", str(target))
    other = Signer.from_seed(SIGNER.verifier.name, bytes(31) + b"\1")
    refused = await tool(*words, "--key", other.verifier.text)
    assert (refused.exit_code, target.exists()) == (2, False), refused.output
    assert "no key that you trust has signed this file" in refused.stderr
    unchecked = await tool(*words)
    assert (unchecked.exit_code, target.exists()) == (0, True)
    assert "--key" in unchecked.stderr
    assert (await tool(*words)).exit_code == 2  # it exists


async def test_an_altered_archive_gives_no_whole_csv(http: Http) -> None:
    """What lies in the store was altered, in the CSV's own bytes: the connection breaks before it is whole."""
    stack = http.stack
    month = await month_with(stack, 5)
    made = (await make(stack, month)).json
    content = (await http.client.get(f"/api/audit/archives/{month}/content")).content
    wanted = files_of(content)[f"audit-archive-{month}.csv"]
    at = content.index(wanted)
    for altered in (content[: at + 5] + b"?" + content[at + 6 :], content[: at + 5]):
        bucket = Bucket(AUDIT_ARCHIVES.name).bind(stack.bus)
        packed = io.BytesIO(gzip.compress(altered))
        await bucket.put(made["sha256"], len(altered), packed)
        answer = await http.client.get(f"/api/audit/archives/{month}/csv")
        assert answer.status_code == 404, answer.text
        assert "not in the store" in answer.json()["detail"]


async def test_an_archive_from_before_says_where_its_csv_lies(http: Http) -> None:
    month = await month_with(http.stack, 5)
    await make(http.stack, month)
    superuser = await http.stack.superuser()
    await superuser.execute("DELETE FROM audit.archive_csv")
    await superuser.close()
    answer = await http.client.get(f"/api/audit/archives/{month}/csv")
    assert answer.status_code == 404
    assert f"/api/audit/archives/{month}/content" in answer.json()["detail"]
