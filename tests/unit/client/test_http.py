"""The client against a server on a real socket: retries, refusals, pending commands, and answers that make no sense."""

from __future__ import annotations

import socket
import threading

import pytest

from libs.client.addresses import checked_url
from libs.client.errors import ApiError, BadAnswer, StillPending, Unreachable, UsageProblem
from libs.client.http import Client
from tests.unit.client.gateway import FakeGateway, Says, refusal
from tests.unit.client.samples import gate_run, item, me

ITEM = "/api/ops/governance/gate/remediation/tracker/items/4"


def test_a_typed_answer_and_the_token(gateway: FakeGateway, client: Client) -> None:
    gateway.on("GET /api/me", Says(me()))
    assert client.me().username == "ann"
    assert gateway.asked[0].headers["authorization"] == "Bearer hg_secret"
    assert "idempotency-key" not in gateway.asked[0].headers


def test_a_command_is_retried_under_one_key(gateway: FakeGateway, client: Client) -> None:
    busy = refusal(503, "Busy.")
    gateway.on(f"PATCH {ITEM}", Says(busy.body, 503, {**busy.headers, "Retry-After": "0"}), Says(item()))
    assert client.patch_item(4, status="done").id == 4
    keys = {asked.headers["idempotency-key"] for asked in gateway.asked}
    assert len(gateway.asked) == 2
    assert len(keys) == 1
    assert gateway.asked[0].json == {"status": "done"}


def test_a_key_of_the_caller_is_kept(gateway: FakeGateway, client: Client) -> None:
    gateway.on(f"PATCH {ITEM}", Says(item()))
    client.call("tracker.item.patch", item_id=4, status="done", idempotency_key="mine")
    assert gateway.asked[0].headers["idempotency-key"] == "mine"


