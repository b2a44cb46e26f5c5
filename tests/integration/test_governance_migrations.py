"""An installation of the first schema judges right after the upgrade: what was hidden by older good signals counts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from libs.common import migrations
from tests.integration.governance_desk import ops_data, rule, run, start
from tests.stack import PASSWORDS, Stack
from tests.unit.governance.samples import coverage_data, junit_data

INSERT = """
INSERT INTO governance.signals (site, source, event_id, kind, part, subject, version, time, received_at, judged, valid,
    problems, data, digest)
VALUES ('global', '/old', $1, $2, $3, $4, $5, now() - make_interval(mins => $6), now() - make_interval(mins => $7),
    true, $8, $9::text::jsonb, $10::text::jsonb, '\\x00') RETURNING signal_id
"""
FACTS = """
INSERT INTO governance.facts (site, subject, version, kind, part, signal_id, time)
SELECT DISTINCT ON (site, subject, version, kind, part) site, subject, version, kind, part, signal_id, time
FROM governance.signals WHERE valid AND part <> 'gone'
ORDER BY site, subject, version, kind, part, time DESC, signal_id DESC
"""


class Old:
    """A database of the first schema that is filled as the first version did."""

    def __init__(self, admin: Any) -> None:
        self.admin = admin
        self.count = 0

    async def signal(
        self,
        kind: str,
        data: Any,
        *,
        age: int,
        received: int | None = None,
        part: str = "default",
        version: str = "",
        valid: bool = True,
    ) -> int:
        """Store a signal; ``age`` and ``received`` in minutes."""
        self.count += 1
        problems = "[]" if valid else '["old problem"]'
        return int(
            await self.admin.fetchval(
                INSERT, str(self.count), kind, part, "app" if version else "site", version, age,
                age if received is None else received, valid, problems, orjson.dumps(data).decode(),
            )
        )  # fmt: skip


def _is_old(service: str, script: str) -> bool:
    ours = service == "governance" and not script.startswith("common/")
    return not ours or (script < "0012" and script != "0002_newest_counts")


async def test_what_older_good_signals_hid_counts_after_the_upgrade(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await stack.superuser()
    try:
        await admin.execute("DROP SCHEMA governance CASCADE")
        every = migrations.scripts
        with monkeypatch.context() as patched:
            patched.setattr(migrations, "scripts", lambda s: [one for one in every(s) if _is_old(s, one[0])])
            await migrations.migrate(admin, PASSWORDS)
        old, good = Old(admin), ops_data(stack.clock())
        for kind, data in good.items():
            await old.signal(kind, data, age=60)
        broken = await old.signal("ops.runbook", {}, age=5, valid=False)
        ahead = await old.signal("ops.security", good["ops.security"], age=-4, received=30)
        bad = await old.signal("ops.security", {"risk_level": "critical", "risk_score": 99}, age=10)
        await old.signal("ops.dr", {}, age=90, valid=False)
        never = await old.signal("ops.preflight", {}, age=5, part="edge", valid=False)
        await old.signal("alert.alertmanager", {}, age=5, part="gone")
        tests: dict[str, Any] = {"part": "unit", "version": "1.0"}
        failed = await old.signal("test.junit", junit_data("a", failed=("b", "c")), age=50, **tests)
        await old.signal("test.junit", junit_data("a", "b"), age=40, **tests)
        cut = {**junit_data("a", "c", failed=("d",)), "passed": 1, "failed": 2}
        cut_id = await old.signal("test.junit", cut, age=30, **tests)
        await old.signal("test.junit", junit_data("a"), age=20, **tests)
        await old.signal("coverage.cobertura", coverage_data(90, 100), age=20, version="1.0")
        await admin.execute(FACTS)
        assert await admin.fetchval("SELECT signal_id FROM governance.facts WHERE kind = 'ops.security'") == ahead
        await migrations.migrate(admin, PASSWORDS)
        facts = {(row["kind"], row["part"]): row for row in await admin.fetch("SELECT * FROM governance.facts")}
    finally:
        await admin.close()
    assert facts["ops.runbook", "default"]["signal_id"] == broken
    assert facts["ops.runbook", "default"]["good_signal_id"] == 2
    assert facts["ops.security", "default"]["signal_id"] == bad
    assert facts["ops.dr", "default"]["signal_id"] == facts["ops.dr", "default"]["good_signal_id"] == 5
    assert (facts["ops.preflight", "edge"]["signal_id"], facts["ops.preflight", "edge"]["good_signal_id"]) == (
        never,
        None,
    )
    assert ("alert.alertmanager", "gone") not in facts
    await start(stack)
    ops = await run(stack)
    assert "old problem; the last good one, signal 2, is " in rule(ops, "runbook_no_critical")["message"]
    assert [one["passed"] for one in ops["rules"]] == [False, False, False, True, True, True, True]
    release = await run(stack, "release", subject="app", version="1.0")
    # Shown passing by one that names not all its failures is not shown passing.
    assert [text.partition(",")[0] for text in rule(release, "tests_passed")["detail"]["still_failing"]] == [
        f"c: signal {failed}",
        f"d: signal {cut_id}",
    ]
    assert rule(release, "coverage_line")["passed"]
