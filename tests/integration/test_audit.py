"""The audit log on real servers: every event once, every change noticed, filters and scopes, an outsider's check."""

import json
import re
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from libs.common.contracts.audit import CONTRACT, EntryFilter, list_entries, verify_chain
from libs.common.contracts.gateway import SiteView, create_site, site_created
from libs.common.ids import uuid7
from libs.common.migrations import login_role
from libs.common.pull import Puller
from libs.common.service import Read
from services.audit import entries, verify
from services.audit.service import SERVICE
from services.gateway.service import SERVICE as GATEWAY
from tests.stack import Stack

pytestmark = pytest.mark.integration

DEAD_LETTER = next(event for event in CONTRACT.events if event.name == "audit.deadletter.buried")


def site_view(stack: Stack, number: int, title: str = "A site") -> SiteView:
    return SiteView(site=f"s{number}", title=title, created_at=stack.clock())


async def record(stack: Stack, count: int, **options: Any) -> list[str]:
    """Publish events and await that the log has them."""
    ids = [await stack.publish(site_created, site_view(stack, n), **options) for n in range(count)]
    await stack.idle("audit")
    return ids


async def verified(stack: Stack, **params: Any) -> dict[str, Any]:
    answer = await stack.query(verify_chain, params)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


async def listed(stack: Stack, sites: tuple[str, ...] = ("*",), **params: Any) -> dict[str, Any]:
    answer = await stack.query(list_entries, params, sites=sites)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


async def test_every_event_once_and_on_after_a_restart(stack: Stack) -> None:
    await stack.start(SERVICE)
    assert (await verified(stack))["valid"]
    assert (await verified(stack))["head_seq"] == 0
    first = await record(stack, 5)
    await stack.publish(site_created, site_view(stack, 0), message_id=first[0])
    await stack.stop("audit")
    second = [await stack.publish(site_created, site_view(stack, n)) for n in range(700)]
    await stack.start(SERVICE)
    await stack.idle("audit")
    page = await listed(stack, limit=500)
    rest = await listed(stack, limit=500, cursor=page["next_cursor"])
    assert rest["next_cursor"] is None
    found = [*page["items"], *rest["items"]]
    assert [entry["event_id"] for entry in reversed(found)] == [*first, *second]
    assert [entry["seq"] for entry in found] == list(range(705, 0, -1))
    report = await verified(stack)
    assert (report["valid"], report["checked_count"], report["next_seq"]) == (True, 705, None)
    assert report["head_hash"] == found[0]["hash"]


async def test_what_a_service_did_is_there_by_its_causationid(stack: Stack) -> None:
    """Commands applied while the log is up, down and up again: each is in the log exactly once."""
    await stack.start(GATEWAY, SERVICE)
    commands = [await stack.post(create_site, {"site": f"a{n}", "title": "A"}) for n in range(20)]
    await stack.stop("audit")
    commands += [await stack.post(create_site, {"site": f"b{n}", "title": "B"}) for n in range(20)]
    for command_id in commands:
        assert (await stack.outcome(command_id)).status == 201
    refused = await stack.command(create_site, {"site": "a0", "title": "again"})
    assert refused.status == 409
    await stack.start(SERVICE)
    await stack.idle("gateway")
    await stack.idle("audit")
    for command_id in commands:
        [entry] = (await listed(stack, causationid=command_id))["items"]
        assert (entry["type"], entry["actor"], entry["correlationid"]) == (site_created.type, "ann", command_id)
        assert entry["event"]["data"]["site"] == entry["subject"]
    report = await verified(stack)
    assert (report["valid"], report["checked_count"]) == (True, 40)


async def test_what_a_killed_writer_had_in_hand_is_not_lost(stack: Stack) -> None:
    """A writer that dies between delivery and commit: its messages come again, though later ones are acknowledged."""
    first = [await stack.publish(site_created, site_view(stack, n)) for n in range(3)]
    puller = Puller(stack.bus, stack.topology.events_stream, "audit-events")
    await puller.start()
    taken = 0
    while taken < len(first):
        taken += len(await puller.next(5))
    await puller.stop()  # as after kill -9: delivered, neither applied nor acknowledged
    await stack.start(SERVICE)
    second = await record(stack, 3)
    found = {entry["event_id"] for entry in (await listed(stack))["items"]}
    assert found == {*first, *second}


async def test_reading_the_stream_anew_adds_nothing(stack: Stack) -> None:
    await stack.start(SERVICE)
    ids = await record(stack, 3)
    superuser = await stack.superuser()
    await superuser.execute("TRUNCATE audit.inbox")
    await superuser.close()
    await stack.publish(site_created, site_view(stack, 0), message_id=ids[1])
    await record(stack, 1)
    assert (await verified(stack))["checked_count"] == 4


