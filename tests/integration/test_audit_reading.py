"""Reading the audit log: filters and scopes, large payloads, an outsider's check."""

import json
import re
import subprocess
import sys
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from libs.common.contracts.audit.entries import EntryFilter, list_entries
from libs.common.contracts.gateway.sites import site_created
from libs.common.service import Read
from services.audit import deeds, entries, sessions, traces, verify
from services.audit.kinds import types_of
from services.audit.service import make_service
from tests.integration.audit_desk import listed, record, site_view, verified
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def test_filters_and_scopes(stack: Stack) -> None:
    await stack.start(make_service(None))
    cause = str(uuid.uuid4())
    await record(stack, 2, site="north")
    stack.clock.advance(hours=1)
    await record(stack, 2, site="south", causationid=cause)
    await record(stack, 1)
    everything = (await listed(stack))["items"]
    assert [entry["site"] for entry in everything] == ["global", "south", "south", "north", "north"]
    for sites, params, seqs in (
        (("north",), {}, [2, 1]),
        (("south", "north"), {}, [4, 3, 2, 1]),
        (("south", "north"), {"limit": 3}, [4, 3, 2]),
        (("south", "north"), {"limit": 3, "cursor": "2"}, [1]),
        (("south", "north"), {"causationid": cause}, [4, 3]),
        ((), {}, []),
        (("*",), {"only_site": "south"}, [4, 3]),
        (("north", "south"), {"only_site": "north"}, [2, 1]),
        (("*",), {"type": "gateway.site.created", "limit": 2}, [5, 4]),
        (("*",), {"type": site_created.type, "limit": 1}, [5]),
        (("*",), {"type": "gateway.site.removed"}, []),
        (("*",), {"actor": "ann", "subject": "test", "cursor": "3"}, [2, 1]),
        (("*",), {"actor": "bob"}, []),
        (("*",), {"after": stack.clock().isoformat()}, [5, 4, 3]),
        (("*",), {"before": stack.clock().isoformat()}, [2, 1]),
        (("*",), {"after": (stack.clock() + timedelta(seconds=1)).isoformat()}, []),
        (("*",), {"correlationid": cause}, []),
        (("*",), {"action": "gateway.site.created", "limit": 2}, [5, 4]),
        (("*",), {"resource_type": "gateway.site", "cursor": "4"}, [3, 2, 1]),
        (("south", "north"), {"resource_type": "gateway.site"}, [4, 3, 2, 1]),
        (("*",), {"resource_type": "gateway.user"}, []),
        (("*",), {"resource_type": "gateway.site", "resource_id": "test", "limit": 1}, [5]),
        (("*",), {"resource_id": "other"}, []),
        (("*",), {"outcome": "applied", "cursor": "3"}, [2, 1]),
        (("*",), {"outcome": "refused"}, []),
        (("*",), {"issue": "OPS-1"}, []),
        (("*",), {"trace_id": "0" * 32}, []),
        (("*",), {"text": "A SITE", "cursor": "3"}, [2, 1]),
        (("south",), {"text": '"s1"'}, [4]),
        (("*",), {"text": "nowhere"}, []),
    ):
        found = (await listed(stack, sites, **params))["items"]
        assert [entry["seq"] for entry in found] == seqs, (sites, params)
    assert (await stack.query(list_entries, {"only_site": "east"}, sites=("north",))).status == 403


@pytest.mark.parametrize(
    "params",
    [{"resource_type": "tracker.nothing"}, {"outcome": "lost"}, {"trace_id": "x"}, {"text": ""},
     {"actor": "a\0"}, {"type": ""}, {"subject": "x" * 5000}, {"cursor": "9" * 19}, {"cursor": "x"}, {"cursor": "-1"},
     {"limit": 0}, {"limit": 501}, {"only_site": "a.>"}, {"causationid": "x"}, {"after": "2026-01-01T00:00:00"}],
)  # fmt: skip
async def test_bad_filters_are_named(stack: Stack, params: dict[str, Any]) -> None:
    await stack.start(make_service(None))
    answer = await stack.query(list_entries, params)
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == next(iter(params))


