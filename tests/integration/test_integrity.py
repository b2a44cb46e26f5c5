"""The integrity batch on real servers: stored evidence is really damaged, and each damage is named."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from libs.common.buckets import AUDIT_ARCHIVES, description_subject, stream_name
from libs.common.contracts.governance.signals import signal_recorded
from libs.common.contracts.operations.integrity import evidence_checked
from libs.common.objects import Bucket
from libs.common.outbound import Outbound
from libs.common.settings import Settings
from libs.common.vault import Vault
from services.audit.domain import months
from services.audit.service import make_service as make_audit
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from services.notifier.service import make_service as make_notifier
from services.operations.service import make_service
from tests.http_edge import Http
from tests.integration.archive_desk import make
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Stack
from tests.unit.governance.samples import case, junit

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick_checkpoints")]
PATH = "/api/ops/integrity/evidence-archive"
SMALL, LARGE = junit(case("a")), junit(*(case(f"test_{number}") for number in range(4000)))
ARCHIVE, GUIDE = b"delivery_id,state\n1,dead\n", b"# Roll back\n"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest_asyncio.fixture
async def edge(stack: Stack) -> AsyncIterator[Http]:
    """An edge with every service that keeps evidence."""
    notifier = make_notifier(Outbound(("127.0.0.0/8",)), Vault.from_secret("of the tests"))
    audit = make_audit(SIGNER)
    await stack.start(make_governance(packaged_policies()), notifier, make_service(Settings()), audit)
    found = await Http(stack).open()
    yield found
    await found.close()


async def put(stack: Stack, bucket: str, name: str, content: bytes) -> None:
    await Bucket(bucket).bind(stack.bus).put(name, len(content), io.BytesIO(gzip.compress(content)))


async def keep_some(edge: Http) -> None:
    """Evidence of each table: two reports, a capsule, an archive of deliveries, a guide, a month of the audit log."""
    for content in (SMALL, LARGE):
        answer = await edge.client.post("/api/signals/junit", params={"subject": "a", "version": "1"}, content=content)
        assert answer.status_code == 201, answer.text
    judged = await edge.client.post("/api/gates/release/runs", json={"subject": "a", "version": "1"})
    assert judged.status_code == 201, judged.text
    await put(edge.stack, "archives", sha(ARCHIVE), ARCHIVE)
    now, superuser = edge.stack.clock(), await edge.stack.superuser()
    insert = """INSERT INTO notifier.archive (site, sha256, size_bytes, row_count, oldest_at, newest_at, created_at)
    VALUES ('global', $1, $2, 1, $3, $3, $3)"""
    await superuser.execute(insert, sha(ARCHIVE), len(ARCHIVE), now)
    insert = """INSERT INTO operations.rollback_guide (path, version, sha256, content, reason, uploaded_at, uploaded_by)
    VALUES ('docs/g.md', 1, $1, $2, 'r', $3, 'ann')"""
    await superuser.execute(insert, sha(GUIDE), GUIDE, now)
    await superuser.close()
    await make(edge.stack, months.month_of(now))


async def change(stack: Stack, sql: str) -> None:
    superuser = await stack.superuser()
    await superuser.execute(sql)
    await superuser.close()


async def sampled(edge: Http, **params: Any) -> dict[str, Any]:
    answer = await edge.client.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def tables(found: dict[str, Any]) -> dict[str, int]:
    return {one["table"]: one["checked_count"] for one in found["tables"] if one["checked_count"]}


def issues(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["table"], one["problem"]) for one in found["issues"]}


async def test_nothing_to_check_is_no_pass_and_each_damage_is_named(edge: Http) -> None:
    stack, client = edge.stack, edge.client
    empty = await sampled(edge)
    assert (empty["status"], empty["checked_count"], empty["message"]) == ("warning", 0, "there was nothing to check")
    await keep_some(edge)
    assert (await client.post(f"{PATH}/run", json={})).json()["status"] == "ok"
    good = await sampled(edge)
    assert (good["status"], good["issues"], good["unread"]) == ("ok", [], [])
    assert tables(good) == {
        "reports": 2, "capsules": 1, "delivery_archives": 1, "evidence_integrity_files": 1, "rollback_guides": 1,
        "audit_archives": 1,
    }  # fmt: skip
    assert tables(await sampled(edge, sample_per_table=1))["reports"] == 1

    # What is gone is told, and is no pass; what is not what it was is critical.
    reports = stream_name(stack.topology.namespace, "reports")
    gone = description_subject(f"{stack.topology.namespace}-reports", sha(LARGE))
    await stack.bus.js.purge_stream(reports, subject=gone)
    found = await sampled(edge)
    assert (found["status"], issues(found), found["missing_blob_count"]) == (
        "warning",
        {("reports", "missing_blob")},
        1,
    )
    await put(stack, "archives", sha(ARCHIVE), ARCHIVE + b"2,dead\n")
    (month,) = (await client.get("/api/audit/archives")).json()
    await put(stack, AUDIT_ARCHIVES.name, month["sha256"], b"another file")
    await change(stack, "UPDATE operations.rollback_guide SET content = 'other'")
    await change(stack, "UPDATE governance.capsules SET signature = '\\x00'")
    await change(stack, "UPDATE governance.originals SET content = '\\x00' WHERE content IS NOT NULL")
    found = await sampled(edge)
    assert found["status"] == "critical"
    assert issues(found) == {
        ("reports", "missing_blob"),
        ("reports", "read_error"),
        ("delivery_archives", "sha256_mismatch"),
        ("rollback_guides", "sha256_mismatch"),
        ("capsules", "sha256_mismatch"),
        ("audit_archives", "sha256_mismatch"),
    }
    assert (found["digest_mismatch_count"], found["read_error_count"], found["issue_count"]) == (4, 1, 6)
    few = await sampled(edge, max_issues=2)
    assert (len(few["issues"]), few["issue_count"]) == (2, 6)
    refused = await client.get(PATH, params={"sample_per_table": 201})
    assert refused.status_code == 422


async def test_a_batch_is_told_and_kept(edge: Http) -> None:
    stack, client = edge.stack, edge.client
    assert (await client.get(f"{PATH}/latest")).status_code == 404
    await edge.site("plant-1")
    await keep_some(edge)
    assert await stack.run_job("operations", "evidence_integrity")
    event = await stack.heard(evidence_checked)
    assert (event.data["status"], event.data["trigger"]) == ("ok", "schedule")
    for site in ("global", "plant-1"):
        told = await stack.heard(
            signal_recorded,
            lambda e, s=site: e.site == s and e.data["kind"] == "ops.integrity",  # type: ignore[misc]
        )
        assert (told.data["valid"], told.data["judged"]) == (True, True), told.data
    latest = (await client.get(f"{PATH}/latest")).json()
    file = await client.get(f"{PATH}/archive/{latest['run_id']}")
    assert (file.status_code, sha(file.content)) == (200, latest["archive_sha256"])
    assert json.loads(file.content)["tables"] == latest["tables"]
    assert (await client.get(f"{PATH}/archive/1")).status_code == 404

    await change(stack, "UPDATE governance.capsules SET body = '\\x00'")
    bad = (await client.post(f"{PATH}/run", json={})).json()
    assert (bad["status"], bad["read_error_count"]) == ("critical", 1)
    assert (await client.get(f"{PATH}/latest")).json()["message"] == bad["message"]
    # Who does not answer was not looked at: that is no pass.
    await stack.stop("notifier")
    silent = await sampled(edge)
    assert [one["service"] for one in silent["unread"]] == ["notifier"]
    assert "notifier could not be asked" in silent["message"]


async def test_who_may_look_and_who_may_run(edge: Http) -> None:
    operator, viewer = await edge.user("olga", "operator"), await edge.user("vera", "viewer")
    assert (await operator.get(PATH)).status_code == 200
    assert (await operator.post(f"{PATH}/run", json={})).status_code == 403
    assert (await viewer.get(PATH)).status_code == 403