async def test_the_very_bytes_are_kept(stack: Stack) -> None:
    await stack.start(SERVICE)
    message_id = str(uuid7())
    payload = (
        f'{{ "specversion":"1.0", "id":"{message_id.upper()}","source":"/headgate/gateway",\n'
        f'"type":"{site_created.type}", "causationid":"no uuid", "data":{{"title":"\\u00e9 é \\u0000"}} }}'
    ).encode()
    await stack.bus.js.publish(stack.topology.event_subject(site_created, "global"), payload)
    await stack.idle("audit")
    [entry] = (await listed(stack))["items"]
    assert entry["payload"].encode() == payload
    assert (entry["event_id"], entry["causationid"], entry["payload_bytes"]) == (message_id, None, len(payload))
    assert entry["event"]["data"] == {"title": "é é \0"}
    assert entry["time"] == entry["recorded_at"]
    assert (await verified(stack))["valid"]


async def test_binary_mode_is_kept_with_its_envelope(stack: Stack) -> None:
    await stack.start(SERVICE)
    message_id, other = str(uuid7()), str(uuid7())
    headers = {
        "ce-specversion": "1.0", "ce-id": message_id, "ce-source": "/headgate/gateway", "ce-type": site_created.type,
        "ce-site": "north", "ce-actor": "ann",
    }  # fmt: skip
    looks_like_one = {"specversion": "1.0", "id": other, "source": "/headgate/gateway", "type": site_created.type}
    subject = stack.topology.event_subject(site_created, "north")
    await stack.bus.js.publish(subject, orjson.dumps(looks_like_one), headers=headers)
    await stack.idle("audit")
    [entry] = (await listed(stack))["items"]
    assert (entry["event_id"], entry["site"], entry["actor"]) == (message_id, "north", "ann")
    assert entry["event"]["data"] == looks_like_one
    assert (await verified(stack))["valid"]


async def test_what_can_not_be_read_is_a_dead_letter_and_that_is_audited(stack: Stack) -> None:
    await stack.start(SERVICE)
    await stack.bus.js.publish(stack.topology.event_subject(site_created, "global"), b"not json")
    buried = await stack.heard(DEAD_LETTER)
    await record(stack, 1)
    found = (await listed(stack))["items"]
    assert {entry["event_id"] for entry in found} >= {buried.id}
    assert len(found) == 2


CHANGES = {
    "seq": "seq + 1000",
    "event_id": "gen_random_uuid()",
    "type": "'headgate.gateway.site.removed.v1'",
    "source": "'/headgate/tracker'",
    "site": "'other'",
    "actor": "'mallory'",
    "subject": "'0'",
    "time": "time - interval '1 second'",
    "causationid": "NULL",
    "correlationid": "gen_random_uuid()",
    "recorded_at": "recorded_at + interval '1 microsecond'",
    "payload": "set_byte(payload, 5, get_byte(payload, 5) # 1)",
    "prev_hash": "set_byte(prev_hash, 31, get_byte(prev_hash, 31) # 1)",
    "hash": "set_byte(hash, 0, get_byte(hash, 0) # 1)",
}


async def test_a_change_of_any_column_names_the_entry(stack: Stack) -> None:
    await stack.start(SERVICE)
    await record(stack, 6)
    superuser = await stack.superuser()
    columns = await superuser.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'audit' AND table_name = 'entry'"
    )
    assert {row[0] for row in columns} == set(CHANGES)
    await superuser.execute("CREATE TABLE saved AS SELECT * FROM audit.entry")
    restore = "DELETE FROM audit.entry; INSERT INTO audit.entry SELECT * FROM saved"
    for column, value in CHANGES.items():
        for seq in (1, 3, 6):
            await superuser.execute(f"UPDATE audit.entry SET {column} = {value} WHERE seq = {seq}")
            report = await verified(stack)
            assert (report["valid"], report["first_bad_seq"]) == (False, seq), (column, report)
            assert report["checked_count"] == seq - 1
            await superuser.execute(restore)
    assert (await verified(stack))["valid"]
    await superuser.close()


async def test_cut_swapped_and_forged_entries_are_found(stack: Stack) -> None:
    await stack.start(SERVICE)
    await record(stack, 6)
    superuser = await stack.superuser()
    await superuser.execute("CREATE TABLE saved AS SELECT * FROM audit.entry")
    await superuser.execute("CREATE TABLE saved_head AS SELECT * FROM audit.head")
    swap = """
        CREATE TABLE two AS SELECT * FROM audit.entry WHERE seq IN (2, 4);
        DELETE FROM audit.entry WHERE seq IN (2, 4);
        INSERT INTO audit.entry SELECT 6 - seq, event_id, type, source, site, actor, subject, time, causationid,
            correlationid, recorded_at, payload, prev_hash, hash FROM two
    """
    forge = """
        INSERT INTO audit.entry SELECT 7, gen_random_uuid(), type, source, site, actor, subject, time, causationid,
            correlationid, recorded_at, payload, hash, sha256('forged') FROM audit.entry WHERE seq = 6
    """
    for statement, first_bad, word in (
        ("DELETE FROM audit.entry WHERE seq = 6", 6, "missing"),
        ("DELETE FROM audit.entry WHERE seq = 3", 3, "missing"),
        ("DELETE FROM audit.entry", 1, "missing"),
        (swap, 2, "prev_hash"),
        (forge, 7, "hash"),
        ("UPDATE audit.head SET seq = 5", 6, "forged"),
        ("UPDATE audit.head SET hash = sha256('other')", 6, "head"),
        ("DELETE FROM audit.head", 1, "forged"),
    ):
        await superuser.execute(statement)
        report = await verified(stack)
        assert (report["valid"], report["first_bad_seq"]) == (False, first_bad), (statement, report)
        assert word in report["problem"]
        await superuser.execute("DELETE FROM audit.entry; INSERT INTO audit.entry SELECT * FROM saved")
        await superuser.execute("DELETE FROM audit.head; INSERT INTO audit.head SELECT * FROM saved_head")
    assert (await verified(stack))["valid"]
    await superuser.close()