def test_a_connection_that_breaks_is_tried_again(gateway: FakeGateway) -> None:
    """The first connection is closed without an answer, as by a server that restarts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answer = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"
        )

        def serve() -> None:
            first, _ = listening.accept()
            first.recv(4096)
            first.close()
            second, _ = listening.accept()
            with second:
                second.recv(4096)
                second.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with Client(f"http://127.0.0.1:{listening.getsockname()[1]}", "hg_secret") as client:
            assert client.call("governance.gates.list") == []
        thread.join()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_refusal_is_not_retried(gateway: FakeGateway, client: Client, status: int) -> None:
    gateway.on("GET /api/me", refusal(status, "Say why.", blockers=["one"]))
    with pytest.raises(ApiError, match=r"Say why\.") as caught:
        client.me()
    assert caught.value.refused
    assert caught.value.problem["blockers"] == ["one"]
    assert len(gateway.asked) == 1


def test_a_fault_shows_its_trace(gateway: FakeGateway, client: Client) -> None:
    gateway.on("GET /api/me", refusal(500, "A fault of ours.", trace_id="ab12"))
    with pytest.raises(ApiError, match=r"A fault of ours\. \(trace ab12\)") as caught:
        client.me()
    assert not caught.value.refused


def test_too_many_requests_without_a_time_or_with_a_long_one_end_at_once(gateway: FakeGateway, client: Client) -> None:
    slow = refusal(429, "Slow down.")
    gateway.on("GET /api/me", Says(slow.body, 429, {**slow.headers, "Retry-After": "3600"}))
    with pytest.raises(ApiError, match="Slow down"):
        client.me()
    assert len(gateway.asked) == 1


def accepted(**more: str) -> Says:
    body = {"command": "governance.0-1", "state": "pending", "status_url": "/api/commands/governance.0-1", **more}
    return Says(body, 202)


def test_an_accepted_command_is_followed_to_its_end(gateway: FakeGateway, client: Client) -> None:
    gateway.on("POST /api/gates/release/runs", accepted())
    gateway.on(
        "GET /api/commands/governance.0-1",
        Says({"state": "pending"}),
        Says({"state": "done", "http_status": 201, "result": gate_run()}),
    )
    assert client.run_gate("release", subject="app", version="1.0").decision == "go"


def test_an_accepted_command_may_be_refused_later(gateway: FakeGateway, client: Client) -> None:
    gateway.on("POST /api/gates/release/runs", accepted())
    problem = {"title": "Conflict", "detail": "Not now."}
    gateway.on("GET /api/commands/governance.0-1", Says({"state": "refused", "http_status": 409, "result": problem}))
    with pytest.raises(ApiError, match=r"Not now\.") as caught:
        client.run_gate("release")
    assert caught.value.status == 409


def test_a_command_that_stays_pending_says_where_to_look(
    gateway: FakeGateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.client.http.PENDING_WAIT_S", 0.2)
    gateway.on("POST /api/gates/release/runs", accepted())
    gateway.on("GET /api/commands/governance.0-1", Says({"state": "pending"}))
    with pytest.raises(StillPending, match=r"headgate command governance\.0-1"):
        client.run_gate("release")


def test_the_secret_of_a_token_issued_late_is_kept(gateway: FakeGateway, client: Client) -> None:
    gateway.on("POST /api/tokens", accepted(token="hg_new", fingerprint="ab"))
    result = {"token_id": 2, "fingerprint": "ab"}
    gateway.on("GET /api/commands/governance.0-1", Says({"state": "done", "http_status": 201, "result": result}))
    assert client.call("gateway.token.issue", label="ci")["token"] == "hg_new"


def test_the_secret_of_another_token_is_not_given(gateway: FakeGateway, client: Client) -> None:
    gateway.on("POST /api/tokens", accepted(token="hg_new", fingerprint="ab"))
    result = {"token_id": 2, "fingerprint": "cd"}
    gateway.on("GET /api/commands/governance.0-1", Says({"state": "done", "http_status": 201, "result": result}))
    assert "token" not in client.call("gateway.token.issue", label="ci")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (Says(b"<html>", 200, {"Content-Type": "text/html"}), "instead of JSON"),
        (Says(b"<html>", 500, {"Content-Type": "text/html"}), "answered 500 without a problem document"),
        (Says(b"{", 200), "broken JSON"),
        (Says({"username": 5}), "another shape"),
        (Says([], 200), "another shape"),
        (Says(b"", 301, {"Location": "https://else.example/"}), "sends callers on to https://else.example/"),
    ],
)
def test_answers_that_are_not_headgates(gateway: FakeGateway, client: Client, said: Says, says: str) -> None:
    gateway.on("GET /api/me", said)
    with pytest.raises(BadAnswer, match=says):
        client.me()


def test_pages_are_followed_and_a_cursor_that_stands_still_ends(gateway: FakeGateway, client: Client) -> None:
    gateway.on("GET /api/audit/entries", Says({"items": [1, 2], "next_cursor": "2"}), Says({"items": [3]}))
    assert list(client.pages("audit.entries.list", limit=2)) == [[1, 2], [3]]
    assert gateway.asked[1].query["cursor"] == ["2"]
    gateway.on("GET /api/audit/entries", Says({"items": [1], "next_cursor": "2"}))
    assert len(list(client.pages("audit.entries.list"))) == 2
    gateway.on("GET /api/audit/entries", Says([1]))
    with pytest.raises(BadAnswer, match="no page"):
        list(client.pages("audit.entries.list"))


def test_pages_of_a_bare_list_are_followed_by_its_last_row(gateway: FakeGateway, client: Client) -> None:
    gateway.on("GET /api/users", Says([{"username": "ann"}, {"username": "bob"}]), Says([{"username": "cem"}]))
    assert [[one["username"] for one in page] for page in client.pages("gateway.users.list", limit=2)] == [
        ["ann", "bob"], ["cem"],
    ]  # fmt: skip
    assert [asked.query for asked in gateway.asked] == [{"limit": ["2"]}, {"limit": ["2"], "cursor": ["bob"]}]
    gateway.on("GET /api/users", Says({"users": []}))
    with pytest.raises(BadAnswer, match="no page"):
        list(client.pages("gateway.users.list"))


def test_csv(gateway: FakeGateway, client: Client) -> None:
    gateway.on("GET /api/gates/release/remediation", Says(b"a,b\n", 200, {"Content-Type": "text/csv; charset=utf-8"}))
    assert client.csv("governance.plan.get", gate="release") == "a,b\n"
    assert gateway.asked[0].headers["accept"] == "text/csv"
    gateway.on("GET /api/me", Says(me()))
    with pytest.raises(UsageProblem, match="no CSV form"):
        client.csv("gateway.me.get")


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_nothing_listens() -> None:
    client = Client(f"http://127.0.0.1:{closed_port()}", "hg_secret")
    with client, pytest.raises(Unreachable, match=r"Nothing listens at .* is the gateway running"):
        client.me()


def test_bad_tls(gateway: FakeGateway) -> None:
    client = Client(gateway.url.replace("http://", "https://"), "hg_secret", timeout_s=2, attempts=1)
    with client, pytest.raises(Unreachable, match="TLS"):
        client.me()


def test_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        client = Client(url, "hg_secret", timeout_s=0.2, attempts=1)
        with client, pytest.raises(Unreachable, match=r"did not answer within 0\.2 seconds"):
            client.me()


def test_what_is_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 mail ready\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        client = Client(f"http://127.0.0.1:{listening.getsockname()[1]}", "hg_secret", attempts=1)
        with client, pytest.raises(BadAnswer, match="does not speak HTTP"):
            client.me()
        thread.join()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gateway",
        "ftp://gateway",
        "http://",
        "http://a:b@gateway",
        "http://gateway?x=1",
        "http://[",
        "http://a:99999",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageProblem, match="no address"):
        checked_url(url)


def test_a_token_with_a_line_break_is_refused(gateway: FakeGateway) -> None:
    with pytest.raises(UsageProblem, match="characters that no token has"):
        Client(gateway.url, "hg_x\r\nX-Evil: 1")
