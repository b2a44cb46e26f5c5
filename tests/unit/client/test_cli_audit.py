"""The tool and the audit log: two verifications, the export, and dead letters and identity beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says, refusal
from tests.unit.client.samples import NOW, entries, me, unsigned_log, verification


def page(items: list[dict[str, Any]], cursor: str | None = None) -> Says:
    return Says({"items": items, "next_cursor": cursor})


def test_the_log_is_verified_twice(gateway: FakeGateway, tool: Tool) -> None:
    chain = entries(5)
    gateway.on("GET /api/me", Says(me()))
    gateway.on("GET /api/audit/log", Says(unsigned_log()))
    gateway.on("GET /api/audit/keys", Says([]))
    gateway.on("GET /api/audit/verify", Says(verification(chain, to_seq=3, next_seq=4)), Says(verification(chain)))
    gateway.on("GET /api/audit/entries", page(chain[:1:-1], "3"), page(chain[1::-1]))
    result = tool("audit", "verify")
    assert result.exit_code == 0, result.output
    assert "Recomputed here: the chain holds, entries 1 to 5 (5)" in result.stdout
    assert f"5:{chain[-1]['hash']}" in result.stdout
    assert gateway.asked[2].query["from_seq"] == ["4"]


@pytest.mark.parametrize("by_server", [True, False])
def test_a_broken_log_is_found_whatever_the_server_says(gateway: FakeGateway, tool: Tool, by_server: bool) -> None:
    chain = entries(3)
    gateway.on("GET /api/me", Says(me()))
    said = {} if by_server else {"valid": False, "first_bad_seq": 2, "problem": "entry 2 was changed"}
    gateway.on("GET /api/audit/log", Says(unsigned_log()))
    gateway.on("GET /api/audit/keys", Says([]))
    gateway.on("GET /api/audit/verify", Says(verification(chain, **said)))
    gateway.on("GET /api/audit/entries", page([chain[2], chain[1] | {"actor": "mallory"}, chain[0]]))
    result = tool("audit", "verify", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["server"]["valid"] is by_server
    assert answer["local"]["problem"].startswith("entry 2 was changed")
    assert not answer["valid"]


def test_a_head_noted_before_is_compared(gateway: FakeGateway, tool: Tool) -> None:
    chain = entries(3)
    gateway.on("GET /api/me", Says(me()))
    gateway.on("GET /api/audit/log", Says(unsigned_log()))
    gateway.on("GET /api/audit/keys", Says([]))
    gateway.on("GET /api/audit/verify", Says(verification(chain)))
    gateway.on("GET /api/audit/entries", page(chain[::-1]), page([chain[1]]), page(chain[::-1]), page([chain[1]]))
    assert tool("audit", "verify", "--head", f"2:{chain[1]['hash']}").exit_code == 0
    result = tool("audit", "verify", "--head", f"2:{'0' * 64}")
    assert result.exit_code == 1
    assert "another hash than the one noted" in result.stdout
    assert tool("audit", "verify", "--head", "2").exit_code == 2


def test_gaps_of_a_scope_are_no_proof(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on("GET /api/me", Says(me(sites=["plant-1"])))
    result = tool("audit", "verify")
    assert result.exit_code == 2
    assert "not all sites" in result.stderr


def test_an_export_is_checked_offline(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    chain, file = entries(5), tmp_path / "audit.jsonl"
    gateway.on("GET /api/audit/entries", page(chain[:1:-1], "3"), page(chain[1::-1]))
    assert tool("audit", "export", str(file)).exit_code == 0
    assert [json.loads(line)["seq"] for line in file.read_text().splitlines()] == [1, 2, 3, 4, 5]
    assert [path.name for path in tmp_path.iterdir()] == ["audit.jsonl"]
    assert tool("audit", "export", str(file)).exit_code == 2
    asked = len(gateway.asked)
    assert tool("audit", "verify", "--offline", str(file)).exit_code == 0
    assert tool("audit", "verify", "--offline", str(file), "--head", f"4:{'0' * 64}").exit_code == 1
    file.write_text(file.read_text().replace("/headgate/tracker", "/headgate/trackre"))
    assert tool("audit", "verify", "--offline", str(file)).exit_code == 1
    file.write_text('{"seq": 1')
    assert "line 1 is not JSON" in tool("audit", "verify", "--offline", str(file)).stderr
    assert len(gateway.asked) == asked


def test_an_export_that_breaks_leaves_nothing(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    gateway.on("GET /api/audit/entries", page(entries(2)[::-1], "1"), refusal(500, "Broken."))
    assert tool("audit", "export", str(tmp_path / "audit.jsonl")).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_dead_letters(gateway: FakeGateway, tool: Tool) -> None:
    letter = {
        "letter_id": 5, "consumer": "tracker-events", "message_id": "m", "message_type": "t", "subject": "s",
        "site": "global", "reason": "broken", "attempts": 6, "state": "held", "buried_at": NOW,
    }  # fmt: skip
    for service in ("gateway", "governance", "audit", "metrics", "notifier", "operations"):
        gateway.on(f"GET /api/dead-letters/{service}", page([]))
    gateway.on("GET /api/dead-letters/tracker", page([letter]))
    gateway.on("GET /api/dead-letters/tracker/5", Says(letter))
    gateway.on("POST /api/dead-letters/tracker/5/replay", Says(letter))
    gateway.on("DELETE /api/dead-letters/tracker/5", Says(letter))
    assert "broken" in tool("dead-letters", "list").stdout
    assert "broken" in tool("dead-letters", "show", "tracker", "5").stdout
    assert tool("dead-letters", "replay", "tracker", "5").exit_code == 0
    assert tool("dead-letters", "drop", "tracker", "5").exit_code == 0
    assert "is no service" in tool("dead-letters", "list", "mars").stderr
    assert tool("dead-letters", "list", "audit").stdout == "No dead letters are held.\n"


def test_what_reads_and_changes_identity(gateway: FakeGateway, tool: Tool) -> None:
    user = {"username": "bob", "role": "viewer", "sites": ["*"], "display_name": "", "active": True, "created_at": NOW}
    site = {"site": "plant-1", "title": "Plant", "created_at": NOW}
    token = {"token_id": 2, "username": "bob", "label": "ci", "fingerprint": "ab", "sites": ["*"], "created_at": NOW,
             "expires_at": NOW, "revoked_at": NOW}  # fmt: skip
    gateway.on("GET /api/users", Says([user]))
    gateway.on("POST /api/users", Says(user, 201))
    gateway.on("PATCH /api/users/bob", Says(user))
    gateway.on("GET /api/sites", Says([site]))
    gateway.on("POST /api/sites", Says(site, 201))
    gateway.on("GET /api/tokens", Says([token]))
    gateway.on("DELETE /api/tokens/2", Says(token))
    for arguments in (
        ("users", "list"), ("users", "create", "bob", "--role", "viewer"), ("users", "patch", "bob", "--inactive"),
        ("sites", "list"), ("sites", "create", "plant-1"), ("tokens", "list", "--user", "bob"),
        ("tokens", "revoke", "2"),
    ):  # fmt: skip
        assert tool(*arguments).exit_code == 0, arguments
    assert gateway.asked[2].json == {"active": False}
    assert gateway.asked[4].json == {"site": "plant-1", "title": "plant-1"}
    assert tool("users", "patch", "bob").exit_code == 2