async def test_large_payloads(stack: Stack) -> None:
    await stack.start(make_service(None))
    for size in (10, verify.INLINE_BYTES, 900_000, 900_000, 900_000, 1_200_000, 10):
        await stack.publish(site_created, site_view(stack, 0, "x" * size))
    await stack.idle("audit")
    assert (await verified(stack))["checked_count"] == 7
    first = await listed(stack)
    assert [entry["seq"] for entry in first["items"]] == [7, 6, 5]
    assert first["items"][1]["payload"] is None
    assert first["items"][1]["event"] is None
    assert first["items"][1]["payload_bytes"] > 1_200_000
    rest = await listed(stack, cursor=first["next_cursor"])
    assert [entry["seq"] for entry in rest["items"]] == [4, 3, 2, 1]
    assert rest["next_cursor"] is None
    superuser = await stack.superuser()
    await superuser.execute("UPDATE audit.entry SET payload = payload || ' ' WHERE seq = 6")
    assert (await verified(stack))["first_bad_seq"] == 6
    await superuser.close()


async def test_an_outsider_can_recompute_it_with_the_program_in_the_docs(stack: Stack, tmp_path: Path) -> None:
    await stack.start(make_service(None))
    await record(stack, 12)
    page = await listed(stack, limit=500)
    lines = [json.dumps(entry) for entry in reversed(page["items"])]
    text = (Path(__file__).parents[2] / "docs" / "audit-log.md").read_text()
    program = tmp_path / "check.py"
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    program.write_text(found[1])

    def run(rows: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", str(program)], input="\n".join(rows), capture_output=True, text=True, check=False
        )

    whole = run(lines)
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout == f"entries up to 12 fit; the last hash is {(await verified(stack))['head_hash']}\n"
    assert run(lines[4:]).returncode == 0
    assert run([*lines[:4], *lines[5:]]).stderr == "entry 5 does not fit\n"
    changed = json.loads(lines[6]) | {"actor": "mallory"}
    assert run([*lines[:6], json.dumps(changed), *lines[7:]]).stderr == "entry 7 does not fit\n"


FILL = """
INSERT INTO audit.entry
SELECT n, gen_random_uuid(), 'headgate.x.y.z' || n % 40 || '.v1', '/headgate/x', 'site-' || n % 50, 'user-' || n % 500,
       (n % 3000)::text, now() - n * interval '1 minute', gen_random_uuid(), gen_random_uuid(), now(),
       convert_to(repeat('x', 300), 'UTF8'), sha256(n::text::bytea), sha256(n::text::bytea), 2,
       CASE WHEN n % 100 = 0 THEN 'refused' ELSE 'applied' END, NULL, CASE WHEN n % 10 = 0 THEN 'item:' || n END,
       lpad((n / 5)::text, 32, '0'), '192.0.2.1', 'curl'
FROM generate_series(1, 20000) AS n
"""


