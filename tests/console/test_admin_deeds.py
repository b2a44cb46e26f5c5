"""Deeds of the administration and about oneself: each in a browser, with what it refuses and what came of it."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok
from tests.local_traffic import await_that
from tests.receiver import Receiver

ASSETS = Path(__file__).parents[2] / "deploy" / "assets"
# Reads a picture as a camera's program would, by another half of the package than the one that draws.
READ_QR = """
import decodeQR from "qr/decode.js";
import { readFileSync } from "node:fs";
const { size, data } = JSON.parse(readFileSync(0, "utf8"));
console.log(decodeQR({ height: size, width: size, data: Uint8Array.from(data) }));
"""
SCALE = 4  # pixels of a module


def _row(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has_text=text)


def _somebody(filled: Filled, name: str) -> None:
    with filled.http() as http:
        ok(http.post("/api/users", json={"username": name, "role": "viewer", "sites": ["global"]}))


def test_a_role_is_given_for_a_while_and_ended(visit: Visitor, filled: Filled) -> None:
    _somebody(filled, "gina")
    page = visit("/admin/grants")
    page.get_by_role("button", name="Give a role for a while").press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("User").fill("gina")
    dialog.get_by_label("Role").fill("operator")
    dialog.get_by_label("Until").fill((datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M"))
    dialog.get_by_label("Reason").fill("the night shift")
    page.keyboard.press("Enter")
    row = _row(page, "the night shift")
    expect(row).to_contain_text("operator")
    with filled.http() as http:
        assert [one["role"] for one in ok(http.get("/api/grants")) if one["username"] == "gina"] == ["operator"]
    row.get_by_role("button", name="End grant").click()
    expect(dialog).to_contain_text("gina is operator by it no more")
    dialog.get_by_role("button", name="End", exact=True).click()
    expect(row).to_have_count(0)


def test_a_team_is_made_changed_and_removed(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"4\d\d POST .*/api/teams")
    _somebody(filled, "tess")
    page = visit("/admin/grants")
    page.get_by_role("button", name="Create a team").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Team").fill("night")
    dialog.get_by_label("What for").fill("at night")
    dialog.get_by_label("Members").fill("tess")
    dialog.get_by_label("Roles").fill("operator@nowhere")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("nowhere")
    dialog.get_by_label("Roles").fill("operator@global")
    dialog.get_by_role("button", name="Create").click()
    row = _row(page, "at night")
    expect(row).to_contain_text("operator @ global")
    row.get_by_role("button", name="Change team night").click()
    expect(dialog.get_by_label("Members")).to_have_value("tess")
    dialog.get_by_label("Roles").fill("operator@global\nauditor@global")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("auditor @ global")
    row.get_by_role("button", name="Remove night").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    with filled.http() as http:
        assert "night" not in [one["team"] for one in ok(http.get("/api/teams"))]


def test_a_role_of_ones_own_is_made_changed_and_removed(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"4\d\d POST .*/api/roles")
    page = visit("/admin/roles")
    page.get_by_role("button", name="Create a role").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Role").fill("releaser")
    dialog.get_by_label("What for").fill("releases by night")
    dialog.get_by_label("Permissions").fill("gate:read gate:fly")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("gate:fly")
    dialog.get_by_label("Permissions").fill("gate:read gate:run")
    dialog.get_by_role("button", name="Create").click()
    row = _row(page, "releases by night")
    expect(row).to_contain_text("2 permissions")
    row.get_by_role("button", name="Change role releaser").press("Enter")
    dialog.get_by_label("Permissions").fill("gate:read gate:run signal:read")
    dialog.get_by_role("button", name="Save").press("Enter")
    expect(row).to_contain_text("3 permissions")
    expect(_row(page, "built in").first.get_by_role("button")).to_have_count(0)
    row.get_by_role("button", name="Remove releaser").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    with filled.http() as http:
        assert "releaser" not in [one["role"] for one in ok(http.get("/api/roles"))]


def test_a_webhook_is_made_changed_and_removed(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"422 PUT .*/api/webhooks/")
    page = visit("/admin/webhooks")
    page.get_by_role("button", name="Create a webhook").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Webhook").fill("forge")
    dialog.get_by_label("Subjects").fill("acme/shop=shop")
    dialog.get_by_role("button", name="Create").click()
    secret = dialog.locator("pre.secret").inner_text().strip()
    dialog.get_by_role("button", name="I have it").click()
    row = _row(page, "forge")
    expect(row).to_contain_text("acme/shop → shop")
    assert secret not in page.content()

    row.get_by_role("button", name="Change forge").press("Enter")
    expect(dialog.get_by_label("Subjects")).to_have_value("acme/shop=shop")
    dialog.get_by_label("Subjects").fill("acme/shop=shop\nacme/api=api")
    dialog.get_by_label("What to cut off a version").fill("v")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("drop_prefix belongs to version_from ref")
    dialog.get_by_label("What is the version").select_option("ref")
    dialog.get_by_label("Branches and tags that count").fill("main v*")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("acme/api → api")
    with filled.http() as http:
        [made] = [one for one in ok(http.get("/api/webhooks")) if one["name"] == "forge"]
    wanted: dict[str, Any] = {"subjects": {"acme/shop": "shop", "acme/api": "api"}, "version_from": "ref"}
    wanted |= {"refs": ["main", "v*"], "drop_prefix": "v"}
    assert {name: made[name] for name in wanted} == wanted

    row.get_by_role("button", name="Rotate forge").click()
    dialog.get_by_role("button", name="Rotate").click()
    assert dialog.locator("pre.secret").inner_text().strip() != secret
    dialog.get_by_role("button", name="I have it").click()
    row.get_by_role("button", name="Remove forge").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_a_system_is_let_read_events_and_no_more(visit: Visitor, filled: Filled) -> None:
    page = visit("/admin/webhooks", role="operator")
    page.get_by_role("button", name="Let a system read events").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Subscriber").fill("warehouse")
    expect(dialog.get_by_label("Whose tokens it comes with")).to_have_value("olga")
    dialog.get_by_label("Events").fill("governance.gate.decided tracker.item.*")
    dialog.get_by_label("Begins with").select_option("oldest")
    dialog.get_by_role("button", name="Create").click()
    row = _row(page, "warehouse")
    expect(row).to_contain_text("tracker.item.*")
    row.get_by_text("How it comes in").click()
    with filled.http("operator") as http:
        [made] = [one for one in ok(http.get("/api/subscribers")) if one["name"] == "warehouse"]
    assert (made["owner"], made["start"]) == ("olga", "oldest")
    expect(row).to_contain_text(made["inbox_prefix"])
    expect(row).to_contain_text("a token of olga")
    row.get_by_role("button", name="Remove warehouse").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_a_channel_of_ones_own_is_tried_and_turned_off(visit: Visitor) -> None:
    with Receiver() as receiver:
        page = visit("/me", role="manager")
        page.get_by_role("button", name="Add a channel").press("Enter")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("my-hook")
        dialog.get_by_label("Kind").select_option("generic")
        dialog.get_by_label("Address").fill(receiver.url)
        dialog.get_by_role("button", name="Create").press("Enter")
        row = _row(page, "my-hook")
        expect(row).to_contain_text("active")
        assert receiver.url not in page.content()
        row.get_by_role("button", name="Test my-hook").click()
        dialog.get_by_role("button", name="Test").click()
        await_that("the test message", lambda: receiver.got)
        row.get_by_role("button", name="Turn my-hook off").click()
        dialog.get_by_role("button", name="Turn off").click()
        expect(row).to_contain_text("off")
        row.get_by_role("button", name="Turn my-hook on").click()
        dialog.get_by_role("button", name="Turn on").click()
        expect(row).to_contain_text("active")
        row.get_by_role("button", name="Remove my-hook").click()
        dialog.get_by_role("button", name="Remove").click()
        expect(row).to_have_count(0)


def test_a_channel_of_the_site_is_tried_disabled_and_removed(visit: Visitor) -> None:
    with Receiver() as receiver:
        page = visit("/deliveries/targets")
        page.get_by_role("button", name="Add a channel").press("Enter")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("war-room")
        dialog.get_by_label("Kind").select_option("generic")
        dialog.get_by_label("Address").fill(receiver.url)
        dialog.get_by_role("button", name="Save").press("Enter")
        mine = page.locator("ul.targets > li", has_text="war-room")
        expect(mine).to_contain_text("active")
        assert receiver.url not in page.content()
        mine.get_by_role("button", name="Send a sample").click()
        await_that("the sample", lambda: receiver.got)
        mine.get_by_role("button", name="Disable").click()
        dialog.get_by_label("Reason").fill("on holiday")
        dialog.get_by_role("button", name="Disable").click()
        expect(mine).to_contain_text("on holiday")
        expect(mine.get_by_role("button", name="Send a sample")).to_have_count(0)
        mine.get_by_role("button", name="Go on").click()
        expect(mine).to_contain_text("active")
        mine.get_by_role("button", name="Remove").click()
        dialog.get_by_role("button", name="Remove").click()
        expect(mine).to_have_count(0)


def test_a_sign_in_is_tried_by_rules_that_nobody_has_published(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"4\d\d POST .*/sign-in/try")
    rules = {
        "providers": [{"name": "acme", "issuer": "https://login.example.com", "client_id": "headgate"}],
        "rules": [
            {"name": "makers", "provider": "acme", "claims": {"groups": ["makers"]}, "role": "operator", "sites": ["*"]}
        ],
    }
    page = visit("/admin/settings?of=sign-in")
    page.get_by_role("button", name="Try a sign-in").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Provider").fill("acme")
    claims = {"sub": "1", "preferred_username": "newcomer", "groups": ["makers"]}
    dialog.get_by_label("What the provider says").fill(json.dumps(claims))
    dialog.get_by_role("button", name="Try", exact=True).click()
    expect(dialog.get_by_role("alert")).to_be_visible()  # no such provider is in force
    dialog.get_by_label("Rules").fill("{")
    dialog.get_by_role("button", name="Try", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("This is no JSON")
    dialog.get_by_label("Rules").fill(json.dumps(rules))
    dialog.get_by_role("button", name="Try", exact=True).press("Enter")
    found = dialog.get_by_role("status")
    expect(found).to_contain_text("comes in")
    expect(found).to_contain_text("makers")
    expect(found).to_contain_text("newcomer a new person")
    expect(found).to_contain_text("operator")
    dialog.get_by_label("What the provider says").fill(json.dumps({**claims, "groups": ["others"]}))
    dialog.get_by_role("button", name="Try", exact=True).click()
    expect(found).to_contain_text("is refused")
    with filled.http() as http:
        assert ok(http.get("/api/admin/sign-in"))["content"]["providers"] == [], "it was published"


def test_a_camera_reads_the_second_factor(visit: Visitor) -> None:
    page = visit("/me", role="auditor", width=360, theme="dark")
    page.get_by_role("button", name="Set up a second factor").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Go on").click()
    picture = dialog.get_by_role("img", name="QR code of the second factor")
    expect(picture).to_be_visible()
    uri = dialog.locator("pre.secret").inner_text().strip()
    size = picture.evaluate("(svg) => svg.viewBox.baseVal.width")
    path = picture.locator("path").get_attribute("d") or ""
    dark = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", path)}
    assert picture.evaluate("(svg) => svg.getBoundingClientRect().width") <= 360
    side = range(size * SCALE)
    data = [grey for y in side for x in side for grey in [0 if (x // SCALE, y // SCALE) in dark else 255] * 3 + [255]]
    read = subprocess.run(
        ["node", "--input-type=module", "-e", READ_QR],
        input=json.dumps({"size": size * SCALE, "data": data}),
        capture_output=True,
        text=True,
        cwd=ASSETS,
        timeout=60,
        check=False,
    )
    assert read.stdout.strip() == uri, read.stderr
