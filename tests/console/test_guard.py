"""A target that fails is held back, is seen to be, and is tried anew on somebody's word until it is well."""

from __future__ import annotations

import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from playwright.sync_api import expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok
from tests.local_traffic import await_that

HALTED = "governance.line.halted"


class Target:
    """Answers ``status``, and keeps how often it was called."""

    def __init__(self) -> None:
        target = self
        self.status, self.called = 503, 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                target.called += 1
                self.send_response(target.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: the tests say what came."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def was_called(self, times: int) -> bool:
        """So often, or more."""
        return self.called >= times

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook"


def test_what_fails_is_seen_tried_again_and_well(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"404 GET .*/recover/latest")  # nobody has asked for a try yet
    target = Target()
    with filled.http() as http:
        body = {"name": "sick target", "endpoint": target.url, "event_types": [HALTED]}
        made = ok(http.post("/api/subscriptions", json=body))

        def halted() -> None:
            halt = ok(http.post("/api/halts", json={"subjects": "nothing-of-ours", "reason": "a test"}))
            ok(http.post(f"/api/halts/{halt['halt_id']}/lift", json={"reason": "a test"}))

        page = visit("/deliveries/guard")
        for count in (1, 2, 3):
            halted()
            await_that(f"{count} attempts", partial(target.was_called, count))
        row = page.get_by_role("row").filter(has_text="sick target").filter(has_text=HALTED)
        expect(row).to_contain_text("held back")  # it appears by itself
        expect(row).to_contain_text("503")
        halted()
        row.get_by_role("button", name="Try now").press("Enter")
        latest = page.locator(
            "section", has=page.get_by_role("heading", name="The tries that were asked for last")
        ).last
        expect(latest).to_contain_text("failed")
        expect(row).to_contain_text("held back")

        target.status = 204
        page.get_by_role("button", name="Try all now").click()
        expect(latest).to_contain_text("well again")
        expect(row).to_have_count(0)
        of = {"subscription_id": made["subscription_id"]}
        states = [one["state"] for one in ok(http.get("/api/deliveries", params=of))["items"]]
        assert "delivered" in states, states
        assert "suppressed" not in states, states
        ok(http.delete(f"/api/subscriptions/{made['subscription_id']}"))
    target.server.shutdown()
    target.server.server_close()


def test_who_may_only_read_tries_nothing(visit: Visitor) -> None:
    page = visit("/deliveries/guard", role="auditor")
    expect(page.get_by_role("heading", name="What fails now")).to_be_visible()
    expect(page.get_by_role("button", name="Try")).to_have_count(0)
