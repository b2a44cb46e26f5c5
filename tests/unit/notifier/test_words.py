"""The words for people: every event in both languages, hostile texts, the parts of what matters most."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from libs.common.cloudevents import CloudEvent
from services.notifier.domain import escaping, message
from services.notifier.domain.message import Language, Message
from services.notifier.domain.titles import TITLES, title_of
from services.notifier.words.messages import digest_of, message_of
from services.notifier.words.samples import AT, EVENTS
from services.notifier.words.samples import sample as sample_at

BASE = "https://headgate.example.com"
LANGUAGES: tuple[Language, ...] = ("en", "ko")
HOSTILE = (
    "<!channel> @channel @everyone",
    "<script>alert(1)</script>",
    "[click](https://evil.example.com)",
    "\u202egnp.exe\u2066 \u200bx\ufeff",
    "first\nWhy: all is well\r\nLink: https://evil.example.com\u2028more\x85",
    "{{ 7*7 }}{% raw %} {0} {title.__class__} %s",
    "\x00\x1b[31m\x07",
    "x" * 100_000,
    "\u202e" * 100_000 + "end",
    "é" * 5000,
)
UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff\u2028\u2029]")


def sample(name: str, text: str = "some text", /, **fields: Any) -> CloudEvent:
    return sample_at(name, "plant-a", text, **fields)


def _check(found: Message) -> None:
    limits = {
        "title": message.MAX_TITLE,
        "what": message.MAX_WHAT,
        "where": message.MAX_WHERE,
        "why": message.MAX_WHY,
        "who": message.MAX_WHO,
        "dedup_key": message.MAX_KEY,
        "link": message.MAX_LINK,
    }
    for name, limit in limits.items():
        text = getattr(found, name)
        assert len(text) <= limit, name
        assert "\n" not in text, name
        assert not UNSEEN.search(text), name
    assert found.title
    assert found.where
    assert found.dedup_key
    assert len(found.facts) <= message.MAX_FACTS
    for label, text in found.facts:
        assert 0 < len(label) <= message.MAX_LABEL
        assert 0 < len(text) <= message.MAX_FACT, label
        assert not UNSEEN.search(label + text)
    assert len(found.body_text) <= message.MAX_BODY
    assert found.title in found.body_text
    assert "<script" not in found.body_html


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", EVENTS)
def test_every_event_has_a_message_in_both_languages(name: str, language: Language) -> None:
    found = message_of(sample(name), language, base_url=BASE)
    _check(found)
    assert (found.language, found.event_name) == (language, name)
    for text in (found.body_text, found.body_html):
        assert not re.search(r"\bNone\b|\{|\}|\bnull\b", text), text
    assert found.link == "" or found.link.startswith(BASE + "/api/")


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_a_hostile_text_stays_a_line_within_its_limit(hostile: str) -> None:
    for name in EVENTS:
        found = message_of(sample(name, hostile), "en", base_url=BASE)
        _check(found)
        assert found.body_text.count("\n") <= 2 + len(found.facts) + 8, name


def test_what_an_event_lacks_breaks_nothing() -> None:
    for name in EVENTS:
        odd: list[Any] = [{}, {"item": None, "rules": "x", "targets": 7, "reasons": [None, {}], "holds": [7]}, [], None]
        for data in odd:
            event = sample(name)
            event.data = data
            _check(message_of(event))


def test_an_event_that_nobody_gave_a_title_falls_back() -> None:
    event = sample("governance.line.halted")
    event.type = "headgate.governance.thing.happened.v1"
    assert message_of(event).title == "Event governance.thing.happened"
    assert message_of(event, "ko").title == "이벤트 governance.thing.happened"
    event.type = "headgate.governance.new_thing.created.v1"
    assert message_of(event, "ko").title == "new thing: 생성"
    assert message_of(event).why == "some text"


def test_a_title_says_the_same_in_both_languages() -> None:
    assert title_of("nobody.knows.this") is None
    for severity, english, korean in TITLES.values():
        assert severity in ("info", "warning", "critical", "resolved")
        assert set(re.findall(r"{\w+}", korean)) <= set(re.findall(r"{\w+}", english)) | {"{gate}"}


def _rule(name: str, **more: Any) -> dict[str, Any]:
    said = {"message": f"{name} is 3, but 5 is wanted.", "owner_role": "qa", "action": f"Mend {name}"}
    return {"id": name, "status": "fail", "required": True, "passed": False, "weight": 1, **said, **more}


def _decided(**fields: Any) -> Message:
    summary = {"total_rules": 2, "required_rules": 2, "passed_rules": 0, "failure_count": 2, "warning_count": 0,
               "weighted_total": 2, "weighted_passed": 0, "weighted_score_percent": 40.0}  # fmt: skip
    given = {"gate": "release", "site": "plant-a", "subject": "acme/api", "version": "1.4.0", "line": "1.4",
             "run_id": 17, "decision": "no_go", "status": "critical", "holds": [], "reasons": [],
             "override": None, "rules": [], "summary": summary}  # fmt: skip
    return message_of(sample("governance.gate.decided", **{**given, **fields}), "en", base_url=BASE)


def test_a_no_go_names_each_unmet_rule_with_its_sentence_and_who_owns_it() -> None:
    passed = _rule("fine", status="pass", passed=True)
    found = _decided(rules=[_rule("coverage"), passed, _rule("tests", owner_role="dev")], reasons=["Two rules fail."])
    assert found.title == "NO-GO: acme/api 1.4.0 (release)"
    assert found.where == "Site plant-a, Gate release, Subject acme/api, Version 1.4.0, Line 1.4"
    assert (found.severity, found.why, found.who) == ("critical", "Two rules fail.", "qa, dev")
    assert found.facts == (
        ("coverage", "coverage is 3, but 5 is wanted. → Mend coverage"),
        ("tests", "tests is 3, but 5 is wanted. → Mend tests"),
        ("Score, %", "40"),
    )
    assert found.link == f"{BASE}/api/gates/release/runs/17/explanation?site=plant-a"


def test_a_verdict_of_many_rules_says_how_many_more() -> None:
    found = _decided(rules=[_rule(f"rule-{number}") for number in range(40)])
    assert found.facts[15] == ("More", "and 25 more")
    assert found.why.startswith("rule-0 is 3")


def test_a_go_ends_what_the_no_go_of_its_line_has_begun() -> None:
    bad, good = _decided(), _decided(decision="go", status="success", version="1.4.1")
    assert (good.title, good.severity) == ("GO: acme/api 1.4.1 (release)", "resolved")
    assert bad.dedup_key == good.dedup_key
    assert _decided(line="1.5").dedup_key != bad.dedup_key
    assert _decided(decision="go", status="warning").title.startswith("GO with warnings")


def test_where_only_approvals_are_wanting_they_are_asked_for() -> None:
    hold = {"kind": "approval", "message": "One of the group qa must approve."}
    found = _decided(holds=[hold], reasons=[hold["message"]], rules=[_rule("fine", status="pass", passed=True)])
    assert (found.title, found.severity) == ("Approval wanted: acme/api 1.4.0 (release)", "warning")
    assert ("Held", "One of the group qa must approve.") in found.facts
    assert _decided(holds=[hold, {"kind": "halt", "message": "Stopped."}]).title.startswith("NO-GO")
    assert _decided(holds=[hold], rules=[_rule("coverage")]).title.startswith("NO-GO")


def _item(name: str, language: Language = "en", zone: Any = UTC, **more: Any) -> Message:
    changed = more.pop("changed", [])
    item = {"id": 5, "episode": 2, "gate": "release", "site": "plant-a", "subject": "acme/api", "version": "1.4.0",
            "line": "", "rule_id": "coverage", "required": True, "owner_role": "qa", "assignee": "bob",
            "due_at": "2026-03-02T09:00:00Z", "action": "Write tests", "reason": "Coverage is 71 %, 80 % is wanted.",
            "status": "in_progress", **more}  # fmt: skip
    event = sample(name)
    event.data = {**event.data, "item": {**event.data["item"], **item}, "changed": changed}
    return message_of(event, language, base_url=BASE, zone=zone)


def test_an_item_says_what_why_who_and_by_when_in_the_sites_zone() -> None:
    found = _item("tracker.item.opened", zone=ZoneInfo("Asia/Seoul"))
    assert found.title == "To do: coverage of acme/api 1.4.0 (release)"
    assert (found.what, found.why) == ("Write tests", "Coverage is 71 %, 80 % is wanted.")
    assert (found.who, found.by_when_text) == ("bob (qa)", "2026-03-02 18:00 (Asia/Seoul)")
    assert found.link.endswith("/tracker/items/5?site=plant-a")
    assert _item("tracker.item.opened").by_when_text == "2026-03-02 09:00 (UTC)"
    assert _item("tracker.item.opened", assignee=None).who == "nobody yet; qa owns it"
    assert _item("tracker.item.opened", "ko", assignee=None).who == "담당자 없음, 담당 역할: qa"
    assert _item("tracker.item.opened", required=False).severity == "warning"


def test_an_episode_keeps_its_key_until_it_is_resolved() -> None:
    names = ("tracker.item.opened", "tracker.item.assigned", "tracker.escalation.raised", "tracker.item.resolved")
    keys = {_item(name).dedup_key for name in names}
    assert keys == {"headgate:plant-a:item:5:2"}
    assert _item("tracker.item.resolved").severity == "resolved"
    assert _item("tracker.item.opened", episode=3).dedup_key not in keys


@pytest.mark.parametrize(
    ("name", "fields", "title"),
    [
        ("tracker.item.updated", {"changed": ["status"], "status": "done"}, "Said to be done"),
        ("tracker.item.updated", {"changed": ["status"], "status": "blocked"}, "Blocked"),
        ("tracker.item.updated", {"changed": ["due_at"]}, "Changed"),
        ("tracker.item.reopened", {"changed": ["status", "completion_checked"]}, "Not done after all"),
        ("tracker.item.reopened", {"changed": ["status", "verified_at", "episode"]}, "Fails again"),
        ("tracker.item.assigned", {}, "bob does"),
        ("tracker.item.assigned", {"assignee": None}, "Nobody does it any more"),
        ("tracker.escalation.raised", {"due_at": "2026-03-01T08:59:00Z"}, "Overdue (level 7 of 7)"),
        ("tracker.escalation.raised", {}, "Due (level 7 of 7)"),
    ],
)
def test_what_happened_to_an_item_is_in_its_title(name: str, fields: dict[str, Any], title: str) -> None:
    assert _item(name, **fields).title.startswith(title)


def test_an_escalation_names_whom_it_tells() -> None:
    event = sample("tracker.escalation.raised")
    event.data["targets"] = [{"kind": "role", "name": "qa", "people": ["bob", "eve"]}, {"kind": "user", "name": "ann"}]
    found = message_of(event, acknowledge_link=BASE + "/a/token")
    assert found.who == "qa (bob, eve), ann"
    assert found.acknowledge_link in found.body_text
    assert f'href="{found.acknowledge_link}"' in found.body_html


def test_a_job_that_failed_says_why() -> None:
    event = sample("tracker.job.finished", status="failed", job_name="prune", detail={"reason": "No disk."})
    found = message_of(event)
    assert (found.title, found.severity, found.why) == ("Job prune failed", "critical", "No disk.")
    good = message_of(sample("tracker.job.finished", status="success", job_name="prune"))
    assert (good.severity, good.dedup_key) == ("resolved", found.dedup_key)


def test_many_messages_become_one() -> None:
    many = [message_of(sample("governance.line.halted", f"reason {number}")) for number in range(87)]
    found = digest_of([*many, message_of(sample("governance.line.lifted"))])
    assert found.title == "88 messages: 87 critical, 1 resolved"
    assert (found.severity, len(found.facts)) == ("critical", 51)
    assert found.facts[0] == ("1. critical", "The line is stopped: reason 0 · reason 0")
    assert found.facts[-1] == ("More", "and 38 more")
    assert found.body_text.count("\n") < 60
    korean = [message_of(sample("governance.line.halted"), "ko")] * 2
    assert digest_of(korean).title == "알림 2건: 2 심각"


def test_texts_are_escaped_as_each_format_asks() -> None:
    assert escaping.slack("<!channel> & <@U1> @channel @Here") == (
        "&lt;!channel&gt; &amp; &lt;@U1&gt; @\u2060channel @\u2060Here"
    )
    assert escaping.card("[a](http://b) *c* _d_ `e` <at>f</at>") == (
        r"\[a\]\(http://b\) \*c\* \_d\_ \`e\` \<at\>f\</at\>"
    )
    assert escaping.card("- one") == r"\- one"
    assert escaping.card("1. one") == r"\1. one"
    assert escaping.markup("<a href='x'>\"&") == "&lt;a href=&#x27;x&#x27;&gt;&quot;&amp;"


def test_what_is_cut_says_so() -> None:
    assert escaping.line("x" * 200, 150) == "x" * 149 + "…"
    assert escaping.line("\u202e" * 2000 + "end", 150) == "…"
    assert escaping.line(None, 10) == ""
    assert escaping.lines("a\r\n\n\n\nb \nc\u2028d", 100) == "a\n\nb\nc\nd"


def test_a_time_beyond_the_zones_is_shown_as_it_is() -> None:
    event = sample("governance.delegation.given", ends_at="9000-12-31T23:59:00Z")
    event.data["ends_at"] = "9999-12-31T23:59:00+00:00"
    found = message_of(event, zone=ZoneInfo("Asia/Seoul"))
    assert found.by_when_text == "9999-12-31 23:59 (UTC)"
    assert found.by_when == datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    assert AT.tzinfo is UTC