async def test_ranges(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "CHUNK_ROWS", 2)
    await stack.start(SERVICE)
    await record(stack, 7)
    part = await verified(stack, from_seq=3, limit=3)
    assert (part["valid"], part["checked_count"], part["to_seq"], part["next_seq"]) == (True, 3, 5, 6)
    rest = await verified(stack, from_seq=6)
    assert (rest["valid"], rest["checked_count"], rest["to_seq"], rest["next_seq"]) == (True, 2, 7, None)
    assert (await verified(stack))["checked_count"] == 7
    assert (await stack.query(verify_chain, {"from_seq": 8})).status == 422
    assert (await stack.query(verify_chain, {"from_seq": 0})).status == 422
    superuser = await stack.superuser()
    await superuser.execute("DELETE FROM audit.entry WHERE seq = 4")
    assert (await verified(stack, from_seq=5))["first_bad_seq"] == 4
    assert (await verified(stack, from_seq=2, limit=3))["first_bad_seq"] == 4
    await superuser.close()
    async with verify._busy:
        assert (await stack.query(verify_chain)).status == 429


async def test_the_login_may_add_and_read_only(stack: Stack) -> None:
    await stack.start(SERVICE)
    await record(stack, 2)
    url = stack.settings("audit").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value())
    assert await connection.fetchval("SELECT current_user") == login_role("audit")
    for statement in (
        "UPDATE audit.entry SET actor = 'x'",
        "DELETE FROM audit.entry",
        "TRUNCATE audit.entry",
        "ALTER TABLE audit.entry DISABLE TRIGGER ALL",
        "DROP TABLE audit.entry",
        "DELETE FROM audit.head",
        "INSERT INTO audit.head VALUES (false, 0, sha256(''))",
        "TRUNCATE audit.head",
        "GRANT DELETE ON audit.entry TO headgate_audit",
        "SET ROLE headgate_audit_owner",
    ):
        try:
            await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        # GRANT without the right to is a warning, not an error
        assert statement.startswith("GRANT"), statement
    assert not await connection.fetchval("SELECT has_table_privilege('audit.entry', 'UPDATE, DELETE, TRUNCATE')")
    await connection.close()
    assert (await verified(stack))["checked_count"] == 2


async def test_filters_and_scopes(stack: Stack) -> None:
    await stack.start(SERVICE)
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
    ):
        found = (await listed(stack, sites, **params))["items"]
        assert [entry["seq"] for entry in found] == seqs, (sites, params)
    assert (await stack.query(list_entries, {"only_site": "east"}, sites=("north",))).status == 403


@pytest.mark.parametrize(
    "params",
    [{"actor": "a\0"}, {"type": ""}, {"subject": "x" * 5000}, {"cursor": "9" * 19}, {"cursor": "x"}, {"cursor": "-1"},
     {"limit": 0}, {"limit": 501}, {"only_site": "a.>"}, {"causationid": "x"}, {"after": "2026-01-01T00:00:00"}],
)  # fmt: skip
async def test_bad_filters_are_named(stack: Stack, params: dict[str, Any]) -> None:
    await stack.start(SERVICE)
    answer = await stack.query(list_entries, params)
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == next(iter(params))


async def test_large_payloads(stack: Stack) -> None:
    await stack.start(SERVICE)
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
    await stack.start(SERVICE)
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
       convert_to(repeat('x', 300), 'UTF8'), sha256(n::text::bytea), sha256(n::text::bytea)
FROM generate_series(1, 20000) AS n
"""


async def test_no_list_reads_the_whole_log(stack: Stack) -> None:
    """The planner uses an index for every filter and never scans or sorts all entries."""
    running = await stack.start(SERVICE)
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
    ):
        read = Read(pool=running.pool, site="global", actor="ann", now=now, sites=sites)
        statement, values = entries.build(read, wanted)
        rows = await running.pool.fetch(f"EXPLAIN (ANALYZE, FORMAT TEXT) {statement}", *values)
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan on entry" not in plan, (wanted, plan)
        assert "Index" in plan, (wanted, plan)
        removed = [int(count) for count in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
        assert sum(removed) < 2000, (wanted, plan)
