"""Webhooks from the declaration to the verdict: who may deliver, and what becomes of it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx2
import orjson
import pytest
import pytest_asyncio
from pydantic import SecretStr

from libs.common.cloudevents import format_time
from libs.common.contracts.gateway.refusals import refusals_counted
from libs.common.contracts.governance.deliveries import delivery_ignored
from libs.common.contracts.governance.policies import publish_policy
from services.gateway.doors import deliveries
from tests.http_edge import Http
from tests.integration.governance_desk import rule, run, start
from tests.stack import Stack
from tests.unit.governance.samples import tiny_policy
from tests.unit.governance.test_webhooks import SHA, check_suite, deployment, pipeline, workflow_run

pytestmark = pytest.mark.integration

POLICY = tiny_policy(
    name="name: shop",
    settings="",
    subject_mode="subject_mode: version",
    scope="    scope: version",
    kind="    kind: ci.pipeline",
    condition="    condition: derived.not_succeeded_count == 0 && derived.succeeded_count > 0",
    observed='    observed: "{derived.not_succeeded_count} not succeeded"',
    wanted='    wanted: "0"\n    actors: ["webhook:*"]',
).decode()
TARGET = {"gate": "shop", "subject": "shop", "version": SHA}
DEPLOYS = {"kind": "deploy.status", "subject": "shop", "version": SHA}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge that can make secrets, and governance."""
    await start(stack)
    edge = await Http(stack).open(webhook_secret=SecretStr("of this installation"))
    yield edge
    await edge.close()


class Hook:
    """The other system: it knows where to send and the secret."""

    def __init__(self, http: Http, made: dict[str, Any], system: str) -> None:
        self.path, self.secret, self.webhook_id = made["path"], made["secret"], made["webhook_id"]
        self.system, self.client, self._count = system, http.of(None), 0

    async def send(self, event: str, body: dict[str, Any] | bytes, **headers: str) -> httpx2.Response:
        """Deliver; ``headers`` take the place of what the system would send."""
        self._count += 1
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        if self.system == "github":
            signature = "sha256=" + hmac.new(self.secret.encode(), content, hashlib.sha256).hexdigest()
            own = {"X-GitHub-Event": event, "X-GitHub-Delivery": f"d-{self._count}", "X-Hub-Signature-256": signature}
        else:
            own = {"X-Gitlab-Event": event, "X-Gitlab-Event-UUID": "one", "X-Gitlab-Token": self.secret}
        return await self.client.post(
            self.path, content=content, headers={"Content-Type": "application/json", **own, **headers}
        )


