"""What each kind of channel makes of a message: within the limits of who takes it, and hostile text as text."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from libs.common.contracts.notifier.channels import channel_place
from libs.common.outbound import Outbound
from libs.common.settings import Settings
from libs.common.vault import Vault
from services.notifier.claims import Claimed
from services.notifier.domain.hiding import hidden_parts, masked
from services.notifier.domain.message import Message
from services.notifier.kinds import generic, pagerduty, slack, teams
from services.notifier.kinds.mail import MailError, Post, mail_of, post_of
from services.notifier.kinds.ways import Ways

VAULT = Vault.from_secret("of the tests")
NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
KEY = "0123456789abcdef0123456789abcdef"
HOSTILE = "<!channel> <https://evil.example|click> & **bold** [a](https://evil.example) <script>alert(1)</script>"


def claimed(address: str = KEY, name: str = "tracker.escalation.raised") -> Claimed:
    fingerprint = "0" * 16
    return Claimed(
        NOW, 1, -7, -7, None, 7, uuid.UUID(int=5), "plant-a", name, "escalation", None, 1, 1, b"{}", "slack", "ops",
        "en", "",
        VAULT.seal(address, channel_place(fingerprint)), fingerprint, None, None, None, "", None, True,
    )  # fmt: skip


def message(**more: Any) -> Message:
    made = Message(
        title="Overdue: tests_passed of shop 1.0", what="Mend it", why="3 tests fail", severity="critical",
        link="https://headgate.example/items/1", dedup_key="headgate:plant-a:item:1:1", body_text="all of it",
        body_html="<p>all of it</p>",
    )  # fmt: skip
    return replace(made, **more)


LONG = message(
    title="t" * 150, what="w" * 600, why=HOSTILE * 9, facts=tuple((f"fact {n}", "<&>" * 100) for n in range(60))
)


def ways(**more: Any) -> Ways:
    return Ways(Outbound(), VAULT, **more)


@pytest.mark.parametrize("one", [message(), LONG, message(templated=True, body_text="line\n" * 8_000)])
def test_slack_stays_within_its_limits_and_calls_nobody(one: Message) -> None:
    document = slack.document_of(one)
    blocks = document["blocks"]
    assert len(blocks) <= 50
    assert blocks[0]["type"] == "header"
    assert len(blocks[0]["text"]["text"]) <= 150
    assert all(len(block["text"]["text"]) <= 3_000 for block in blocks)
    assert sum(len(block["text"]["text"]) for block in blocks) <= 13_000
    said = orjson.dumps(document).decode()
    assert "<!channel>" not in said
    assert "<https://evil" not in said
    assert "<https://headgate.example/items/1|Details>" in said


@pytest.mark.parametrize("one", [message(), LONG, message(templated=True, body_text="한국어 줄\n" * 8_000)])
def test_a_card_is_small_enough_and_its_text_is_text(one: Message) -> None:
    document = teams.document_of(one)
    assert len(orjson.dumps(document)) <= 28 * 1024
    [attachment] = document["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert card["type"] == "AdaptiveCard"
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Details", "url": one.link}]
    assert "[a](https://evil" not in orjson.dumps(card["body"]).decode()


@pytest.mark.parametrize(
    ("severity", "name", "action", "own_key"),
    [
        ("critical", "tracker.escalation.raised", "trigger", False),
        ("warning", "tracker.item.updated", "trigger", False),
        ("info", "tracker.comment.added", "trigger", True),
        ("info", "tracker.escalation.acknowledged", "acknowledge", False),
        ("resolved", "tracker.item.resolved", "resolve", False),
    ],
)
def test_an_incident_is_opened_acknowledged_and_resolved_by_its_episode(
    severity: Any, name: str, action: str, own_key: bool
) -> None:
    one = claimed(name=name)
    document = pagerduty.document_of(message(severity=severity), one)
    assert document["event_action"] == action
    assert document["dedup_key"] == (f"{one.event_id}-c7" if own_key else "headgate:plant-a:item:1:1")
    if action == "trigger":
        payload = document["payload"]
        assert len(payload["summary"]) <= 1_024
        assert payload["severity"] == ("info" if own_key else severity)
        assert payload["source"] == "headgate/plant-a"


def test_a_routing_key_is_in_the_body_alone_and_is_hidden_in_what_comes_back() -> None:
    request = pagerduty.request_of(
        message(), replace(claimed(), payload=None), ways(pagerduty_url="https://events.example/")
    )
    assert orjson.loads(request.body)["routing_key"] == KEY
    assert KEY not in str(request)
    assert masked(f"bad key {KEY}", request.hidden) == "bad key …"


def test_plain_json_has_all_parts() -> None:
    request = generic.request_of(message(), claimed("https://chat.example/hook"), ways())
    assert request.url == "https://chat.example/hook"
    document = orjson.loads(request.body)
    assert (document["title"], document["text"], document["severity"]) == (message().title, "all of it", "critical")


def test_parts_of_an_address_are_hidden_but_not_words() -> None:
    hidden = hidden_parts("https://h.example/services/T0/B0/very%20secret?key=alsoSecret&a=1")
    assert masked("POST /services/T0/B0/very%20secret?key=alsoSecret&a=1", hidden) == "POST …"
    assert masked("no very secret, no alsoSecret, but T0", hidden) == "no …, no …, but T0"


def test_a_mail_has_no_header_more_than_its_own() -> None:
    post = Post("mail.example", 25, "headgate@example.com")
    mail = mail_of(message(title="a\r\nBcc: c@d.example"), claimed("ops@example.org"), VAULT, post, NOW)
    assert (mail["To"], mail["Bcc"], mail["Subject"]) == ("ops@example.org", None, "a Bcc: c@d.example")
    for address in ("ops@example.org\r\nBcc: x@y.example", "@"):
        with pytest.raises(MailError, match="No mail can be made") as caught:
            mail_of(message(), claimed(address), VAULT, post, NOW)
        assert caught.value.final


def test_an_escalation_has_no_button_that_silences_it() -> None:
    post = Post("mail.example", 25, "headgate@example.com")
    one = claimed("ops@example.org")
    assert mail_of(message(), one, VAULT, post, NOW, "https://h.example")["List-Unsubscribe"] is None
    sample = replace(one, purpose="test")
    url = mail_of(message(), sample, VAULT, post, NOW, "https://h.example")["List-Unsubscribe"]
    assert str(url).startswith("<https://h.example/u/v1.")


def test_a_mail_server_that_can_not_work_is_refused_at_the_start() -> None:
    assert post_of(Settings()) is None
    with pytest.raises(ValueError, match="HEADGATE_SMTP_FROM"):
        post_of(Settings(smtp_host="mail.example"))
    with pytest.raises(ValueError, match="in clear"):
        post_of(Settings(smtp_host="m", smtp_from="a@b.example", smtp_security="none", smtp_password=SecretStr("x")))
    post = post_of(Settings(smtp_host="m", smtp_from="Headgate <a@b.example>", smtp_password=SecretStr("x")))
    assert post is not None
    assert (post.port, post.security, post.domain, "x" in repr(post.password)) == (587, "starttls", "b.example", True)
    assert "password" not in repr(post)
