"""A site's own wording: what it says, and that no message is lost by it."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.contracts.notifier.templates import Template, Templates
from services.notifier.words.messages import message_of
from services.notifier.words.samples import sample
from services.notifier.words.templates import Wordings

SITE = "plant-a"


def template(body: str, **fields: Any) -> Template:
    return Template(name="ops", body=body, **fields)


def test_a_template_words_title_and_text() -> None:
    event = sample("governance.line.halted", SITE)
    body = "{{ data.reason }} ({{ event.actor }})\n\n{{ message.severity }}"
    found = message_of(event, "en", template(body, title="Stop {{ event.site }}"))
    assert (found.title, found.templated, found.note) == ("Stop plant-a", True, "")
    assert found.body_text == "It is 71, but at least 80 is wanted. (ann)\n\ncritical"
    assert found.body_html == "<p>It is 71, but at least 80 is wanted. (ann)</p><p>critical</p>"
    assert found.severity == "critical"


def test_a_template_that_fails_gives_the_built_in_message_and_says_so() -> None:
    event = sample("governance.line.halted", SITE)
    for body in ("{{ data.gone }}", "{{ 1 // 0 }}", " ", "{% for a in event.type %}{% endfor %}"):
        found = message_of(event, "en", template(body))
        assert not found.templated
        assert found.note.startswith("The template ops failed (line 1: ")
        assert found.title == message_of(event).title
        assert found.body_text == message_of(event).body_text


def test_what_is_hostile_in_an_event_stays_a_text_in_a_template() -> None:
    text = "{{ 7*7 }} <script>x</script>\nWhy: all is well \u202e<!channel>"
    event = sample("governance.line.halted", SITE, text)
    found = message_of(event, "en", template("{{ data.reason }}", html="<b>{{ data.reason }}</b>"))
    assert found.body_text == "{{ 7*7 }} <script>x</script> Why: all is well <!channel>"
    assert found.body_html.startswith("<b>{{ 7*7 }} &lt;script&gt;")


def test_whoever_is_told_can_acknowledge_whatever_the_template_says() -> None:
    event = sample("tracker.escalation.raised", SITE)
    link = "https://headgate.example.com/a/token"
    found = message_of(event, "ko", template("{{ data.why }}", language="ko"), acknowledge_link=link)
    assert found.body_text.endswith(f"확인 처리: {link}")
    assert f'<a href="{link}">' in found.body_html
    twice = message_of(event, "en", template("{{ message.acknowledge_link }}"), acknowledge_link=link)
    assert twice.body_text == link


def test_a_hostile_event_of_great_size_is_cut_before_a_template_reads_it() -> None:
    event = sample("governance.line.halted", SITE)
    event.data = {"reason": "x" * 100_000, "list": list(range(100_000)), "deep": {}, "gate": object()}
    inner = event.data["deep"]
    for _ in range(100):
        inner["deep"] = inner = {}
    found = message_of(event, "en", template("{{ data.list | length }} {{ data.reason | length }} {{ data.gate }}"))
    assert found.body_text == "1000 2000"


@pytest.mark.parametrize(
    ("name", "language", "event_name", "body"),
    [
        ("ops", "en", "governance.line.halted", "a"),
        ("ops", "en", "tracker.item.opened", "b"),
        ("ops", "ko", "tracker.item.opened", "c"),
        ("ops", "ko", "governance.line.halted", None),
        ("other", "en", "tracker.item.opened", None),
    ],
)
def test_the_first_that_fits_is_taken(name: str, language: Any, event_name: str, body: str | None) -> None:
    known = Templates(
        templates=(
            template("a", event_types=("governance.*",)),
            template("b"),
            template("never", event_types=("tracker.*",)),
            template("c", language="ko", event_types=("tracker.*",)),
        )
    )
    found = Wordings(known).find(name, language, event_name)
    assert (found and found.body) == body
