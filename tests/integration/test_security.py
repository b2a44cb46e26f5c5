"""The risk of a site, moved by what people really do, and the gate's third rule that turns with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.operations.security import JOB, risk_lowered, risk_raised
from libs.common.settings import Settings
from services.audit.service import make_service as make_audit
from services.gateway.identity.token_addresses import place_of
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from services.operations.service import make_service
from services.tracker.service import SERVICE as TRACKER
from tests.http_edge import OWNER, Http
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole]
DASHBOARD = "/api/admin/security-dashboard"


class House:
    """An edge with the services that the score asks."""

    def __init__(self, edge: Http) -> None:
        self.edge, self.stack, self.client = edge, edge.stack, edge.client

    async def told(self) -> None:
        """Everything that was done has reached the audit log, and the job has looked."""
        await self.edge.edge.refusals.flush()
        await self.edge.edge.identity.store_uses()
        for service in ("gateway", "operations", "audit"):
            if service in self.stack.running:
                await self.stack.idle(service)
        await self.stack.run_job("operations", JOB)
        for service in ("operations", "governance"):
            await self.stack.idle(service)

    async def dashboard(self, **params: Any) -> dict[str, Any]:
        """The dashboard once all is told."""
        await self.told()
        answer = await self.client.get(DASHBOARD, params=params)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def counts(self, **params: Any) -> dict[str, int]:
        """How often each rule found something."""
        return {one["rule"]: one["count"] for one in (await self.dashboard(**params))["risk"]["why"]}

    async def policy(self, **content: Any) -> None:
        """Publish a security policy; what is not given is the default's."""
        answer = await self.client.put("/api/ops/security/policy", json={"content": content, "reason": "the test"})
        assert answer.status_code == 200, answer.text

    async def rule(self) -> dict[str, Any]:
        """The gate's third rule, judged now."""
        ran = await self.client.post("/api/ops/governance/gate/run", json={})
        assert ran.status_code == 200, ran.text
        return next(one for one in ran.json()["rules"] if one["id"] == "security_risk_within_max")

    async def issue(self, label: str, **fields: Any) -> dict[str, Any]:
        """A token."""
        answer = await self.client.post("/api/tokens", json={"label": label, **fields})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest_asyncio.fixture
async def house(stack: Stack) -> AsyncIterator[House]:
    noon = stack.clock.now.replace(hour=12, minute=0, second=0, microsecond=0)
    stack.clock.now = noon + timedelta(days=1)
    await stack.start(make_audit(None), make_governance(packaged_policies()), TRACKER, make_service(Settings()))
    edge = await Http(stack).open()
    yield House(edge)
    await edge.close()


async def test_what_people_do_gives_points_and_looking_gives_none(house: House) -> None:
    assert await house.counts() == {}
    assert (await house.rule())["passed"]
    for _ in range(3):  # a gate that is NO-GO is looked at, and run: nobody has failed
        assert (await house.client.get("/api/ops/governance/gate")).status_code == 200
        assert (await house.rule())["passed"]
    assert await house.counts() == {}
    await house.edge.site("plant-1")
    for _ in range(4):
        assert (await house.client.post("/api/sites", json={"site": "plant-1", "title": "x"})).status_code == 409
    assert await house.counts() == {"failed_actions": 4}
    assert await house.counts() == {"failed_actions": 4}  # each entry is counted once
    stranger = house.edge.of("hg_t_" + "A" * 49)
    for _ in range(4):
        assert (await stranger.get("/api/me")).status_code == 401
    vic = await house.edge.user("vic", "viewer", ["plant-1"])  # no action that failed: a request that was refused
    assert (await vic.post("/api/sites", json={"site": "plant-2", "title": "x"})).status_code == 403
    await house.edge.edge.denials.flush()
    found = await house.dashboard()
    assert {one["rule"]: (one["count"], one["points"]) for one in found["risk"]["why"]} == {
        "failed_actions": (4, 8.0), "refused_requests": (5, 2.5),
    }  # fmt: skip
    assert (found["risk"]["score"], found["risk"]["level"]) == (10.5, "low")
    assert found["actions"]["refused_requests"] == 5
    assert found["trend"] == [
        {"day": f"{house.stack.clock():%Y-%m-%d}", "score": 10.5, "level": "low", "complete": True}
    ]
    assert all(one["action"] for one in found["risk"]["why"])
    report = (await house.client.get("/api/ops/reports/quality/weekly")).json()["admin_security"]
    assert (report["level"], report["score"], report["worst_score"]) == ("low", 10.5, 10.5)
    house.stack.clock.advance(days=31)
    assert "failed_actions" not in await house.counts()
    assert (await house.counts(days=60))["failed_actions"] == 4


