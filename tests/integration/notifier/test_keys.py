"""Another key while the service works: deliveries go on, secrets are encrypted anew, then the old key may go."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from libs.common.contracts.notifier.keys import rewrapped
from libs.common.contracts.notifier.subscriptions import signing_place
from libs.common.key_file import prepare, remove, rotate
from libs.common.outbound import Outbound
from libs.common.rewrapping import rewrap
from libs.common.vault import vault_of
from services.gateway.keys import rewrap_once
from services.gateway.passwords.checking import place_of_password
from services.notifier.keys import COLUMNS
from services.notifier.service import make_service
from tests.command_line import tool_at
from tests.http_edge import Http
from tests.integration.notifier_desk import HERE, Desk
from tests.integration.sink import Sink
from tests.stack import Stack

pytestmark = pytest.mark.integration
NOW = datetime(2026, 11, 29, tzinfo=UTC)
SEALED = """
SELECT secret FROM notifier.subscription UNION ALL SELECT secret FROM notifier.channel
UNION ALL SELECT sealed FROM gateway.password
"""


def _document(shown: str) -> Any:
    """What the tool prints; before it may stand what the services of this process log."""
    return json.loads(shown[shown.index("{") :])


async def open_desk(stack: Stack, sink: Sink, file: Path) -> Desk:
    """An edge and a notifier that follow one key file."""
    edge = await Http(stack).open(vault_key_file=file)
    vault = vault_of(stack.settings("notifier", vault_key_file=file))
    await stack.start(make_service(Outbound(HERE), vault))
    return Desk(edge, sink)


async def test_a_rotation_while_it_works(stack: Stack, sink: Sink, tmp_path: Path) -> None:
    file = tmp_path / "vault.keys"
    old = rotate(file, NOW)
    desk = await open_desk(stack, sink, file)
    made = await desk.subscribe()
    await desk.http.client.post("/api/users", json={"username": "ann", "role": "viewer", "sites": ["*"]})
    superuser = await stack.superuser()
    hashed = vault_of(stack.settings("gateway", vault_key_file=file)).seal("a hash", place_of_password("ann"))
    await superuser.execute("INSERT INTO gateway.password VALUES ('ann', $1, now())", hashed)
    await desk.ask("POST", f"/subscriptions/{made['subscription_id']}/rotate", {})
    await desk.ask("POST", "/channels", {"name": "ops", "kind": "slack", "address": sink.url("/ops")}, 201)
    prepared = prepare(file, NOW)
    assert rotate(file, NOW) == prepared
    await desk.halt()  # secrets of the old key open meanwhile
    await desk.until("delivered")
    found = await desk.ask("GET", "/keys")
    assert (found["agreed"], found["waiting_count"]) == (True, 4)
    assert [(one["key_id"], one["in_use"], one["removable"]) for one in found["keys"]] == [
        (prepared, True, False), (old, False, False),
    ]  # fmt: skip
    assert await stack.run_job("notifier", "secrets_rewrap")
    told = (await stack.heard(rewrapped)).data
    assert told == {"key_id": prepared, "rewrapped_count": 3, "left_count": 0, "unreadable_count": 0}
    assert (await desk.ask("GET", "/keys"))["waiting_count"] == 1, "the hash of a password"
    await rewrap_once(desk.http.running.pool, desk.http.edge.vault)
    found = await desk.ask("GET", "/keys")
    assert (found["waiting_count"], [one["removable"] for one in found["keys"]]) == (0, [False, True])
    remove(file, old)
    await desk.halt()
    await desk.until("delivered", 2)
    assert all(row["secret"].startswith(f"v1.{prepared}.") for row in await superuser.fetch(SEALED))
    await superuser.close()
    await desk.http.close()


async def test_what_can_not_be_opened_stays_and_is_counted(stack: Stack, sink: Sink, tmp_path: Path) -> None:
    file = tmp_path / "vault.keys"
    lost = rotate(file, NOW)
    desk = await open_desk(stack, sink, file)
    await desk.subscribe()
    file.unlink()
    key_id = rotate(file, NOW)
    await desk.subscribe("/second", name="second")
    done = await desk.ask("POST", "/keys/rewrap", {})
    assert done == {"key_id": key_id, "rewrapped_count": 0, "left_count": 0, "unreadable_count": 1}
    found = await desk.ask("GET", "/keys")
    assert [(one["key_id"], one["missing_in"], one["removable"]) for one in found["keys"]] == [
        (key_id, [], False), (lost, ["notifier"], False),
    ]  # fmt: skip
    auditor = await desk.http.user("ann", "manager")
    assert (await auditor.get("/api/keys")).status_code == 200
    assert (await auditor.post("/api/keys/rewrap")).status_code == 403
    await desk.http.close()


async def test_the_tool_rotates_and_says_what_may_go(
    stack: Stack, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "vault.keys"
    old = rotate(file, NOW)
    desk = await open_desk(stack, sink, file)
    tool = tool_at(desk.http.url, monkeypatch, tmp_path)
    await desk.subscribe()
    refused = await tool("keys", "remove", str(file), old)
    assert (refused.exit_code, "1 stored secrets need it" in refused.stderr) == (2, True), refused.output
    done = await tool("keys", "rotate", str(file), "--json")
    assert done.exit_code == 0, done.output
    assert _document(done.stdout)["removable"] == [old]
    assert (await tool("keys", "remove", str(file), old)).exit_code == 0
    status = await tool("keys", "status", "--json")
    assert [one["key_id"] for one in _document(status.stdout)["keys"]] == [_document(done.stdout)["key_id"]]
    assert (await tool("keys", "prepare", str(file))).exit_code == 0
    broken = await tool("keys", "rotate", str(tmp_path / "nowhere" / "keys"))
    assert (broken.exit_code, "can't be written" in broken.stderr) == (2, True)
    await desk.http.close()


async def test_a_batch_that_breaks_off_leaves_every_secret_readable(stack: Stack, sink: Sink, tmp_path: Path) -> None:
    file = tmp_path / "vault.keys"
    rotate(file, NOW)
    desk = await open_desk(stack, sink, file)
    await desk.subscribe()
    before = file.read_text()
    rotate(file, NOW)
    vault = vault_of(stack.settings("notifier", vault_key_file=file))
    pool = stack.running["notifier"].pool
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert (await rewrap(connection, vault, COLUMNS)).rewrapped_count == 1
        await transaction.rollback()
        sealed = await pool.fetchrow("SELECT secret, fingerprint FROM subscription")
    assert sealed is not None
    assert vault.open(sealed["secret"], signing_place(sealed["fingerprint"])).startswith("whsec_")
    file.write_text(before)
    assert (await desk.ask("GET", "/keys"))["waiting_count"] == 0, "nothing was encrypted by the new one"
    await desk.http.close()
