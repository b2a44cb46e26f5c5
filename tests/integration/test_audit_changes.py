"""What was changed from what to what, asked of the audit log over HTTP, for each kind of thing; and no secret in it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from libs.common.changes import changes_in, was
from libs.common.contracts.audit.resources import list_deeds
from libs.common.contracts.changes import stated
from libs.common.contracts.gateway.users import UserChanged, user_changed
from libs.common.contracts.tracker.items import item_opened
from libs.common.outbound import Outbound
from libs.common.vault import Vault
from services.audit.deeds import PAGE_BYTES
from services.audit.service import make_service
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from services.notifier.service import make_service as make_notifier
from services.tracker.service import SERVICE as TRACKER
from tests.http_edge import Http
from tests.stack import Stack
from tests.unit.governance.samples import tiny_policy

pytestmark = pytest.mark.integration
VAULT_SECRET = "a secret of the vault for tests of changes"
TRACKER_PATH = "/api/ops/governance/gate/remediation/tracker"
MASKED = "masked"


class Log:
    """An edge, all services that tell of changes here, and what the log says of them."""

    def __init__(self, stack: Stack, http: Http) -> None:
        self.stack, self.http, self.client = stack, http, http.client

    async def ask(self, method: str, path: str, body: Any = None, expected: int = 200) -> Any:
        answer = await self.client.request(method, path, json={} if body is None else body)
        assert answer.status_code == expected, answer.text
        return answer.json()

    async def history(self, kind: str, id_: Any) -> list[dict[str, Any]]:
        """What was done to it, newest first, when everything told has arrived."""
        for _ in range(2):
            for service in ("gateway", "governance", "tracker", "notifier", "audit"):
                if service in self.stack.running:
                    await self.stack.idle(service)
        found = await self.client.get(f"/api/audit/resources/{kind}/{id_}")
        assert found.status_code == 200, found.text
        items: list[dict[str, Any]] = found.json()["items"]
        return items

    async def told(self, kind: str, id_: Any, action: str) -> list[dict[str, Any]]:
        """What each event of this action says to have changed, oldest first; times are left to the reader."""
        deeds = [one for one in await self.history(kind, id_) if one["action"] == f"{kind}.{action}"]
        return [
            {
                one["field"]: MASKED if one["masked"] else (one["before"], one["after"])
                for one in deed["changes"]
                if not one["field"].endswith(("_at", "_until"))
            }
            for deed in reversed(deeds)
        ]

    async def free_of(self, *secrets: str) -> None:
        """No entry of the log holds any of these, in its body or beside it; that bodies are searched is tried first."""
        superuser = await self.stack.superuser()
        text = "convert_from(payload, 'UTF8') || entry::text"
        found = f"SELECT count(*) FROM audit.entry WHERE position($1 IN {text}) > 0"
        try:
            assert await superuser.fetchval(found, "site.created") > 0
            for secret in secrets:
                assert len(secret) > 8
                assert await superuser.fetchval(found, secret) == 0, secret
        finally:
            await superuser.close()


async def opened(stack: Stack, *services: Any) -> Log:
    await stack.start(make_service(None), *services)
    http = await Http(stack).open(vault_secret=SecretStr(VAULT_SECRET), webhook_secret=SecretStr("of tests"))
    await http.site("north")
    return Log(stack, http)


@pytest_asyncio.fixture
async def log(stack: Stack) -> AsyncIterator[Log]:
    """Everything that these tests change things of."""
    notifier = make_notifier(Outbound(("127.0.0.0/8",)), Vault.from_secret(VAULT_SECRET))
    made = await opened(stack, make_governance(packaged_policies()), TRACKER, notifier)
    yield made
    await made.http.close()


async def test_documents_and_policies(log: Log) -> None:
    chains = f"{TRACKER_PATH}/escalate/chains?site=north"
    await log.ask("PUT", chains, {"content": {"include_due_soon_hours": 24}, "reason": "earlier"})
    await log.ask("PUT", chains, {"content": {"enabled": False}, "reason": "off", "expected_version": 7}, 409)
    assert sorted((one["action"], one["outcome"]) for one in await log.history("tracker.chains", "north")) == [
        ("tracker.chains.publish", "applied"),
        ("tracker.chains.publish", "refused"),
        ("tracker.chains.published", "applied"),
    ]
    assert await log.told("tracker.chains", "north", "published") == [{"/include_due_soon_hours": (12, 24)}]
    policy = tiny_policy(name="name: tiny").decode()
    put = {"content": policy, "reason": "new"}
    await log.ask("PUT", "/api/policies/tiny/draft?site=north", {"content": policy})
    await log.ask("PUT", "/api/policies/tiny?site=north", put)
    rule = policy[policy.index("  - id: one") :]
    other = policy.replace(rule, f"{rule.replace('one', 'zero')}\n{rule}")
    await log.ask("PUT", "/api/policies/tiny?site=north", {**put, "content": other})
    _, second = await log.told("governance.policies", "tiny", "published")
    assert list(second) == ["/rules/zero"]  # the one that was put in, and no other
    [drafted] = await log.told("governance.policies", "tiny", "drafted")
    assert drafted["digest"][0] == ""


async def test_webhooks_and_tokens_and_people(log: Log) -> None:
    made = await log.ask("POST", "/api/webhooks?site=north", {"name": "hub", "system": "github"}, 201)
    path, number = f"/api/webhooks/{made['webhook_id']}", made["webhook_id"]
    await log.ask("PUT", f"{path}?site=north", {"refs": ["main"]})
    rotated = await log.ask("POST", f"{path}/rotate?site=north")
    await log.ask("DELETE", f"{path}?site=north")
    assert await log.told("gateway.webhook", number, "changed") == [{"refs": ([], ["main"])}, {"secret": MASKED}, {}]
    deeds = {one["seq"]: one for one in await log.history("gateway.webhook", number)}
    removed = deeds[max(seq for seq, one in deeds.items() if one["changes"])]
    assert [one["field"] for one in removed["changes"]] == ["removed_at"]
    # The same deed from the other sides: its command with the address, what the request set off, when one was at work.
    assert (removed["actor"], removed["client_address"]) == ("owner", "127.0.0.1")
    assert deeds[removed["command_seq"]]["action"] == "gateway.webhook.remove"
    trace = await log.ask("GET", f"/api/audit/traces/{removed['trace_id']}")
    assert [one["action"] for one in trace["nodes"]] == ["request", "gateway.webhook.remove", "gateway.webhook.changed"]
    [work] = (await log.ask("GET", "/api/audit/actors/owner/sessions"))["items"]
    assert {"gateway.webhook.change", "gateway.webhook.rotate", "gateway.webhook.remove"} <= set(work["actions"])
    token = await log.ask("POST", "/api/tokens", {"label": "ci"}, 201)
    newer = await log.ask("POST", f"/api/tokens/{token['token_id']}/rotate", expected=201)
    await log.ask("DELETE", f"/api/tokens/{newer['token_id']}")
    [old] = await log.told("gateway.token", token["token_id"], "rotated")
    assert old == {"rotated_to": (None, newer["token_id"])}
    assert await log.told("gateway.token", newer["token_id"], "revoked") == [{"revoked_reason": (None, "asked")}]
    await log.http.user("bob", "manager", ["north"])
    await log.history("gateway.user", "bob")  # by now the tracker knows them
    for most in (3, 3, None):
        await log.ask("PUT", f"{TRACKER_PATH}/people/bob/limit?site=north", {"max_open_items": most})
    told = await log.told("tracker.person", "bob", "limited")
    assert told == [{"max_open_items": (None, 3)}, {}, {"max_open_items": (3, None)}]
    await log.free_of(made["secret"], rotated["secret"], token["token"], newer["token"])


async def test_channels_and_subscriptions(log: Log) -> None:
    secrets = ("notForAnybodysEyes", "norThisOne", "queryOfMine")
    first, second, *_ = secrets
    body: dict[str, Any] = {"name": "ops", "kind": "slack", "address": f"http://127.0.0.1:9/services/{first}"}
    channel = (await log.ask("POST", "/api/channels?site=north", body, 201))["channel_id"]
    moved = {**body, "name": "people", "address": f"http://127.0.0.1:9/services/{second}"}
    await log.ask("PUT", f"/api/channels/{channel}?site=north", {**moved, "language": "ko"})
    for action, said in (("disable", {"reason": "too loud"}), ("enable", None)):
        await log.ask("POST", f"/api/channels/{channel}/{action}?site=north", said)
    assert await log.told("notifier.channel", channel, "changed") == [
        {"name": ("ops", "people"), "language": ("en", "ko"), "address": MASKED},
        {"status": ("active", "disabled"), "status_reason": ("", "too loud")},
        {"status": ("disabled", "active"), "status_reason": ("too loud", "")},
    ]
    body = {"name": "all", "endpoint": "http://127.0.0.1:9/hook", "event_types": ["governance.gate.decided"]}
    made = await log.ask("POST", "/api/subscriptions?site=north", body, 201)
    number = made["subscription_id"]
    endpoint = f"http://127.0.0.1:9/hook?key={secrets[2]}"
    wanted = {**body, "gates": ["release"], "endpoint": endpoint}
    await log.ask("PUT", f"/api/subscriptions/{number}?site=north", wanted)
    rotated = await log.ask("POST", f"/api/subscriptions/{number}/rotate?site=north")
    await log.ask("POST", f"/api/subscriptions/{number}/pause?site=north", {"reason": "for now"})
    await log.ask("DELETE", f"/api/subscriptions/{number}?site=north")
    assert await log.told("notifier.subscription", number, "changed") == [
        {"gates": ([], ["release"]), "endpoint": MASKED},
        {"secret": MASKED},
        {"status": ("active", "paused"), "status_reason": ("", "for now")},
        {"status": ("paused", "removed"), "status_reason": ("for now", "")},
    ]
    await log.free_of(*secrets, made["signing_secret"], rotated["signing_secret"])


async def test_what_people_decide(log: Log) -> None:
    ends_at = (log.stack.clock() + timedelta(days=2)).isoformat()
    asked: dict[str, Any] = {"gate": "operations", "reason": "known, and harmless", "ends_at": ends_at}
    rules = (await log.ask("POST", "/api/ops/governance/gate/run?site=north", {}))["rules"]
    asked["rule_id"] = rules[0]["id"]
    waiver = (await log.ask("POST", "/api/waivers?site=north", {**asked, "without_evidence": True}, 201))["waiver_id"]
    sue = await log.http.user("sue", "owner", ["*"])
    for action in ("approve", "revoke"):
        said = await sue.post(f"/api/waivers/{waiver}/{action}?site=north", json={"reason": f"I {action}"})
        assert said.status_code == 200, said.text
    assert await log.told("governance.waiver", waiver, "approved") == [
        {"state": ("requested", "approved"), "decided_by": (None, "sue"), "decision_reason": (None, "I approve")}
    ]
    assert await log.told("governance.waiver", waiver, "revoked") == [
        {"state": ("approved", "revoked"), "ended_by": (None, "sue"), "end_reason": (None, "I revoke")}
    ]
    halt = (await log.ask("POST", "/api/halts?site=north", {"reason": "stop"}, 201))["halt_id"]
    await log.ask("POST", f"/api/halts/{halt}/lift?site=north", {"reason": "go on"})
    assert await log.told("governance.line", halt, "lifted") == [
        {"lifted_by": (None, "owner"), "lift_reason": (None, "go on")}
    ]
    item = (await log.stack.heard(item_opened, lambda event: event.site == "north")).data["item"]["id"]
    path = f"{TRACKER_PATH}/items/{item}"
    until = (log.stack.clock() + timedelta(hours=2)).isoformat()
    await log.ask("POST", f"{path}/snooze?site=north", {"until": until, "reason": "lunch"})
    await log.ask("POST", f"{path}/acknowledge?site=north", {"reason": "mine"})
    assert await log.told("tracker.escalation", item, "snoozed") == [
        {"snoozed_by": (None, "owner"), "reason": (None, "lunch")}
    ]
    assert await log.told("tracker.escalation", item, "acknowledged") == [
        {"acknowledged_by": (None, "owner"), "reason": ("lunch", "mine")}
    ]
    private = "what nobody should keep"
    comment = (await log.ask("POST", f"{path}/comments?site=north", {"text": private}, 201))["id"]
    await log.ask("DELETE", f"{path}/comments/{comment}?site=north")
    assert await log.told("tracker.comment", item, "withdrawn") == [{"text": MASKED, "withdrawn_by": (None, "owner")}]
    for action in ("stop", "resume"):
        await log.ask("POST", f"{TRACKER_PATH}/autopilot/{action}?site=north", {"reason": "so"})
    assert await log.told("tracker.autopilot", "north", "switched") == [
        {"stopped": (False, True)}, {"stopped": (True, False)}
    ]  # fmt: skip
    await log.free_of(private)


async def test_what_of_a_large_body_is_not_shown_is_said(stack: Stack) -> None:
    await stack.start(make_service(None))
    given = {"username": "bob", "role": "viewer", "sites": ["north"], "active": True, "created_at": stack.clock()}
    count = PAGE_BYTES // 900_000 + 2
    for size in (1_200_000, *[900_000] * count, 10):
        changes = stated({"display_name": ""}, {"display_name": "x" * size})
        await stack.publish(user_changed, UserChanged(**given, display_name="", changes=changes))  # type: ignore[arg-type]
    await stack.idle("audit")
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"resource_type": "gateway.user", "resource_id": "test"}
    sizes = []
    while True:
        answer = await stack.query(list_deeds, params)
        assert answer.status == 200, answer
        found += answer.json["items"]
        sizes.append(len(answer.json["items"]))
        if answer.json["next_cursor"] is None:
            break
        params["cursor"] = answer.json["next_cursor"]
    assert len(sizes) == 2, "a page with large bodies ends early"
    assert [one["changes_omitted"] for one in found] == [*[None] * (count + 1), "too_large"]
    assert [len(one["changes"]) for one in found] == [*[1] * (count + 1), 0]


async def test_what_was_before_is_what_the_transaction_before_left(stack: Stack) -> None:
    """Not what was there when the statement began: it waits for whoever changes the row, and reads it then."""
    statement = f"UPDATE thing SET value = $2 FROM {was('thing', ('value',), 'id', 'id = $1')} RETURNING value, was.*"
    first, second, looker = [await stack.superuser() for _ in range(3)]
    try:
        await first.execute("CREATE TABLE public.thing (id integer PRIMARY KEY, value integer)")
        await first.execute("INSERT INTO public.thing VALUES (1, 10), (2, 20)")
        for connection in (first, second):
            await connection.execute("SET search_path TO public")
        async with first.transaction():
            await first.fetchrow(statement, 1, 11)
            waiting = asyncio.create_task(second.fetchrow(statement, 1, 12))
            async with asyncio.timeout(10):
                while not await looker.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                    await asyncio.sleep(0.005)
        row = await waiting
        assert [one.model_dump(exclude={"masked"}) for one in changes_in(row)] == [
            {"field": "value", "before": 11, "after": 12}
        ]
        assert changes_in(await first.fetchrow(statement, 1, 12)) == []
        assert await first.fetchrow(statement, 3, 1) is None
        assert await first.fetchval("SELECT value FROM thing WHERE id = 2") == 20
    finally:
        await first.execute("DROP TABLE IF EXISTS public.thing")
        for connection in (first, second, looker):
            await connection.close()