async def hook(http: Http, system: str = "github", **fields: Any) -> Hook:
    body = {"name": "ci", "system": system, "subjects": {"acme/shop": "shop"}, **fields}
    answer = await http.client.post("/api/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    return Hook(http, answer.json(), system)


def at(stack: Stack, seconds: int = 0) -> str:
    """A time as the systems write it, in whole seconds."""
    return format_time(stack.clock().replace(microsecond=0) + timedelta(seconds=seconds))


async def publish(stack: Stack) -> None:
    answer = await stack.command(publish_policy, {"gate": "shop", "content": POLICY, "reason": "Pipelines decide"})
    assert answer.status == 200, answer


async def decision(stack: Stack) -> str:
    result: str = (await run(stack, **TARGET))["decision"]
    return result


async def test_a_pipeline_that_succeeded_is_a_go_and_a_later_attempt_that_fails_is_none(
    http: Http, stack: Stack
) -> None:
    await publish(stack)
    github = await hook(http)
    assert await decision(stack) == "no_go"
    began = await github.send(
        "workflow_run", workflow_run(None, action="requested", status="queued", updated_at=at(stack))
    )
    assert (began.status_code, began.json()["items"][0]["judged"]) == (200, True)
    assert await decision(stack) == "no_go", "one that runs has not succeeded"
    assert "not succeeded" in rule(await run(stack, **TARGET), "one")["message"]
    ended = workflow_run("success", updated_at=at(stack))
    assert (await github.send("workflow_run", ended)).status_code == 200
    assert await decision(stack) == "go"
    again = await github.send("workflow_run", workflow_run("failure", run_attempt=2, updated_at=at(stack)))
    assert again.status_code == 200
    assert await decision(stack) == "no_go"
    late = await github.send("workflow_run", workflow_run("success", updated_at=at(stack, -3)))
    assert late.status_code == 200
    assert await decision(stack) == "no_go", "the first attempt's end came late, and is older"
    signal = (await http.client.get(f"/api/signals/{again.json()['items'][0]['signal_id']}")).json()
    assert (signal["actor"], signal["source"], signal["site"]) == ("webhook:ci", "/webhooks/github/acme/shop", "global")


async def test_the_same_delivery_counts_once_and_another_body_is_another_delivery(http: Http) -> None:
    github = await hook(http)
    body = workflow_run()
    first = await github.send("workflow_run", body, **{"X-GitHub-Delivery": "same"})
    again = await github.send("workflow_run", body, **{"X-GitHub-Delivery": "same"})
    assert again.json() == first.json()
    other = await github.send("workflow_run", workflow_run("failure"), **{"X-GitHub-Delivery": "same"})
    assert other.json()["items"][0]["signal_id"] != first.json()["items"][0]["signal_id"]
    # Mended, the webhook takes what it ignored before.
    path = f"/api/webhooks/{github.webhook_id}"
    ignored = await github.send("workflow_run", workflow_run(id=1), **{"X-GitHub-Delivery": "d"})
    assert ignored.status_code == 200
    assert (await http.client.put(path, json={"subjects": {"acme/shop": "till"}})).status_code == 200
    http.edge.deliveries.forget()
    mended = await github.send("workflow_run", workflow_run(id=1), **{"X-GitHub-Delivery": "d"})
    assert mended.json()["items"][0]["subject"] == "till"


async def test_only_who_knows_the_secret_may_deliver(http: Http, stack: Stack) -> None:
    github, gitlab = await hook(http), await hook(http, "gitlab", name="lab")
    body = orjson.dumps(workflow_run())
    signed = hmac.new(github.secret.encode(), body, hashlib.sha256).hexdigest()
    wrong = [
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": signed},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Hub-Signature-256": f"sha256={signed.upper()}"},
        {"X-Hub-Signature-256": f"sha256={signed} "[:-2]},
        {"X-Hub-Signature-256": "sha256=" + hmac.new(b"", body, hashlib.sha256).hexdigest()},
        {"X-Hub-Signature-256": "sha256=" + hmac.new(gitlab.secret.encode(), body, hashlib.sha256).hexdigest()},
        {"X-Hub-Signature-256": "\u00ff", "X-Gitlab-Token": github.secret},
    ]
    for headers in wrong:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = await github.client.post(
            github.path, content=body, headers=[(b"X-GitHub-Event", b"workflow_run"), *raw]
        )
        assert answer.status_code == 401, headers
    altered = await github.send(
        "workflow_run", body.replace(b"success", b"failure"), **{"X-Hub-Signature-256": f"sha256={signed}"}
    )
    assert altered.status_code == 401
    for token in ("", "wrong", github.secret, gitlab.secret[:-1]):
        assert (await gitlab.send("Pipeline Hook", pipeline(), **{"X-Gitlab-Token": token})).status_code == 401
    for unknown in ("0" * 32, "..", "x" * 400, "a%00b"):
        answer = await github.client.post(f"/api/webhooks/{unknown}", content=body)
        assert answer.status_code in (401, 404, 422), unknown
    assert (await http.client.get("/api/signals")).json()["items"] == []
    await http.edge.refusals.flush()
    counted = await stack.heard(refusals_counted)
    rows = {(row["route"], row["status"]): row["count"] for row in counted.data["strangers"]}
    assert rows[deliveries.PATH, 401] >= len(wrong) + 5
    assert (await github.send("workflow_run", body)).status_code == 200


async def test_a_rotated_secret_goes_on_for_a_while_and_a_removed_webhook_for_none(http: Http, stack: Stack) -> None:
    github = await hook(http)
    old = github.secret
    path = f"/api/webhooks/{github.webhook_id}"
    answer = await http.client.post(f"{path}/rotate", json={"overlap_hours": 2})
    assert answer.status_code == 200, answer.text
    new = answer.json()["secret"]
    assert new != old
    for secret in (old, new):
        github.secret = secret
        http.edge.deliveries.forget()
        assert (await github.send("ping", {})).status_code == 200
    stack.clock.advance(hours=2)
    assert (await github.send("ping", {})).status_code == 200
    github.secret = old
    assert (await github.send("ping", {})).status_code == 401
    listed = (await http.client.get("/api/webhooks")).json()
    assert [one["name"] for one in listed] == ["ci"]
    assert old not in str(listed)
    assert new not in str(listed)
    assert (await http.client.delete(path)).json()["removed_at"]
    github.secret = new
    http.edge.deliveries.forget()
    assert (await github.send("ping", {})).status_code == 401
    assert (await http.client.post(f"{path}/rotate", json={})).status_code == 404
    assert (await http.client.put(path, json={})).status_code == 404
    await hook(http)  # the name is free again
    stored = await http.running.pool.fetch("SELECT webhooks::text AS row FROM webhooks")
    assert not any(secret in row["row"] for row in stored for secret in (old, new))
    audited = [event for event in stack.events if event.name.startswith("gateway.webhook")]
    assert audited
    assert not any(secret in str(event.data) for event in audited for secret in (old, new))


