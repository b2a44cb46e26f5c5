"""One webhook of Alertmanager tells of many subjects, told apart by a label; no alert vanishes."""

from __future__ import annotations

import json
from typing import Any

from libs.judge.facts import MAX_PARTS
from tests.integration.governance_desk import report, rule, run, start
from tests.stack import Answer, Stack

RULE = "alerts_none_critical"


def alert(name: str, service: str | None, status: str = "firing", severity: str = "critical") -> dict[str, Any]:
    labels = {"alertname": name, "severity": severity} | ({} if service is None else {"service": service})
    return {"status": status, "labels": labels, "fingerprint": f"{name}-{service}"}


def body(*alerts: dict[str, Any], group: str = "{}:{cluster=west}", truncated: int = 0) -> bytes:
    firing = truncated or any(one["status"] == "firing" for one in alerts)
    status = "firing" if firing else "resolved"
    return json.dumps(
        {"version": "4", "groupKey": group, "status": status, "truncatedAlerts": truncated, "alerts": list(alerts)}
    ).encode()


async def hook(stack: Stack, *alerts: dict[str, Any], more: Any = None, **of: Any) -> Answer:
    return await report(stack, "alertmanager", body(*alerts, **of), subject_label="service", **(more or {}))


def beat(service: str) -> dict[str, Any]:
    return alert("Watchdog", service, severity="none")


async def judged(stack: Stack, subject: str) -> Any:
    return rule(await run(stack, "release", subject=subject, version="1"), RULE)


async def test_each_alert_goes_to_the_subject_that_its_label_names(stack: Stack) -> None:
    await start(stack)
    answer = await hook(stack, beat("shop"), beat("pay"), alert("Down", "shop"))
    assert answer.status == 201
    assert [one["subject"] for one in answer.json["items"]] == ["pay", "shop"]
    shop = await judged(stack, "shop")
    assert (shop["detail"]["critical_names"], (await judged(stack, "pay"))["passed"]) == (["Down"], True)
    # Alertmanager tells once that it is resolved, then says nothing of it any more.
    await hook(stack, beat("shop"), beat("pay"), alert("Down", "shop", "resolved"))
    assert (await judged(stack, "shop"))["passed"]
    assert (await judged(stack, "pay"))["passed"]


async def test_a_subject_that_a_group_shows_no_more_has_no_alert_in_it(stack: Stack) -> None:
    await start(stack)
    await hook(stack, beat("shop"), beat("pay"), group="heartbeats")
    await hook(stack, alert("Down", "shop"), alert("Down", "pay"))
    assert not (await judged(stack, "shop"))["passed"]
    answer = await hook(stack, alert("Down", "pay"))  # what told that the shop's is over was lost
    assert [one["subject"] for one in answer.json["items"]] == ["pay", "shop"]
    assert (await judged(stack, "shop"))["passed"]
    assert not (await judged(stack, "pay"))["passed"]
    answer = await hook(stack, alert("Down", "pay", "resolved"))
    assert [one["subject"] for one in answer.json["items"]] == ["pay"]  # the shop is told once


async def test_another_group_and_another_way_of_sending_end_nothing(stack: Stack) -> None:
    await start(stack)
    await hook(stack, beat("shop"), alert("Down", "shop"))
    await hook(stack, alert("Slow", "pay"), group="other")
    assert not (await judged(stack, "shop"))["passed"]
    await report(stack, "alertmanager", body(alert("Down", "shop", "resolved")), subject="shop")
    assert not (await judged(stack, "shop"))["passed"]
    await report(stack, "alertmanager", body(alert("Full", "shop")), subject="shop")
    await hook(stack, beat("shop"), alert("Down", "shop", "resolved"))
    await hook(stack, alert("Down", "pay"))
    assert (await judged(stack, "shop"))["detail"]["critical_names"] == ["Full"]


async def test_an_alert_without_the_label_goes_to_the_named_subject_or_is_refused_and_kept(stack: Stack) -> None:
    await start(stack)
    nameless = [alert("Lost", None), alert("Odd", " "), alert("Long", "x" * 201)]
    refused = await hook(stack, beat("shop"), alert("Down", "shop"), *nameless)
    assert refused.status == 422
    assert "The label service names no subject for the alerts Long, Lost, Odd; give them one" in refused.json["detail"]
    assert (await judged(stack, "shop"))["detail"]["critical_names"] == ["Down"]  # the others count
    of_site = await judged(stack, "site")
    assert "is broken: The label service names no subject" in of_site["message"]
    assert (await hook(stack, beat("shop"))).status == 201
    assert "broken" not in (await judged(stack, "site"))["message"]  # the group shows none any more

    answer = await hook(stack, beat("shop"), *nameless, more={"subject": "platform"})
    assert [one["subject"] for one in answer.json["items"]] == ["platform", "shop"]
    assert (await judged(stack, "platform"))["detail"]["critical_names"] == ["Long", "Lost", "Odd"]


async def test_what_was_left_out_may_be_about_each_subject(stack: Stack) -> None:
    await start(stack)
    await hook(stack, beat("shop"), beat("pay"), group="heartbeats")
    assert (await judged(stack, "pay"))["passed"]
    refused = await hook(stack, alert("Slow", "shop", severity="none"), truncated=3)
    assert (refused.status, "3 alerts were left out" in refused.json["detail"]) == (422, True)
    for subject in ("shop", "pay"):
        assert "3 alerts were left out" in (await judged(stack, subject))["message"]
    await hook(stack, alert("Slow", "shop", severity="none"))
    assert (await judged(stack, "pay"))["passed"]


async def test_a_body_that_can_t_be_read_fails_each_subject_of_its_sender(stack: Stack) -> None:
    await start(stack)
    await hook(stack, beat("shop"), beat("pay"))
    await report(stack, "alertmanager", body(beat("own")), subject="own")
    assert (await report(stack, "alertmanager", b"{", subject_label="service")).status == 422
    for subject in ("shop", "pay"):
        assert "is broken: " in (await judged(stack, subject))["message"]
    assert (await judged(stack, "own"))["passed"]  # it has a sender of its own
    await hook(stack, beat("shop"), group="other")  # any of the sender's shows that it can be read again
    assert (await judged(stack, "pay"))["passed"]


async def test_a_subject_with_too_many_groups_lets_no_other_one_pass(stack: Stack) -> None:
    await start(stack)
    await hook(stack, beat("shop"), beat("pay"), group="heartbeats")
    await hook(stack, *(alert(f"n{number}", "full") for number in range(2)), group="first")
    for number in range(MAX_PARTS - 1):
        await hook(stack, alert("Slow", "full"), group=f"group {number}")
    refused = await hook(stack, alert("Slow", "full"), alert("Down", "pay"), group="one too many")
    assert (refused.status, "parts" in refused.json["detail"]) == (422, True)
    assert "is broken: " in (await judged(stack, "pay"))["message"]


async def test_other_reports_have_no_subject_label(stack: Stack) -> None:
    await start(stack)
    answer = await report(stack, "sarif", b"{}", subject_label="service")
    assert answer.status == 422
