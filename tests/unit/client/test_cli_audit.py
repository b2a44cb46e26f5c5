"""The tool and the audit log: two verifications, the export, and dead letters and identity beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from libs.client.commands.audit_since import write_verified
from libs.tlog.digests import entry_digest
from libs.tlog.notes import Checkpoint
from libs.tlog.tiles import Growth
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says, refusal
from tests.unit.client.samples import NOW, entries, me, unsigned_log, verification
from tests.unit.client.test_audit_tree import LOG, write


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


@pytest.mark.parametrize("pages", [(6,), (4, 2), (1, 5)])
def test_the_first_bad_entry_is_named_though_pages_come_newest_first(
    gateway: FakeGateway, tool: Tool, pages: tuple[int, ...]
) -> None:
    chain = entries(6)
    chain[4] |= {"actor": "mallory"}
    chain[1] |= {"actor": "mallory"}
    gateway.on("GET /api/me", Says(me()))
    gateway.on("GET /api/audit/log", Says(unsigned_log()))
    gateway.on("GET /api/audit/keys", Says([]))
    gateway.on("GET /api/audit/verify", Says(verification(chain)))
    rest, answers = chain[::-1], []
    for count in pages:
        rest, shown = rest[count:], rest[:count]
        answers.append(page(shown, str(shown[-1]["seq"]) if rest else None))
    gateway.on("GET /api/audit/entries", *answers)
    result = tool("audit", "verify", "--json")
    local = json.loads(result.stdout)["local"]
    assert (result.exit_code, local["first_bad_seq"], local["checked_count"]) == (1, 2, 1), local
    assert local["problem"] == "entry 2 was changed: its actor is not what its event says"


@pytest.mark.parametrize("count", [3, 0])
def test_a_log_that_was_set_back_is_broken(gateway: FakeGateway, tool: Tool, tmp_path: Path, count: int) -> None:
    """The server says so itself: that is a verdict, and no answer that can't be read."""
    chain = entries(3)
    gateway.on("GET /api/me", *[Says(me())] * 2)
    said = unsigned_log(state="forked", problem="Entries up to 9 were signed, but the database ends at entry 3.")
    gateway.on("GET /api/audit/log", *[Says(said)] * 2)
    gateway.on("GET /api/audit/keys", *[Says([])] * 2)
    empty = {"head_seq": 0, "head_hash": "00" * 32, "to_seq": 0, "checked_count": 0}
    gateway.on("GET /api/audit/verify", Says(verification(chain, **({} if count else empty))))
    gateway.on("GET /api/audit/entries", page(chain[::-1]))
    for more in ([], ["--since", str(tmp_path / "since")]):
        result = tool("audit", "verify", "--json", *more)
        answer = json.loads(result.stdout)
        assert (result.exit_code, answer["valid"]) == (1, False), result.output
        assert "the server says that its log was set back: Entries up to 9" in answer["tree"]["problem"]
    assert not (tmp_path / "since").exists()


def test_a_log_that_was_cut_since_it_was_verified_is_broken(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    since, short = tmp_path / "since", tmp_path / "short"
    write(short, entries(3))
    grown = Growth()
    grown.add([entry_digest(entry) for entry in entries(5)])
    write_verified(since, Checkpoint(LOG.verifier.name, 5, grown.root()), entries(5)[-1]["hash"], grown)
    kept = since.read_bytes()
    gateway.on("GET /api/me", Says(me()))
    log = unsigned_log(state="signed", checkpoint=(short / "checkpoint").read_text(), origin=LOG.verifier.name)
    gateway.on("GET /api/audit/log", Says(log))
    result = tool("audit", "verify", "--since", str(since), "--key", LOG.verifier.text, "--json")
    assert result.exit_code == 1, result.output
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["valid"]) == (1, False), result.output
    assert answer["tree"]["problem"] == "the log was cut: 5 entries were verified before, 3 are signed"
    assert since.read_bytes() == kept


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


