"""One browser, two people in turn: a tab says whose it is, does nothing for another, and keeps their texts apart."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect

from tests.console.conftest import Visitor
from tests.console.filling import POLICY, Filled, ok

MISSING = r"404 GET .*/draft"


def _comes_in(page: Page, filled: Filled, role: str) -> None:
    """Somebody signs in in this browser, and no tab of the console is told."""
    answer = page.context.request.post(
        "/api/sessions", headers={"Authorization": f"Bearer {filled.tokens[role]}"}, data={}
    )
    assert answer.status == 201, answer.text()


def _looked_at(page: Page) -> None:
    """The tab is looked at again."""
    page.evaluate("window.dispatchEvent(new Event('focus'))")


def _signs_in(page: Page, filled: Filled, role: str) -> None:
    page.get_by_label("Token", exact=True).check()
    page.locator("input[name=token]").fill(filled.tokens[role])
    page.keyboard.press("Enter")


def test_an_unsaved_text_is_its_writers_alone(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING)
    with filled.http() as http:
        content = POLICY.replace("name: first", "name: apart")
        ok(http.put("/api/policies/apart", json={"content": content, "reason": "to begin with"}))
    page = visit("/policies/apart")
    text = page.locator(".cm-content")
    page.locator(".cm-line", has_text="title: The first gate").first.click()
    page.keyboard.press("End")
    page.keyboard.insert_text(" of the owner")

    _comes_in(page, filled, "manager")
    _looked_at(page)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("mia is signed in here now")
    expect(dialog).to_contain_text("This page was opened by owner.")
    expect(text).to_be_hidden()
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    page.keyboard.press("Enter")  # the button that loads it
    expect(page.get_by_role("link", name="mia")).to_be_visible()
    expect(text).to_contain_text("title: The first gate")
    expect(text).not_to_contain_text("of the owner")
    expect(page.get_by_text("unsaved text")).to_have_count(0)

    _comes_in(page, filled, "owner")
    _looked_at(page)
    page.get_by_role("button", name="Load it for owner").click()
    expect(page.get_by_text("This is your unsaved text of before.")).to_be_visible()
    expect(text).to_contain_text("The first gate of the owner")


def test_tabs_tell_each_other_who_left_and_who_came(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"401 ")
    first = visit("/board?gate=first", role="viewer")
    first.get_by_label("Order").select_option("due")
    second = first.context.new_page()
    second.goto("/console/me")
    second.get_by_role("button", name="Sign out").click()
    dialog = first.get_by_role("dialog")
    expect(dialog).to_contain_text("Your session is over")
    expect(second.get_by_role("heading", level=1)).to_have_text("Sign in to Headgate")
    _signs_in(second, filled, "operator")
    expect(second.get_by_role("link", name="olga")).to_be_visible()
    expect(dialog).to_contain_text("olga is signed in here now")
    expect(first.get_by_label("Order")).to_be_hidden()

    second.get_by_role("button", name="Sign out").click()
    expect(dialog).to_contain_text("Your session is over")
    _signs_in(second, filled, "viewer")
    expect(dialog).to_be_hidden()  # as it was
    expect(first.get_by_label("Order")).to_have_value("due")
    expect(first.get_by_role("link", name="viktor")).to_be_visible()


def test_nothing_is_ordered_under_another_name(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"403 POST .*/api/tokens", r"403 GET")
    page = visit("/admin/tokens", role="operator")
    page.get_by_role("button", name="Issue a token").click()
    page.get_by_role("dialog").get_by_label("Label").fill("whose is it")
    _comes_in(page, filled, "owner")
    page.get_by_role("button", name="Issue", exact=True).click()
    stranger = page.get_by_role("dialog").filter(has_text="owner is signed in here now")
    expect(stranger).to_be_visible()
    with filled.http() as http:
        assert "whose is it" not in http.get("/api/tokens").text

    _comes_in(page, filled, "operator")
    _looked_at(page)
    expect(stranger).to_have_count(0)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Label")).to_have_value("whose is it")
    dialog.get_by_role("button", name="Issue", exact=True).click()
    expect(dialog.locator("pre.secret")).to_contain_text("hg_")
    with filled.http() as http:
        made = [one for one in ok(http.get("/api/tokens")) if one["label"] == "whose is it"]
    assert [one["username"] for one in made] == ["olga"]


def test_another_session_of_the_same_person_is_no_matter(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"403 POST .*/api/tokens")  # with what the session before had; then with what this one has
    page = visit("/admin/tokens", role="operator")
    page.get_by_role("button", name="Issue a token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Label").fill("of the second session")
    _comes_in(page, filled, "operator")
    dialog.get_by_role("button", name="Issue", exact=True).click()
    expect(dialog.locator("pre.secret")).to_contain_text("hg_")


def test_an_answer_to_somebody_else_is_not_shown(visit: Visitor, filled: Filled) -> None:
    """Neither while it is asked whose the session is, nor behind what says so, nor when the first one comes back."""
    with filled.http() as http:
        ok(http.post("/api/tokens", json={"label": "the owner's alone"}))
    page = visit("/admin/tokens", role="operator")
    ended = page.get_by_label("Ended ones, too")
    expect(page.get_by_role("row").filter(has_text="olga").first).to_be_visible()
    asked: list[Route] = []
    page.route("**/api/me", lambda route: asked.append(route))
    answered: list[str] = []

    def answer(route: Route) -> None:
        answer = route.fetch()
        answered.append(answer.text())
        route.fulfill(response=answer)

    page.route("**/api/tokens?*", answer)
    _comes_in(page, filled, "owner")
    with page.expect_request("**/api/me"):
        ended.check()
    page.wait_for_timeout(200)
    assert "the owner's alone" in answered[0], "it was not an answer to the owner"
    assert len(asked) == 1
    assert "the owner's alone" not in page.content()

    asked[0].continue_()
    page.unroute("**/api/me")
    page.unroute("**/api/tokens?*")
    stranger = page.get_by_role("dialog").filter(has_text="owner is signed in here now")
    expect(stranger).to_be_visible()
    assert "the owner's alone" not in page.content()

    _comes_in(page, filled, "operator")
    held: list[Route] = []
    page.route("**/api/tokens?*", lambda route: held.append(route))
    _looked_at(page)
    expect(stranger).to_have_count(0)
    ended.uncheck()
    ended.check()  # what is kept of before is shown until the answer comes
    page.wait_for_timeout(200)
    assert "the owner's alone" not in page.content()
    for one in held:
        one.continue_()
    page.unroute("**/api/tokens?*")
    expect(page.get_by_role("row").filter(has_text="olga").first).to_be_visible()
