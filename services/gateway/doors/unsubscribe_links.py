"""``/u/{token}``: the link in a mail by which whoever got it wants no more (RFC 8058). GET shows a page and changes
nothing, since mail scanners open links; a POST, by the page's button or by the mail program itself, stops it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.common.contracts.notifier.channels import stop_channel
from libs.common.problems import Refusal, TimedOut, Unavailable
from libs.common.service import Clock
from libs.common.unsubscribe_links import PATH as PREFIX
from libs.common.unsubscribe_links import ticket_of
from libs.common.vault import Vault
from services.gateway.access import Access
from services.gateway.bodies import path_values, receive
from services.gateway.commands import Commands
from services.gateway.context import context_of
from services.gateway.doors.acknowledge_page import Language, language_of, small_page
from services.gateway.identity.callers import Principal
from services.gateway.refusals import Refusals
from services.gateway.seals import Sealed

PATH = PREFIX + "{token}"
ROLE, ACTOR = "link", "link:mail"  # of no user: whoever got the mail, and nothing else
FIELD = ("List-Unsubscribe", "One-Click")
MAX_FORM_BYTES = 2_000

TEXTS: Mapping[Language, Mapping[str, tuple[str, str]]] = {
    "en": {
        "ask": ("Receive no more of these mails?", "What this mail came from is stopped. Headgate keeps all it knows, "
                "and who looks after it can start it again."),
        "done": ("Unsubscribed", "No more of these mails are sent to this address. You can close this page."),
        "accepted": ("Accepted", "It will be stopped in a moment. You can close this page."),
        "unknown": ("This link opens nothing", "It is not whole, its time is over, or the mails go elsewhere by now."),
        "later": ("Not now", "A part that this needs can't be reached. Try again in a minute; nothing was changed."),
        "form": ("Nothing was changed", "Open the link from the mail again, and press the button."),
    },
    "ko": {
        "ask": ("이 메일을 그만 받으시겠습니까?", "이 메일을 보낸 구독이 중지됩니다. 기록은 그대로이며, "
                "담당자가 다시 시작할 수 있습니다."),
        "done": ("수신 거부되었습니다", "이 주소로 더 이상 메일을 보내지 않습니다. 창을 닫아도 됩니다."),
        "accepted": ("접수했습니다", "곧 중지됩니다. 창을 닫아도 됩니다."),
        "unknown": ("열 수 없는 링크입니다", "링크가 온전하지 않거나 기한이 지났거나, 메일이 이미 다른 곳으로 갑니다."),
        "later": ("지금은 안 됩니다", "필요한 부분에 연결할 수 없습니다. 잠시 뒤 다시 하십시오. 바뀐 것은 없습니다."),
        "form": ("바뀐 것이 없습니다", "메일의 링크를 다시 열고 단추를 누르십시오."),
    },
}  # fmt: skip
STATUSES = {"ask": 200, "done": 200, "accepted": 202, "unknown": 404, "later": 503, "form": 400}
BUTTONS: Mapping[Language, str] = {"en": "Unsubscribe", "ko": "수신 거부"}


@dataclass(frozen=True, slots=True)
class Unsubscriptions:
    """Answers for the links, with the parts of the edge that it needs."""

    access: Access
    commands: Commands
    refusals: Refusals
    vault: Vault
    clock: Clock

    def routes(self) -> list[Route]:
        """The two routes."""
        return [Route(PATH, self.show, methods=["GET"]), Route(PATH, self.use, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """The page with the button. Raises `TooMany`."""
        return await self._answer(request, change=False)

    async def use(self, request: Request) -> Response:
        """Stop it, if it is the button or a mail program that asks. Raises `TooMany`."""
        return await self._answer(request, change=True)

    async def _answer(self, request: Request, *, change: bool) -> Response:
        context = context_of(request)
        context.route = PATH
        await self.access.limit_stranger(context)
        ticket = ticket_of(self.vault, path_values(request)["token"], self.clock())
        if ticket is None:
            self.refusals.count(context.who, PATH, 404)
            return _page(request, "unknown")
        context.who = ACTOR
        if not change:
            return _page(request, "ask")
        if not await _is_one_click(request):
            return _page(request, "form")
        caller = Principal(ACTOR, ROLE, (ticket.site,), 0, ticket.until)
        try:
            answer = await self.commands.run(request, stop_channel, caller, ticket.site, ticket.stop, Sealed())
        except (Unavailable, TimedOut):
            return _page(request, "later")
        return _page(request, {200: "done", 202: "accepted", 404: "unknown"}.get(answer.status_code, "later"))


def _page(request: Request, state: str) -> Response:
    language = language_of(request)
    button = BUTTONS[language] if state == "ask" else ""
    return small_page(language, STATUSES[state], TEXTS[language][state], button, FIELD)


async def _is_one_click(request: Request) -> bool:
    """Whether the body has the one field of RFC 8058, as a form of either kind."""
    body = bytearray()
    try:
        await receive(request, MAX_FORM_BYTES, body.extend)
    except Refusal:
        return False
    return all(part.encode() in body for part in FIELD)