async def test_what_is_not_judged_is_told_and_answered_with_the_reason(http: Http, stack: Stack) -> None:
    github = await hook(http)
    for event, body, why in (
        ("ping", {"zen": "Design for failure."}, "ping"),
        ("push", {"ref": "refs/heads/main"}, "not judged"),
        ("workflow_run", workflow_run(head_repository={"full_name": "mallory/shop"}), "mallory/shop"),
        ("workflow_run", {**workflow_run(), "repository": {"full_name": "acme/till"}}, "acme/till itself"),
        ("check_suite", check_suite(app={"slug": "github-actions"}), "workflow_run"),
    ):
        answer = await github.send(event, body)
        assert answer.status_code == 200
        assert why in answer.json()["ignored"]
        assert answer.json()["items"] == []
    told = await stack.heard(delivery_ignored)
    assert (told.actor, told.data["webhook"]) == ("webhook:ci", "ci")


async def test_broken_and_hostile_deliveries_are_sentences(http: Http) -> None:
    github = await hook(http)
    for body in (
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"a":NaN}',
        b"[" * 50_000,
        b'{"a":' * 20_000,
        b"\xff\xfe",
        b'{"x":"\\ud800"}',
    ):
        answer = await github.send("workflow_run", body)
        assert answer.status_code in (400, 422), body[:20]
        assert answer.json()["detail"]
    assert (await github.send("workflow_run", {})).status_code == 422
    huge = b'{"x":"' + b"x" * (7 * 1024 * 1024) + b'"}'
    assert (await github.send("workflow_run", huge)).status_code == 413
    assert (await github.send("", workflow_run())).status_code == 422
    assert (await github.client.post(github.path + "?site=plant-a", content=b"{}")).status_code == 422
    form = urlencode({"payload": orjson.dumps(workflow_run()).decode()}).encode()
    as_form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await github.send("workflow_run", form, **as_form)).json()["items"][0]["kind"] == "ci.pipeline"
    for odd in (b"payload", b"a=b", b"payload=1&payload=2", b"payload=\xff"):
        assert (await github.send("workflow_run", odd, **as_form)).status_code in (400, 422), odd


async def test_a_future_time_is_no_more_than_now(http: Http, stack: Stack) -> None:
    await publish(stack)
    github = await hook(http)
    ahead = await github.send("workflow_run", workflow_run(updated_at="2999-01-01T00:00:00Z"))
    signal = (await http.client.get(f"/api/signals/{ahead.json()['items'][0]['signal_id']}")).json()
    assert signal["time"] == signal["received_at"]
    assert await decision(stack) == "go"
    stack.clock.advance(seconds=5)
    await github.send("workflow_run", workflow_run("failure", run_attempt=2, updated_at=at(stack)))
    assert await decision(stack) == "no_go", "what comes later counts, whatever clock the first had"


async def test_a_pipeline_of_gitlab_is_a_fact_of_its_site(http: Http, stack: Stack) -> None:
    await http.site("plant-a")
    body = {"name": "lab", "system": "gitlab", "version_from": "ref", "refs": ["v*"], "drop_prefix": "v"}
    made = await http.client.post("/api/webhooks", params={"site": "plant-a"}, json=body)
    gitlab = Hook(http, made.json(), "gitlab")
    answer = await gitlab.send("Pipeline Hook", pipeline(tag=True, ref="v1.4.0"))
    item = answer.json()["items"][0]
    assert (item["subject"], item["version"], item["part"]) == ("acme/shop", "1.4.0", "pipeline push of a tag v1.4.0")
    assert "fits none" in (await gitlab.send("Pipeline Hook", pipeline())).json()["ignored"]
    found = await http.client.get("/api/signals", params={"site": "plant-a"})
    assert [one["actor"] for one in found.json()["items"]] == ["webhook:lab"]
    narrow = await http.user("narrow", "manager", ["plant-a"])
    path = f"/api/webhooks/{gitlab.webhook_id}"
    assert (await http.client.delete(path)).status_code == 404, "it is of another site"
    assert (await narrow.delete(path, params={"site": "plant-a"})).status_code == 200