def test_an_export_of_some_entries_as_csv(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    chain, file = entries(3), tmp_path / "audit.csv"
    gateway.on("GET /api/audit/entries", page(chain[:0:-1], "2"), page(chain[:1]))
    assert tool("audit", "export", str(file), "--csv", "--actor", "ann", "--outcome", "refused").exit_code == 0
    head, *rows = file.read_bytes().decode().split("\r\n")
    assert head.startswith("seq,time,type,site,actor,subject,outcome,reason,")
    assert [row.split(",")[0] for row in rows] == ["1", "2", "3", ""]
    assert [(one.query["actor"], one.query["outcome"]) for one in gateway.asked] == [(["ann"], ["refused"])] * 2
    gateway.on("GET /api/audit/entries", page(chain[:1]))
    cause = "01a1fbbb-89e7-78b2-af93-eb949575d519"
    options = ("--type", "gateway.user.changed", "--causationid", cause, "--correlationid", cause)
    assert tool("audit", "export", str(file), "--force", *options).exit_code == 0
    only = gateway.asked[-1].query
    assert [only[name] for name in ("type", "causationid", "correlationid")] == [
        ["gateway.user.changed"], [cause], [cause]
    ]  # fmt: skip


def test_who_did_what_is_shown(gateway: FakeGateway, tool: Tool) -> None:
    deed = {
        "seq": 7, "time": NOW, "action": "gateway.user.changed", "site": "global", "actor": "ann", "outcome": "applied",
        "reason": None, "issue": None, "command_seq": 6, "client_address": "192.0.2.7", "client_agent": "curl",
        "changes": [{"field": "role", "before": None, "after": "owner"}, {"field": "display_name", "masked": True}],
        "trace_id": None, "correlationid": None,
    }  # fmt: skip
    gone = {**deed, "changes": [], "changes_omitted": "erased"}
    large = {**deed, "changes": [], "changes_omitted": "too_large"}
    long = {**deed, "changes": [{"field": "role", "after": "owner"}], "changes_left_out": 3}
    gateway.on("GET /api/audit/resources", page([deed]), *(page([one]) for one in (gone, large, long)))
    shown = tool("audit", "history", "gateway.user", "bob").stdout
    asked = gateway.asked[-1].query
    assert (asked["resource_type"], asked["resource_id"]) == (["gateway.user"], ["bob"])
    for words in ("its time was over", "over 1 MiB", "owner; and 3 more changes"):
        assert words in " ".join(tool("audit", "history", "gateway.user", "bob").stdout.split())
    assert "192.0.2.7" in shown
    assert "role: nothing \u2192 owner; display_name changed" in " ".join(shown.split())
    nodes = [
        {"node_id": "r1", "parent_id": None, "depth": 0, "kind": "request", "action": "request", "actor": "ann",
         "client_address": "192.0.2.7", "client_agent": "curl"},
        {"node_id": "c1", "parent_id": "r1", "depth": 1, "kind": "command", "action": "tracker.item.patch",
         "subject": "7", "seq": 9, "outcome": "refused", "reason": "Too late."},
    ]  # fmt: skip
    trace = {"trace_id": "0" * 32, "entry_count": 1, "left_out": True, "notifications": "unknown", "nodes": nodes}
    gateway.on(f"GET /api/audit/traces/{'0' * 32}", Says(trace))
    lines = tool("audit", "trace", "0" * 32).stdout.splitlines()
    assert lines[0] == "request r1 of ann from 192.0.2.7 by curl"
    assert lines[1] == "  command tracker.item.patch 7 #9 refused: Too late."
    assert "more than the first 1,000" in lines[2]
    assert "can't be asked" in lines[3]
    work = {
        "started_at": NOW, "ended_at": NOW, "client_address": "192.0.2.7", "client_agent": "curl", "command_count": 3,
        "refused_count": 1, "sites": ["north"], "actions": ["tracker.item.patch"], "first_seq": 1, "last_seq": 9,
    }  # fmt: skip
    gateway.on("GET /api/audit/actors/ann/sessions", page([work]))
    assert "192.0.2.7" in tool("audit", "sessions", "ann").stdout


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
