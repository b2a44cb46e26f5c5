"""An installation that an older version made and filled is started by this one: everything in it is there, and goes on.

Nothing here may be skipped: whoever changes a table, a stream, an event or a contract sees here whom it would break.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook

from deploy.local import LocalStack
from tests.faults.world import drain
from tests.integration.bus_guest import Guest
from tests.integration.old_life import TRACKER, Author, Life, all_pages, junit, keyed_post, lost
from tests.integration.old_version import OldVersion, check_out
from tests.local_traffic import await_that, client, story
from tests.receiver import Receiver

pytestmark = [pytest.mark.integration, pytest.mark.whole]
ENVIRONMENT = {"HEADGATE_REQUESTS_PER_MINUTE": "1000000", "HEADGATE_OUTBOUND_NETWORKS": '["127.0.0.0/8"]'}


@dataclass
class Upgraded:
    """This version, running on the old one's data, all that was owed done."""

    life: Life
    stack: LocalStack
    http: httpx2.Client

    def get(self, path: str, **more: Any) -> Any:
        """The JSON of a path that must answer 200."""
        answer = self.http.get(path, **more)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()


@pytest.fixture(scope="module", params=["stopped", pytest.param("killed", marks=pytest.mark.faults)])
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """Filled by the old version, which was stopped as it should be or killed; then started by this one."""
    folder = tmp_path_factory.mktemp("upgrade")
    old = OldVersion(check_out(folder / "old"), folder / "data")
    old.start()
    author = Author(old)
    try:
        author.identity()
        author.listeners()
        author.operations()
        author.releases()
        author.poison()
        author.look()
        author.leave_unsent()
        author.leave_queued(gateway=request.param == "killed")
        if request.param == "stopped":
            old.stop()
    finally:
        old.kill()
        author.close()
    stack = LocalStack(folder / "data", env=ENVIRONMENT)
    stack.start()
    try:
        stack.wait_ready()
        asyncio.run(drain(stack.servers.database_url, stack.servers.nats_url))
        with client(stack) as http:
            yield Upgraded(author.life, stack, http)
    finally:
        stack.stop()


def test_nothing_that_could_be_read_is_gone_or_changed(upgraded: Upgraded) -> None:
    missing = []
    for path, old in upgraded.life.shown.items():
        answer = upgraded.http.get(path)
        if answer.status_code != 200:
            missing.append(f"{path}: {answer.status_code} {answer.text[:200]}")
        elif path in ("/api/sites", "/api/users", "/api/tokens"):
            missing += [f"{path} lost {row}" for row in old if not any(lost(row, one) == [] for one in answer.json())]
        else:
            missing += [f"{path}{line}" for line in lost(old, answer.json())]
    assert missing == []


def test_tokens_count_as_before(upgraded: Upgraded) -> None:
    statuses = {}
    for name, token in upgraded.life.tokens.items():
        answer = httpx2.get(f"{upgraded.stack.gateway_url}/api/me", headers={"Authorization": f"Bearer {token}"})
        statuses[name] = answer.status_code
    assert statuses == {"mia": 200, "oz": 200, "gone": 401, "revoked": 401}


async def test_the_bus_lets_subscribers_in_and_has_what_the_old_version_told(upgraded: Upgraded) -> None:
    answer = upgraded.http.post("/api/subscribers", json={"name": "new", "start": "oldest"})
    assert answer.status_code == 201, answer.text
    made, token = answer.json(), str(upgraded.http.headers["Authorization"]).removeprefix("Bearer ")
    guest = await Guest(made, "headgate").open(upgraded.stack.servers.nats_url, token)
    (first,) = await guest.pull(1)
    assert first.metadata.sequence.stream == 1
    await guest.client.close()


async def test_a_subscriber_of_before_finds_what_waited_for_it(upgraded: Upgraded) -> None:
    made = upgraded.life.subscriber
    token = str(upgraded.http.headers["Authorization"]).removeprefix("Bearer ")
    guest = await Guest(made, "headgate").open(upgraded.stack.servers.nats_url, token)
    decided = [one for one in await guest.pull(20) if one.subject.endswith("gate.decided")]
    assert len(decided) >= 5
    await guest.client.close()


