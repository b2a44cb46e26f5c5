"""The audit log on real servers: every event once, every change noticed."""

import asyncpg
import orjson
import pytest

from libs.common.contracts.audit import CONTRACT
from libs.common.contracts.audit.chain import verify_chain
from libs.common.contracts.gateway.sites import create_site, site_created
from libs.common.ids import uuid7
from libs.common.migrations import login_role
from libs.common.pull import Puller
from services.audit import verify
from services.audit.service import make_service
from services.gateway.service import SERVICE as GATEWAY
from tests.integration.audit_desk import listed, record, site_view, verified
from tests.stack import Stack

pytestmark = pytest.mark.integration

DEAD_LETTER = next(event for event in CONTRACT.events if event.name == "audit.deadletter.buried")


async def test_every_event_once_and_on_after_a_restart(stack: Stack) -> None:
    await stack.start(make_service(None))
    assert (await verified(stack))["valid"]
    assert (await verified(stack))["head_seq"] == 0
    first = await record(stack, 5)
    await stack.publish(site_created, site_view(stack, 0), message_id=first[0])
    await stack.stop("audit")
    second = [await stack.publish(site_created, site_view(stack, n)) for n in range(700)]
    await stack.start(make_service(None))
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
    await stack.start(GATEWAY, make_service(None))
    commands = [await stack.post(create_site, {"site": f"a{n}", "title": "A"}) for n in range(20)]
    await stack.stop("audit")
    commands += [await stack.post(create_site, {"site": f"b{n}", "title": "B"}) for n in range(20)]
    for command_id in commands:
        assert (await stack.outcome(command_id)).status == 201
    refused = await stack.command(create_site, {"site": "a0", "title": "again"})
    assert refused.status == 409
    await stack.start(make_service(None))
    await stack.idle("gateway")
    await stack.idle("audit")
    for command_id in commands:
        [entry] = (await listed(stack, causationid=command_id))["items"]
        assert (entry["type"], entry["actor"], entry["correlationid"]) == (site_created.type, "ann", command_id)
        assert entry["event"]["data"]["site"] == entry["subject"]
    report = await verified(stack)
    assert (report["valid"], report["checked_count"]) == (True, 81)  # 40 events, and a record of each command


async def test_what_a_killed_writer_had_in_hand_is_not_lost(stack: Stack) -> None:
    """A writer that dies between delivery and commit: its messages come again, though later ones are acknowledged."""
    first = [await stack.publish(site_created, site_view(stack, n)) for n in range(3)]
    puller = Puller(stack.bus, stack.topology.events_stream, "audit-events")
    await puller.start()
    taken = 0
    while taken < len(first):
        taken += len(await puller.next(5))
    await puller.stop()  # as after kill -9: delivered, neither applied nor acknowledged
    await stack.start(make_service(None))
    second = await record(stack, 3)
    found = {entry["event_id"] for entry in (await listed(stack))["items"]}
    assert found == {*first, *second}


async def test_reading_the_stream_anew_adds_nothing(stack: Stack) -> None:
    await stack.start(make_service(None))
    ids = await record(stack, 3)
    superuser = await stack.superuser()
    await superuser.execute("TRUNCATE audit.inbox")
    await superuser.close()
    await stack.publish(site_created, site_view(stack, 0), message_id=ids[1])
    await record(stack, 1)
    assert (await verified(stack))["checked_count"] == 4


async def test_the_very_bytes_are_kept(stack: Stack) -> None:
    await stack.start(make_service(None))
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
    await stack.start(make_service(None))
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
    await stack.start(make_service(None))
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
    "version": "NULL",
    "outcome": "'refused'",
    "reason": "'because'",
    "issue": "'OPS-1'",
    "trace_id": "repeat('0', 32)",
    "client_address": "'192.0.2.1'",
    "client_agent": "'curl'",
}


async def test_a_change_of_any_column_names_the_entry(stack: Stack) -> None:
    await stack.start(make_service(None))
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
    await stack.start(make_service(None))
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
    await stack.start(make_service(None))
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
    await stack.start(make_service(None))
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
