"""What witnesses of the audit log saw, told to every site's gates; on real servers."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from libs.common.contracts.audit.witnesses import ForkSeen, fork_seen
from libs.common.contracts.governance.kinds import KindWanted, wanted_kinds
from libs.common.contracts.governance.policies import publish_policy
from libs.common.contracts.governance.signals import signal_recorded
from libs.common.settings import Settings
from libs.judge.kinds import check_data
from libs.judge.policy import parse_policy
from libs.tlog.cosignatures import Cosigner
from services.audit.service import make_service as make_audit
from services.audit.witnesses import WitnessAt
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from services.operations.service import make_service
from services.operations.witnessed import KIND, period
from tests.http_edge import Http
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Stack
from tests.unit.governance.samples import tiny_policy

pytestmark = pytest.mark.integration
UPSERT_WITNESS = """
INSERT INTO audit.witness (verifier, state, size, cosigned_at, since) VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (verifier) DO UPDATE SET state = $2, size = $3, cosigned_at = $4, since = $4
"""
SELECT_SITES = "SELECT site FROM governance.signals WHERE kind = $1 ORDER BY received_at, site"
SELECT_SAID = "SELECT data::text FROM governance.signals WHERE kind = $1 ORDER BY signal_id"
KEYS = [Cosigner.from_seed(f"w{number}.example", bytes(31) + bytes([number])).key for number in range(2)]


async def _said(stack: Stack, count: int) -> dict[str, Any]:
    """The data of the newest of so many signals."""
    superuser = await stack.superuser()
    try:
        async with asyncio.timeout(20):
            while len(rows := await superuser.fetch(SELECT_SAID, KIND)) < count:
                await asyncio.sleep(0.05)
    finally:
        await superuser.close()
    data: dict[str, Any] = json.loads(rows[-1]["data"])
    assert check_data(KIND, data) == []
    return data


async def _seen(stack: Stack, number: int, state: str, size: int, minutes_ago: int = 0) -> None:
    """Have a witness say so now, or have said so."""
    superuser = await stack.superuser()
    at = stack.clock() - timedelta(minutes=minutes_ago)
    await superuser.execute(UPSERT_WITNESS, KEYS[number].text, state, size, at)
    await superuser.close()


async def _told(stack: Stack) -> list[str]:
    """Run the job, and return the sites whose gates it told."""
    before = len(await _rows(stack))
    await stack.run_job("operations", "witness_check")
    await stack.idle("operations")
    await stack.idle("governance")
    return [row["site"] for row in (await _rows(stack))[before:]]


async def _rows(stack: Stack) -> list[asyncpg.Record]:
    superuser = await stack.superuser()
    try:
        return await superuser.fetch(
            "SELECT site FROM governance.signals WHERE kind = $1 ORDER BY received_at, site", KIND
        )
    finally:
        await superuser.close()


async def test_gates_hear_what_witnesses_saw(stack: Stack) -> None:
    edge = await Http(stack).open()
    asked = [WitnessAt(key, "https://w.example") for key in KEYS]
    await stack.start(make_governance(packaged_policies()), make_audit(SIGNER, asked), make_service(Settings()))
    assert await stack.run_job("operations", "witness_check")
    assert (await _said(stack, 1))["witnessed_at"] is None
    await _seen(stack, 0, "cosigned", 300)
    await _seen(stack, 1, "unreachable", 100, minutes_ago=60)
    assert await stack.run_job("operations", "witness_check")
    assert await _said(stack, 2) == {
        "witness_count": 2,
        "cosigned_count": 1,
        "forked": False,
        "size": 300,
        "witnessed_at": stack.clock().isoformat(),
    }
    seen = ForkSeen(witness="w0.example", problem="p", size=1, checkpoint="c", seen_size=9, seen_checkpoint=None)
    await stack.publish(fork_seen, seen)
    assert (await _said(stack, 3))["forked"] is True
    await edge.close()


def _rule(minutes: int, name: str = "operations", kind: str = KIND) -> str:
    """A policy whose one rule wants a cosignature that is not older."""
    condition = "fact.cosigned_count >= 1" if kind == KIND else "fact.error_count == 0"
    lines = {
        "name": f"name: {name}",
        "kind": f"    kind: {kind}",
        "max_age": f"    max_age_minutes: {minutes}",
        "condition": f"    condition: {condition}",
        "observed": '    observed: "what was seen"',
        "wanted": "    wanted: a fresh one",
        "parameters": "",
        "settings": "",
    }
    return tiny_policy(**lines).decode()


async def test_a_site_whose_rules_want_it_fresh_hears_it_each_minute(stack: Stack) -> None:
    """Others hear each quarter of an hour; everybody within a minute when something else is so."""
    edge = await Http(stack).open()
    asked = [WitnessAt(key, "https://w.example") for key in KEYS]
    await stack.start(make_governance(packaged_policies()), make_audit(SIGNER, asked), make_service(Settings()))
    for site in ("busan", "seoul"):
        await edge.site(site)
    await _seen(stack, 0, "cosigned", 300)
    body = {"gate": "fresh", "content": _rule(5, "fresh"), "reason": "The board asked for it"}
    assert (await stack.command(publish_policy, body, site="seoul")).status == 200
    body = {"gate": "other", "content": _rule(5, "other", "ops.preflight"), "reason": "The board asked for it"}
    assert (await stack.command(publish_policy, body, site="busan")).status == 200

    assert await _told(stack) == ["busan", "global", "seoul"]
    stack.clock.advance(seconds=20)
    assert await _told(stack) == []
    for _ in range(3):
        stack.clock.advance(seconds=60)
        await _seen(stack, 0, "cosigned", 400)
        assert await _told(stack) == ["seoul"]
    await _seen(stack, 1, "cosigned", 400)
    stack.clock.advance(seconds=30)
    assert await _told(stack) == ["busan", "global", "seoul"], "one more cosigns"
    stack.clock.advance(minutes=14, seconds=55)
    assert await _told(stack) == ["busan", "global", "seoul"]
    await edge.close()


async def test_what_rules_want_is_known_by_site(stack: Stack) -> None:
    await stack.start(make_governance(packaged_policies()))

    async def wanted() -> list[tuple[str, float | None]]:
        answer = await stack.query(wanted_kinds, {"kind": KIND})
        return [(one["site"], one["max_age_s"]) for one in answer.json]

    async def publish(content: str, site: str, gate: str = "operations") -> None:
        answer = await stack.command(publish_policy, {"gate": gate, "content": content, "reason": "x"}, site=site)
        assert answer.status == 200, answer

    assert await wanted() == []
    await publish(_rule(30), "seoul")
    assert await wanted() == [("seoul", 1800)]
    await publish(_rule(60, "fresh"), "global", "fresh")
    await publish(_rule(20, "fresh"), "seoul", "fresh")
    assert await wanted() == [("global", 3600), ("seoul", 1200)]
    await publish(_rule(60, "fresh", "ops.preflight"), "global", "fresh")
    await publish(_rule(30, kind="ops.preflight"), "seoul")
    assert await wanted() == [("seoul", 1200)], "what is no longer in force wants nothing"


@pytest.mark.parametrize(
    ("limits", "minutes"),
    [({}, 15), ({"a": None}, 15), ({"b": 60.0}, 15), ({"a": 300.0}, 1), ({"global": 1800.0}, 6), ({"a": 30.0}, 1),
     ({"a": 1800.0, "global": 600.0}, 2), ({"a": 864_000.0}, 15)],
)  # fmt: skip
def test_how_often_a_site_is_told(limits: dict[str, float | None], minutes: float) -> None:
    wanted = [KindWanted(site=site, max_age_s=limit) for site, limit in limits.items()]
    assert period(wanted, "a") == timedelta(minutes=minutes)


async def test_without_witnesses_nothing_is_told(stack: Stack) -> None:
    edge = await Http(stack).open()
    await stack.start(make_governance(packaged_policies()), make_audit(SIGNER), make_service(Settings()))
    await stack.run_job("operations", "witness_check")
    await stack.idle("governance")
    assert not [one for one in stack.events if one.type == signal_recorded.type]
    await edge.close()


async def test_that_there_are_no_witnesses_any_more_is_told_once(stack: Stack) -> None:
    """Else what the last of them said would stay in force for as long as a rule lets it."""
    edge = await Http(stack).open()
    asked = [WitnessAt(key, "https://w.example") for key in KEYS]
    await stack.start(make_governance(packaged_policies()), make_audit(SIGNER, asked), make_service(Settings()))
    await _seen(stack, 0, "cosigned", 300)
    assert await _told(stack) == ["global"]
    await stack.stop("audit")
    await stack.start(make_audit(SIGNER))
    assert await _told(stack) == ["global"]
    said = await _said(stack, 2)
    assert (said["witness_count"], said["cosigned_count"], said["witnessed_at"]) == (0, 0, None)
    await edge.site("busan")
    stack.clock.advance(hours=1)
    assert await _told(stack) == [], "it was told, and a site that heard nothing else needs not hear it"
    await edge.close()


def test_the_rule_of_the_docs_is_one() -> None:
    """docs/audit-log.md shows a rule that wants witnesses: a policy takes it as it stands there."""
    root = Path(__file__).parents[2]
    (rule,) = re.findall(r"```yaml\n(.*?)```", (root / "docs" / "audit-log.md").read_text(), re.DOTALL)
    policy = (root / "services" / "governance" / "policies" / "operations.yaml").read_text()
    before, mark, behind = policy.partition("  - id: dr_restore_valid_recent")
    found = parse_policy(f"{before}{rule}\n{mark}{behind}".encode(), "operations.yaml")
    assert [one.kind for one in found.rules if one.id == "audit_log_is_witnessed"] == [KIND]