def test_what_waited_for_a_receiver_is_sent_and_signed_with_the_same_secret(upgraded: Upgraded) -> None:
    made = upgraded.life.subscription
    waiting = upgraded.get("/api/deliveries", params={"subscription_id": made["subscription_id"], "limit": 200})[
        "items"
    ]
    assert len(waiting) >= 5
    assert {one["state"] for one in waiting} <= {"retrying", "pending", "delivering", "suppressed"}
    with Receiver(port=int(made["endpoint"].split(":")[2].split("/")[0])) as receiver:

        def arrived() -> bool:
            for one in waiting:
                upgraded.http.post(f"/api/deliveries/{one['delivery_id']}/retry")  # refused while it is being sent
            return {got.headers["webhook-id"] for got in receiver.got} >= wanted

        wanted = {f"{one['event_id']}-{made['subscription_id']}" for one in waiting}
        await_that("what waited", arrived)
        for got in receiver.got:
            Webhook(made["signing_secret"]).verify(got.body, dict(got.headers))


def test_the_audit_log_is_the_same_chain_and_goes_on(upgraded: Upgraded) -> None:
    verified = upgraded.get("/api/audit/verify")
    assert verified["valid"], verified
    assert verified["head_seq"] > max(upgraded.life.entries)
    now = {entry["seq"]: entry for entry in all_pages(upgraded.http, "/api/audit/entries?limit=500")}
    assert [line for seq, old in upgraded.life.entries.items() for line in lost(old, now[seq], f"entry {seq}")] == []


def test_what_was_accepted_is_applied(upgraded: Upgraded) -> None:
    for path, wanted in upgraded.life.owed.items():
        outcome = upgraded.get(path)
        assert outcome.get("http_status") in wanted, outcome
    items = upgraded.get(f"{TRACKER}/items", params={"gate": "release", "subject": "later"})
    assert ("mia", "blocked") in {(item["assignee"], item["status"]) for item in items}
    kinds = {one["kind"] for one in all_pages(upgraded.http, "/api/signals?limit=200&site=later")}
    assert {"ops.runbook", "other.kind"} <= kinds


def test_what_was_done_but_not_yet_told_is_told(upgraded: Upgraded) -> None:
    entries = all_pages(upgraded.http, "/api/audit/entries?limit=500&type=headgate.governance.gate.decided.v1")
    assert "later" in {entry["site"] for entry in entries}


def test_a_repeated_key_gets_the_first_answer(upgraded: Upgraded) -> None:
    for key, (path, body, first) in upgraded.life.keyed.items():
        answer = keyed_post(upgraded.http, key, path, body)
        assert answer.status_code == 201, f"{key}: {answer.text}"
        assert lost(first, answer.json(), key) == []


def test_dead_letters_are_kept_and_can_be_dropped(upgraded: Upgraded) -> None:
    (letter,) = upgraded.get("/api/dead-letters/governance")["items"]
    assert upgraded.http.delete(f"/api/dead-letters/governance/{letter['letter_id']}").status_code == 200


def test_the_same_facts_are_judged_the_same(upgraded: Upgraded) -> None:
    for subject, version, decision in (("web", "2", "go"), ("app", "1", "go"), ("app", "2", "no_go")):
        body = {"subject": subject, "version": version}
        run = upgraded.http.post("/api/gates/release/runs", json=body)
        assert (run.status_code, run.json()["decision"]) == (201, decision), run.text
    for site, decision in (("well", "go"), ("plant", "no_go")):
        run = upgraded.http.post("/api/gates/operations/runs", json={}, params={"site": site})
        assert (run.status_code, run.json()["decision"]) == (201, decision), run.text


def test_a_broken_signal_that_an_older_good_one_hid_now_counts(upgraded: Upgraded) -> None:
    """The old version kept a GO when a producer broke its format: its newest valid signal stayed in charge."""
    site = {"site": "silo"}
    runs = [run for path, run in upgraded.life.shown.items() if "/runs/" in path and path.endswith("site=silo")]
    assert [run["decision"] for run in runs] == ["go"]
    run = upgraded.http.post("/api/gates/operations/runs", json={}, params=site).json()
    (preflight,) = (rule for rule in run["rules"] if rule["id"] == "preflight_no_error")
    assert (run["decision"], preflight["status"]) == ("no_go", "fail"), preflight
    assert "error_count" in preflight["message"]


def test_a_test_that_failed_before_stays_failing_until_it_is_shown_passing(upgraded: Upgraded) -> None:
    """The old version forgot a failing test as soon as a report came without it."""
    of = {"subject": "app", "version": "2"}
    for tests, decision in ((("b",), "no_go"), (("a", "b"), "go")):
        sent = upgraded.http.post("/api/signals/junit", content=junit(*tests), params=of | {"part": "unit"})
        assert sent.status_code == 201, sent.text
        run = upgraded.http.post("/api/gates/release/runs", json=of).json()
        assert run["decision"] == decision, [rule["message"] for rule in run["rules"]]


def test_it_goes_on_working(upgraded: Upgraded) -> None:
    status = upgraded.get("/api/status")
    assert all(state == "up" for state in status["services"].values()), status
    story(upgraded.stack)
