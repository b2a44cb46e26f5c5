"""``/a/{token}``: the link in an escalation's message. GET shows a page and changes nothing; its form acknowledges.

The token is the authority (`libs.common.acknowledge_links`): no login, and no cookie that another site could use. Mail
programs and scanners open links, so that only the form's POST does something. Whom the link was for must be active and
allowed at that very moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.common.acknowledge_links import PATH as PREFIX
from libs.common.acknowledge_links import Ticket, ticket_of
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.roles import held_by
from libs.common.contracts.tracker.acknowledge_links import LinkState, show_link, use_link
from libs.common.ids import uuid7
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Refusal, TimedOut, Unavailable
from libs.common.service import Clock
from libs.common.vault import Vault
from services.gateway.access import Access
from services.gateway.bodies import media_type, path_values, receive
from services.gateway.commands import SOURCE, Commands
from services.gateway.context import Context, context_of
from services.gateway.domain.scope import covers
from services.gateway.doors.acknowledge_page import State, page
from services.gateway.identity.callers import Principal
from services.gateway.questions import Questions
from services.gateway.refusals import Refusals
from services.gateway.seals import Sealed

PATH = PREFIX + "{token}"
ROLE = "link"  # of no user: whoever reads a channel may acknowledge what was told there, and nothing else
MAX_FORM_BYTES = 1_000
_FORM, _FIELDS = "application/x-www-form-urlencoded", {"do": ["acknowledge"]}

SELECT_READER = "SELECT role, sites, own_permissions FROM users WHERE username = $1 AND active"


@dataclass(frozen=True, slots=True)
class Links:
    """Answers for the links, with the parts of the edge that it needs."""

    pool: asyncpg.Pool
    access: Access
    questions: Questions
    commands: Commands
    refusals: Refusals
    vault: Vault
    clock: Clock

    def routes(self) -> list[Route]:
        """The two routes."""
        return [Route(PATH, self.show, methods=["GET"]), Route(PATH, self.use, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """What the link is about, with the button while it would do something. Raises `TooMany`."""
        return await self._answer(request, change=False)

    async def use(self, request: Request) -> Response:
        """Acknowledge, if it is the form of the page that asks. Raises `TooMany`."""
        return await self._answer(request, change=True)

    async def _answer(self, request: Request, *, change: bool) -> Response:
        context = context_of(request)
        context.route = PATH
        await self.access.limit_stranger(context)
        try:
            ticket = ticket_of(self.vault, path_values(request)["token"], self.clock())
            reader = None if ticket is None else await self._reader(ticket)
            if ticket is None or reader is None:
                self.refusals.count(context.who, PATH, 404)
                return page(request, "unknown")
            context.who = ticket.actor
            link = await self._ask(context, ticket, reader)
            if link is None:
                return page(request, "unknown")
            if not change or link.state != "open":
                return page(request, link.state, link, ticket.actor)
            if not await _is_form(request):
                return page(request, "form")
            return await self._use(request, context, ticket, reader, link)
        except (Unavailable, TimedOut):
            return page(request, "later")

    async def _reader(self, ticket: Ticket) -> Principal | None:
        """In whose name the link speaks, with what they may now; None: they may not acknowledge there any more."""
        if ticket.person is None:
            return Principal(ticket.actor, ROLE, (ticket.site,), 0, ticket.until)
        try:
            row = await self.pool.fetchrow(SELECT_READER, ticket.person, timeout=5)
        except UNREACHABLE as error:
            raise Unavailable("The database can't be reached.") from error
        if row is None or use_link.permission not in held_by(row["role"], row["own_permissions"]):
            return None
        sites = tuple(row["sites"])
        return Principal(ticket.actor, row["role"], sites, 0, ticket.until) if covers(sites, ticket.site) else None

    async def _ask(self, context: Context, ticket: Ticket, reader: Principal) -> LinkState | None:
        envelope = CloudEvent(
            id=str(uuid7()),
            source=SOURCE,
            type=show_link.type,
            time=context.received_at,
            site=ticket.site,
            actor=reader.username,
            correlationid=context.request_id,
            traceparent=context.traceparent,
        )
        data = {"params": ticket.key.model_dump(mode="json"), "sites": [ticket.site], "permissions": []}
        reply = await self.questions.ask(show_link, envelope, orjson.dumps(data))
        if reply.status == 404:
            return None
        if reply.status != 200:
            raise Unavailable("The tracker can't say what the link is about.")
        return LinkState.model_validate_json(reply.body)

    async def _use(
        self, request: Request, context: Context, ticket: Ticket, reader: Principal, link: LinkState
    ) -> Response:
        answer = await self.commands.run(request, use_link, reader, ticket.site, ticket.key, Sealed())
        done: dict[int, State] = {200: "done", 202: "accepted"}
        if (state := done.get(answer.status_code)) is not None:
            return page(request, state, link, ticket.actor)
        now = await self._ask(context, ticket, reader)  # somebody was faster, or it is over since
        if now is None or now.state == "open":
            raise Unavailable("It could not be acknowledged.")
        return page(request, now.state, now, ticket.actor)


async def _is_form(request: Request) -> bool:
    """Whether the body is what the page's button sends."""
    body = bytearray()
    try:
        await receive(request, MAX_FORM_BYTES, body.extend)
        return media_type(request) == _FORM and parse_qs(body.decode("ascii"), max_num_fields=3) == _FIELDS
    except (Refusal, ValueError):
        return False