async def test_off_hours_are_those_of_the_business_calendar(house: House) -> None:
    assert await house.counts() == {}
    house.stack.clock.advance(hours=11)  # 23:00 UTC, 08:00 in Seoul
    await house.edge.site("plant-1")
    await house.edge.site("plant-2")
    assert await house.counts() == {"off_hours_actions": 2}
    body = {"content": {"zone": "Asia/Seoul"}, "reason": "we are in Korea"}
    path = "/api/ops/governance/gate/remediation/tracker/sla/calendar"
    assert (await house.client.put(path, json=body)).status_code == 200
    assert await house.counts() == {}
    await house.policy(zone="UTC")
    assert (await house.counts())["off_hours_actions"] == 4


async def test_tokens_are_named(house: House) -> None:
    mia = await house.edge.user("mia", "manager")
    answer = await house.client.post("/api/users", json={"username": "lee", "role": "viewer", "sites": ["*"]})
    assert answer.status_code == 201
    soon = await house.issue("soon", expires_in_hours=24)
    found = await house.dashboard()
    assert {one["rule"]: one["count"] for one in found["risk"]["why"]} == {
        "users_without_token": 1, "tokens_wildcard_non_owner": 1, "tokens_expiring": 1,
    }  # fmt: skip
    assert found["overall_status"] == "critical"  # by the anomaly
    assert found["coverage"]["usernames"] == ["lee"]
    assert [one["token_id"] for one in found["named_tokens"]["expiring"]] == [soon["token_id"]]
    assert [one["username"] for one in found["named_tokens"]["non_owner_wildcard"]] == ["mia"]
    assert {one["action"] for one in found["recent_sensitive_events"]} == {"gateway.token.issue", "gateway.user.create"}
    # Of one's own: what is narrow is no wildcard.
    await house.issue("narrow", username="mia", permissions=["signal:write"])
    actor = (await mia.get("/api/ops/security/actors/mia")).json()
    assert [(one["rule"], one["points"]) for one in actor["risk"]["why"]] == [("tokens_wildcard_non_owner", 20.0)]
    assert (await house.client.get("/api/ops/security/actors/nobody")).status_code == 404
    # Age: after nine days nothing was used, and what should be rotated by then was not.
    content = {"rotate_after_days": 8, "max_idle_days": 90}
    body = {"content": content, "reason": "the test"}
    assert (await house.client.put("/api/admin/token-policy", json=body)).status_code == 200
    await house.policy(dormant_days=7)
    house.stack.clock.advance(days=9)
    assert (await house.client.get("/api/me")).status_code == 200
    later = await house.counts()
    assert (later["tokens_rotate_overdue"], later["tokens_dormant"]) == (3, 2)  # the owner's is in use
    found = await house.dashboard()
    never = [one["token_id"] for one in found["named_tokens"]["never_rotated"]]
    assert (len(never), found["tokens"]["never_rotated"]) == (3, 3)
    # Whoever has rotated once is late, and yet has changed it: after the rotation, and after as long again.
    rotated = await house.client.post(f"/api/tokens/{never[-1]}/rotate", json={})
    assert rotated.status_code == 201, rotated.text
    assert (await house.counts())["tokens_rotate_overdue"] == 2
    house.stack.clock.advance(days=9)
    found = await house.dashboard()
    overdue = [one["token_id"] for one in found["named_tokens"]["rotate_overdue"]]
    assert rotated.json()["token_id"] in overdue
    assert [one["token_id"] for one in found["named_tokens"]["never_rotated"]] == never[:-1]


async def test_an_account_has_a_risk_of_its_own(house: House) -> None:
    body = {"name": "ci", "role": "operator", "sites": ["global"], "purpose": "pipelines"}
    assert (await house.client.post("/api/accounts", json=body)).status_code == 201
    await house.issue("ci", username="account:ci", permissions=["gate:run"], expires_in_hours=24)
    await house.told()
    path = "/api/ops/security/actors/account:ci"
    answer = await house.client.get(path)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["actor"], [one["rule"] for one in found["risk"]["why"]]) == ("account:ci", ["tokens_expiring"])
    assert (await house.client.get("/api/ops/security/actors/account:none")).status_code == 404
    assert (await house.client.get("/api/ops/security/actors/share:1")).status_code == 422
    users = (await house.dashboard())["users"]
    assert users["total_users"] == 1, "an account is no person"


async def test_who_must_have_a_second_factor_and_has_none_is_named(house: House) -> None:
    await house.edge.user("mia", "manager", ["global"])
    assert await house.counts() == {}
    content = {"required_of": ["manager"], "step_up": ["gate:override"]}
    body = {"content": content, "reason": "more than a password"}
    assert (await house.client.put("/api/admin/second-factor-policy", json=body)).status_code == 200
    assert await house.counts() == {"users_without_second_factor": 1, "tokens_pass_step_up": 1}
    found = await house.dashboard()
    assert found["coverage"]["without_second_factor"] == ["mia"]
    assert "users_without_second_factor" in {one["id"] for one in found["anomalies"]}