async def test_no_list_reads_the_whole_log(stack: Stack) -> None:
    """The planner uses an index for every filter and never scans or sorts all entries."""
    running = await stack.start(make_service(None))
    superuser = await stack.superuser()
    await superuser.execute(FILL)
    await superuser.execute("ANALYZE audit.entry")
    await superuser.close()
    now = stack.clock()
    for sites, wanted in (
        (("*",), EntryFilter()),
        (("*",), EntryFilter(cursor="15000")),
        (("*",), EntryFilter(type="x.y.z1")),
        (("*",), EntryFilter(actor="user-1")),
        (("*",), EntryFilter(subject="17")),
        (("*",), EntryFilter(causationid=uuid.uuid4())),
        (("*",), EntryFilter(correlationid=uuid.uuid4())),
        (("*",), EntryFilter(after=now - timedelta(hours=2), before=now - timedelta(hours=1))),
        (("*",), EntryFilter(only_site="site-1")),
        (("site-1",), EntryFilter()),
        (("site-1", "site-2", "site-3"), EntryFilter()),
        (("*",), EntryFilter(action="x.y.z1")),
        (("*",), EntryFilter(resource_type="tracker.item")),
        (("*",), EntryFilter(resource_type="tracker.item", resource_id="17")),
        (("*",), EntryFilter(resource_id="17")),
        (("*",), EntryFilter(outcome="refused")),
        (("*",), EntryFilter(outcome="applied")),
        (("*",), EntryFilter(issue="item:7")),
        (("*",), EntryFilter(trace_id="0" * 31 + "7")),
        (("*",), EntryFilter(text="yyy")),
        (("site-1",), EntryFilter(text="yyy", actor="user-1")),
    ):
        read = Read(pool=running.pool, site="global", actor="ann", now=now, sites=sites)
        build = partial(entries.build_search, text=wanted.text) if wanted.text else entries.build
        statement, values = build(read, wanted)
        rows = await running.pool.fetch(f"EXPLAIN (ANALYZE, FORMAT TEXT) {statement}", *values)
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan on entry" not in plan, (wanted, plan)
        assert "Index" in plan, (wanted, plan)
        removed = [int(count) for count in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
        bound = entries.SEARCHED_ROWS + 1 if wanted.text else 2000
        assert sum(removed) < bound, (wanted, plan)


HELPERS = """
INSERT INTO audit.entry (seq, event_id, type, source, site, actor, subject, time, recorded_at, payload, prev_hash, hash)
SELECT 20000 + n, gen_random_uuid(), 'headgate.tracker.item.updated.v1', '/headgate/tracker', 'site-1', 'user-1', '17',
       now(), now(), '{}', sha256((20000 + n)::text::bytea), sha256((20000 + n)::text::bytea)
FROM generate_series(1, 500) AS n
"""


async def test_no_history_session_or_trace_reads_the_whole_log(stack: Stack) -> None:
    running = await stack.start(make_service(None))
    superuser = await stack.superuser()
    await superuser.execute(FILL)
    await superuser.execute(HELPERS)
    await superuser.execute("ANALYZE audit.entry")
    await superuser.close()
    types = types_of("tracker.item")
    for statement, values in (
        (deeds.SELECT_DEEDS, ("17", types, deeds.END, None, 51)),
        (deeds.SELECT_DEEDS, ("17", types, deeds.END, ["site-1", "site-2"], 51)),
        (sessions.SELECT_WORK, ("user-1", sessions.END, None, 5000)),
        (sessions.SELECT_WORK, ("user-1", sessions.END, ["site-1"], 5000)),
        (traces.SELECT_TRACE, ("0" * 31 + "7", None, 1001)),
        (traces.SELECT_REQUEST, (uuid.uuid4(), ["site-1"], 1001)),
        (entries.SELECT_CAUSE, (uuid.uuid4(), None)),
    ):
        rows = await running.pool.fetch(f"EXPLAIN (ANALYZE, FORMAT TEXT) {statement}", *values)
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan on entry" not in plan, plan
        removed = [int(count) for count in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
        assert sum(removed) < 2000, plan


async def test_a_search_for_a_text_goes_on_where_it_stopped(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "SEARCHED_ROWS", 4)
    await stack.start(make_service(None))
    for number in range(10):
        await stack.publish(site_created, site_view(stack, number, "Needle" if number in (0, 1, 8) else "Hay"))
    await stack.idle("audit")
    found, cursors, cursor = [], [], None
    while True:
        page = await listed(stack, text="needle", limit=1, **({"cursor": cursor} if cursor else {}))
        found += [entry["seq"] for entry in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
        cursors.append(cursor)
    assert found == [9, 2, 1]
    assert cursors == ["7", "3", "2"]