async def test_that_an_earlier_deployment_is_inactive_does_not_undo_the_later_one(http: Http, stack: Stack) -> None:
    github = await hook(http)

    async def now() -> str:
        pool = stack.running["governance"].pool
        found: str = await pool.fetchval(
            "SELECT data->>'status' FROM facts JOIN signals USING (signal_id) WHERE facts.kind = 'deploy.status' "
            "AND facts.voice = ''"
        )
        return found

    for second in (False, True):  # in either order
        stack.clock.advance(minutes=1)
        first_id, later_id = (41, 42) if not second else (43, 44)
        await github.send("deployment_status", deployment("success", first_id, at(stack)))
        inactive = deployment("inactive", first_id, at(stack, 2))
        success = deployment("success", later_id, at(stack, 1))
        stack.clock.advance(seconds=10)
        for body in (inactive, success) if second else (success, inactive):
            assert (await github.send("deployment_status", body)).status_code == 200
        assert await now() == "succeeded"
    stack.clock.advance(minutes=1)
    await github.send("deployment_status", deployment("inactive", 44, at(stack)))
    assert await now() == "removed", "nothing took its place"


async def test_names_are_taken_once_and_roles_are_asked(http: Http) -> None:
    await hook(http)
    body = {"name": "ci", "system": "github"}
    assert (await http.client.post("/api/webhooks", json=body)).status_code == 409
    operator = await http.user("op", "operator")
    assert (await operator.post("/api/webhooks", json={**body, "name": "other"})).status_code == 403
    assert (await operator.get("/api/webhooks")).status_code == 200
    for wrong in (
        {"name": "a.>"},
        {"system": "svn"},
        {"drop_prefix": "v"},
        {"subjects": {"a": ""}},
        {"salt": "0" * 32},
    ):
        answer = await http.client.post("/api/webhooks", json={**body, "name": "x", **wrong})
        assert answer.status_code == 422, wrong
    key = {"Idempotency-Key": "once"}
    first = await http.client.post("/api/webhooks", json={**body, "name": "x"}, headers=key)
    again = await http.client.post("/api/webhooks", json={**body, "name": "x"}, headers=key)
    assert again.json()["webhook_id"] == first.json()["webhook_id"]
    assert again.json()["secret"] is None
    assert isinstance(datetime.fromisoformat(first.json()["created_at"]), datetime)


async def test_a_gateway_without_a_key_says_so(stack: Stack) -> None:
    edge = await Http(stack).open()
    answer = await edge.client.post("/api/webhooks", json={"name": "ci", "system": "github"})
    assert answer.status_code == 503
    assert "HEADGATE_WEBHOOK_SECRET" in answer.json()["detail"]
    await edge.close()


async def test_a_webhook_goes_no_further_than_who_knows_its_secret(http: Http) -> None:
    bea = await http.user("bea", "owner")
    narrow = await bea.post("/api/tokens", json={"label": "narrow", "permissions": ["webhook:write"]})
    client = http.of(narrow.json()["token"])
    body = {"name": "ci", "system": "gitlab", "subjects": {"acme/shop": "shop"}}
    refused = await client.post("/api/webhooks", json=body)
    assert (refused.status_code, refused.json()["permission"]) == (403, "signal:write"), refused.text
    made = (await bea.post("/api/webhooks", json=body)).json()
    path = f"/api/webhooks/{made['webhook_id']}"
    assert (made["secret_by"], made["orphaned"]) == ("bea", False)
    assert (await client.post(f"{path}/rotate", json={})).status_code == 403
    gitlab = Hook(http, made, "gitlab")
    assert (await gitlab.send("Pipeline Hook", pipeline())).status_code == 200
    assert (await http.client.patch("/api/users/bea", json={"active": False})).status_code == 200
    http.edge.deliveries.forget()  # instead of waiting for 5 s
    assert (await gitlab.send("Pipeline Hook", pipeline())).status_code == 401
    (listed,) = (await http.client.get("/api/webhooks")).json()
    assert (listed["secret_by"], listed["orphaned"]) == ("bea", True)
    rotated = await http.client.post(f"{path}/rotate", json={"overlap_hours": 2})
    assert (rotated.json()["secret_by"], rotated.json()["orphaned"]) == ("owner", False)
    http.edge.deliveries.forget()
    assert (await gitlab.send("Pipeline Hook", pipeline())).status_code == 401, "bea knows that one"
    gitlab.secret = rotated.json()["secret"]
    assert (await gitlab.send("Pipeline Hook", pipeline())).status_code == 200
