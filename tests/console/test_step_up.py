"""A fresh code before an order: asked for in its midst, and the order is given once."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Request, expect

from services.gateway.domain.second_factors import STEP_S, code_at
from services.gateway.second_factors.demands import FRESH_SECONDS
from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok

POLICY = "/api/admin/second-factor-policy"
NAME = "stella"


@pytest.fixture
def asked(filled: Filled) -> Iterator[Filled]:
    """Stella, who may issue tokens; who does shows a fresh code."""
    with filled.http() as http:
        ok(http.post("/api/users", json={"username": NAME, "role": "owner", "sites": ["*"]}))
        filled.tokens[NAME] = ok(http.post("/api/tokens", json={"username": NAME, "label": "console"}))["token"]
        for content in ({"step_up": ["token:write"]}, {}):
            ok(http.put(POLICY, json={"content": content, "reason": "tokens open doors"}))
            time.sleep(FRESH_SECONDS)  # until then the gateway may go by the one before
            if content:
                yield filled
    del filled.tokens[NAME]


def test_an_order_goes_on_after_a_fresh_code_and_is_given_once(visit: Visitor, asked: Filled) -> None:
    visit.expect(r"403 POST .*/api/tokens", r"403 POST .*/api/me/step-up")
    page = visit("/me", role=NAME)
    page.get_by_role("button", name="Set up a second factor").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Go on").click()
    (text,) = parse_qs(urlsplit(dialog.locator("pre.secret").inner_text().strip()).query)["secret"]
    secret, step = base64.b32decode(text + "=" * (-len(text) % 8)), int(time.time() // STEP_S)
    dialog.get_by_label("Code that the app shows").fill(code_at(secret, step))
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="I have it").click()

    page.goto("/console/admin/tokens")
    sent: list[Request] = []
    page.on("request", lambda one: sent.append(one) if one.method == "POST" and "/api/tokens" in one.url else None)
    page.get_by_role("button", name="Issue a token").click()
    issuing = page.get_by_role("dialog", name="Issue a token")
    issuing.get_by_label("Label").fill("with a code")
    issuing.get_by_role("button", name="Issue", exact=True).click()
    question = page.get_by_role("dialog", name="A fresh code")
    question.get_by_role("button", name="Cancel").click()
    expect(issuing.get_by_role("alert")).to_be_visible()  # who gives up is told what was wanted
    assert len(sent) == 1
    issuing.get_by_role("button", name="Issue", exact=True).click()
    question.get_by_label("Code").fill("000000")
    page.keyboard.press("Enter")
    expect(question.get_by_role("alert")).to_be_visible()
    assert _issued(asked) == 0
    question.get_by_label("Code").fill(code_at(secret, step + 1))  # each counts once
    page.keyboard.press("Enter")
    expect(question).to_have_count(0)
    expect(issuing.locator("pre.secret")).to_contain_text("hg_")
    assert _issued(asked) == 1


def _issued(filled: Filled) -> int:
    with filled.http() as http:
        return sum(one["label"] == "with a code" for one in ok(http.get("/api/tokens")))