async def test_a_token_that_comes_from_many_addresses_looks_shared(house: House) -> None:
    token = (await house.issue("everybody's"))["token"]
    await house.policy(shared_addresses=3)
    for number in (1, 2, 3):
        transport = httpx2.AsyncHTTPTransport(local_address=f"127.0.0.{number}")
        async with httpx2.AsyncClient(
            base_url=house.edge.url, headers={"Authorization": f"Bearer {token}"}, transport=transport
        ) as client:
            assert (await client.get("/api/me")).status_code == 200
        assert ("tokens_shared" in await house.counts()) is (number == 3)
    found = await house.dashboard()
    assert [(one["label"], one["address_count"]) for one in found["named_tokens"]["shared"]] == [("everybody's", 3)]
    house.stack.clock.advance(days=8)
    assert "tokens_shared" not in await house.counts()
    house.stack.clock.advance(days=83)
    assert await house.stack.run_job("gateway", "token_addresses")
    count = await house.edge.running.pool.fetchval("SELECT count(*) FROM token_address WHERE address <> '127.0.0.1'")
    assert count == 0


def test_an_address_of_ipv6_counts_by_its_network() -> None:
    assert place_of("2001:db8:1:2:aaaa::1") == place_of("2001:db8:1:2:bbbb::9") == "2001:db8:1:2::/64"
    assert place_of("::ffff:10.0.0.1") == place_of("10.0.0.1") == "10.0.0.1"
    assert place_of("what") == "unknown"


async def test_the_gates_rule_turns_with_what_people_do_and_levels_are_told(house: House) -> None:
    await house.told()
    assert (await house.rule())["passed"]
    await house.policy(medium_from=10, high_from=20, critical_from=35)
    await house.edge.user("mia", "manager")
    await house.edge.user("joe", "operator")
    posture_before = (await house.client.get("/api/ops/security/posture")).json()
    assert posture_before["risk"]["level"] == "critical"
    rests_on = posture_before["settings"]
    assert (rests_on["rate_limit"]["store"], rests_on["rate_limit"]["while_away"]) == ("nats", "count")
    assert (rests_on["edge"]["own_tls"], rests_on["audit"]["algorithms"]) == (False, ["Ed25519"])
    assert (rests_on["token_policy"]["max_ttl_days"], rests_on["token_policy_version"]) == (365, 0)
    assert {"rate_limit_backend", "tls_certificate"} <= {one["id"] for one in posture_before["guards"]}
    await house.told()
    rule = await house.rule()
    assert (rule["passed"], "critical" in rule["message"]) == (False, True), rule
    raised = await house.stack.heard(risk_raised)
    assert (raised.data["before"], raised.data["level"]) == ("low", "critical")
    assert raised.data["why"][0].startswith("2 tokens of users who are no owners")
    for token in (await house.client.get("/api/tokens", params={"active_only": True})).json():
        if token["username"] != "owner" and not token["standing"]:
            assert (await house.client.delete(f"/api/tokens/{token['token_id']}")).status_code == 200
    await house.told()
    assert (await house.rule())["passed"]
    assert (await house.stack.heard(risk_lowered)).data["level"] == "low"


async def test_what_does_not_answer_is_waited_for_and_then_critical(house: House) -> None:
    await house.told()
    await house.stack.stop("audit")
    house.stack.clock.advance(minutes=10)
    await house.told()
    assert (await house.rule())["passed"]  # a service that is being started again
    house.stack.clock.advance(minutes=11)
    found = await house.dashboard()
    assert (found["risk"]["level"], found["risk"]["complete"], found["actions"]) == ("critical", False, None)
    assert "the audit log was read last at" in found["risk"]["missing"][0]
    assert [(one["score"], one["complete"]) for one in found["trend"]] == [(0.0, False)], "the worst that was read"
    rule = await house.rule()
    assert (rule["passed"], "score 100" in rule["message"]) == (False, True), rule
    house.stack.clock.advance(days=1)  # of this one nobody knows anything
    found = await house.dashboard()
    assert [(one["score"], one["complete"]) for one in found["trend"]] == [(0.0, False), (100.0, False)]
    await house.stack.start(make_audit(None))
    found = await house.dashboard()
    assert (found["risk"]["level"], found["risk"]["complete"]) == ("low", True)
    assert [(one["score"], one["complete"]) for one in found["trend"]] == [(0.0, False), (0.0, False)]
    assert (await house.rule())["passed"]


async def test_who_may_see_what(house: House) -> None:
    await house.told()
    viewer = await house.edge.user("vic", "viewer")
    operator = await house.edge.user("oli", "operator")
    assert (await viewer.get("/api/ops/security/posture")).status_code == 403
    assert (await operator.get("/api/ops/security/posture")).status_code == 200
    assert (await operator.get(DASHBOARD)).status_code == 403
    assert (await operator.get("/api/ops/security/actors/vic")).status_code == 403
    assert OWNER not in (await house.client.get(DASHBOARD)).text
    for days in ("0", "181", "many"):
        assert (await house.client.get(DASHBOARD, params={"days": days})).status_code == 422
