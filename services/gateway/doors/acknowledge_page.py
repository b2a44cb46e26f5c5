"""The page behind an acknowledge link, as HTML: what each state of it says, in English and Korean. No script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Literal

from jinja2 import Environment, StrictUndefined, Template
from starlette.requests import Request
from starlette.responses import Response

from libs.common.contracts.tracker.acknowledge_links import LinkState
from services.gateway.answers import RETRY_AFTER_S

State = Literal["open", "used", "acknowledged", "over", "done", "accepted", "unknown", "later", "form"]
Language = Literal["en", "ko"]
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)

# What is not there for the holder of the link is told apart as little as can be: `unknown` is one page for all of it.
STATUSES: Mapping[State, int] = {
    "open": 200, "done": 200, "accepted": 202, "used": 410, "acknowledged": 410, "over": 410, "unknown": 404,
    "later": 503, "form": 400,
}  # fmt: skip
TEXTS: Mapping[Language, Mapping[State, tuple[str, str]]] = {
    "en": {
        "open": (
            "Acknowledge this item?",
            "You say as {who} that you know of it. Nobody else is told of it, until it opens again or somebody takes "
            "the word back. The item stays open, and its deadline stays.",
        ),
        "done": ("Acknowledged", "You said as {who} that you know of it. Nobody else is told. You can leave now."),
        "accepted": ("Accepted", "It will be acknowledged in a moment, as {who}. You can close this page."),
        "used": ("This link was used", "Each link is good for once. To acknowledge again, use Headgate itself."),
        "acknowledged": ("Acknowledged already", "{by} was faster. There is nothing left to do here."),
        "over": ("This is over", "The item is done, or what this link told of has ended. There is nothing left to do."),
        "unknown": (
            "This link opens nothing",
            "It is not whole, its time is over, or whom it was for may not acknowledge any more. Use Headgate itself.",
        ),
        "later": ("Not now", "A part that this needs can't be reached. Try again in a minute; nothing was changed."),
        "form": ("Nothing was changed", "Open the link from the message again, and press the button."),
    },
    "ko": {
        "open": (
            "이 항목을 확인하시겠습니까?",
            "{who} 이름으로 알고 있다고 기록합니다. 항목이 다시 열리거나 확인이 취소될 때까지 다른 사람에게 더 알리지 "
            "않습니다. 항목과 기한은 그대로입니다.",
        ),
        "done": ("확인했습니다", "{who} 이름으로 기록했습니다. 다른 사람에게 더 알리지 않습니다. 창을 닫아도 됩니다."),
        "accepted": ("접수했습니다", "곧 {who} 이름으로 확인됩니다. 창을 닫아도 됩니다."),
        "used": ("이미 사용한 링크입니다", "링크는 한 번만 쓸 수 있습니다. 다시 확인하려면 Headgate를 이용하십시오."),
        "acknowledged": ("이미 확인되었습니다", "{by} 님이 먼저 확인했습니다. 더 할 일이 없습니다."),
        "over": ("끝난 일입니다", "항목이 완료되었거나 이 링크가 알린 일이 끝났습니다. 더 할 일이 없습니다."),
        "unknown": (
            "열 수 없는 링크입니다",
            "링크가 온전하지 않거나 기한이 지났거나, 받은 사람에게 더는 권한이 없습니다. Headgate를 이용하십시오.",
        ),
        "later": ("지금은 안 됩니다", "필요한 부분에 연결할 수 없습니다. 잠시 뒤 다시 하십시오. 바뀐 것은 없습니다."),
        "form": ("바뀐 것이 없습니다", "메시지의 링크를 다시 열고 단추를 누르십시오."),
    },
}
BUTTONS: Mapping[Language, str] = {"en": "Acknowledge", "ko": "확인"}
FACTS: Mapping[Language, tuple[str, ...]] = {
    "en": ("Rule", "Gate", "Subject", "Site", "Why", "Due", "Assignee", "Level"),
    "ko": ("규칙", "게이트", "대상", "사이트", "이유", "기한", "담당자", "단계"),
}


def language_of(request: Request) -> Language:
    """Korean if the browser asks for it before English."""
    for part in request.headers.get("accept-language", "")[:500].lower().split(","):
        tag = part.partition(";")[0].strip()[:2]
        if tag in ("ko", "en"):
            return "ko" if tag == "ko" else "en"
    return "en"


def page(request: Request, state: State, link: LinkState | None = None, who: str = "") -> Response:
    """The page of a state. ``link``: what it is about; ``who``: in whose name the link speaks."""
    language = language_of(request)
    title, text = TEXTS[language][state]
    by = (link.acknowledged_by if link is not None else None) or "?"
    shown = link is not None and state in ("open", "done", "accepted", "acknowledged")
    facts = _facts(link, language) if link is not None and shown else []
    button = BUTTONS[language] if state == "open" else ""
    words = (title, text.format(who=who, by=by))
    return small_page(language, STATUSES[state], words, button, ("do", "acknowledge"), facts)


def small_page(
    language: Language,
    status: int,
    words: tuple[str, str],
    button: str = "",
    field: tuple[str, str] = ("", ""),
    facts: Sequence[tuple[str, str]] = (),
) -> Response:
    """A page of one title, one text, and perhaps one button, which posts ``field`` to the page's own address."""
    title, text = words
    html = _template().render(language=language, title=title, text=text, facts=facts, button=button, field=field)
    headers = {
        "Content-Security-Policy": _policy(),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex, nofollow",
        "Vary": "Accept-Language",
    }
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Response(html, status, headers, media_type="text/html; charset=utf-8")


def _facts(link: LinkState, language: Language) -> list[tuple[str, str]]:
    what = " ".join(part for part in (link.subject, link.version, link.line and f"({link.line})") if part)
    due = f"{link.due_at:%Y-%m-%d %H:%M} UTC" if link.due_at is not None else ""
    values = (link.rule_id, link.gate, what, link.site, link.reason[:500], due, link.assignee or "", str(link.level))
    return [(name, value) for name, value in zip(FACTS[language], values, strict=True) if value]


@cache
def _template() -> Template:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(_source())


@cache
def _source() -> str:
    return (resources.files("services.gateway.doors") / "acknowledge.html").read_text()


@cache
def _policy() -> str:
    """No script, nothing from elsewhere, the page's own style sheet by its hash, and its form to itself alone."""
    styles = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in _STYLE.findall(_source())]
    allowed = " ".join(f"'sha256-{digest}'" for digest in styles)
    return f"default-src 'none'; style-src {allowed}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
