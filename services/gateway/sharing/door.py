"""``/s``: where a share link is opened. GET shows a form and opens nothing; a POST counts a use and shows the thing.

What opens a link stands behind the ``#`` of its address and comes in a body, so that no path, no query, no Referer and
no log on the way has it (docs/decisions/0047). It is the authority: no login, and no cookie that another site could
use. That the thing can be read is found out before the use is counted, and nothing is shown that was not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Nothing
from libs.common.contracts.blobs import Blob
from libs.common.contracts.gateway.shares import ACTOR, PATH, use_share
from libs.common.ids import uuid7
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Invalid, NotFound, Refusal, TimedOut, TooMany, Unavailable
from libs.common.service import Clock
from services.gateway.access import Access
from services.gateway.answers import refusal_answer
from services.gateway.blobs import blob_answer
from services.gateway.bodies import media_type, read_json_object, read_query, receive
from services.gateway.commands import SOURCE, Commands
from services.gateway.context import Context, context_of
from services.gateway.domain.share_text import MAX_CHARS, secret_in
from services.gateway.identity.bootstrap import digest_of
from services.gateway.identity.callers import Principal
from services.gateway.identity.token_addresses import place_of
from services.gateway.questions import Questions
from services.gateway.refusals import Refusals
from services.gateway.seals import Sealed
from services.gateway.sharing import page
from services.gateway.sharing.shares import DEAD, may_show
from services.gateway.sharing.things import Thing

ROLE = "link"  # of no user: whoever has the link, and nothing else
MAX_FORM_BYTES = 4 * MAX_CHARS
OURS = frozenset({"", "same-origin", "none"})  # what browsers say of where a form was (Fetch metadata)
_FORM = "application/x-www-form-urlencoded"

SELECT_LIVING = """
SELECT share_id, site, kind, gate, run_id, subject, version, line, created_by, expires_at FROM share
WHERE secret_sha256 = $1 AND expires_at > $2 AND revoked_at IS NULL AND use_count < max_uses
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says: ``said`` opens the link, ``as_`` is ``page``, ``file`` or, of a program, ``json``."""

    said: str
    as_: str


@dataclass(frozen=True, slots=True)
class ShareDoor:
    """Answers for the links, with the parts of the edge that it needs."""

    pool: asyncpg.Pool
    access: Access
    questions: Questions
    commands: Commands
    refusals: Refusals
    clock: Clock

    def routes(self) -> list[Route]:
        """The two routes."""
        return [Route(PATH, self.ask, methods=["GET"]), Route(PATH, self.show, methods=["POST"])]

    async def ask(self, request: Request) -> Response:
        """The form. It is the same for every link, also for one that opens nothing. Raises `TooMany`."""
        context = context_of(request)
        context.route = PATH
        await self.access.limit_stranger(context)
        return page.page(request, "ask")

    async def show(self, request: Request) -> Response:
        """The thing, if the link opens it now. Raises `TooMany`, of a program also `NotFound` and `Unavailable`."""
        context = context_of(request)
        context.route = PATH
        self.access.enter_stranger(context)
        await self.access.limit_stranger(context)
        read_query(request, frozenset())
        asked = await _asked(request)
        if asked is None:
            return page.page(request, "form")
        try:
            return await self._open(request, context, asked)
        except TooMany:
            raise
        except Refusal as refusal:
            if asked.as_ == "json":
                return refusal_answer(request, refusal)
            return page.page(request, "unknown" if isinstance(refusal, NotFound) else "later")

    async def _open(self, request: Request, context: Context, asked: Asked) -> Response:
        secret = secret_in(asked.said)
        digest = b"" if secret is None else digest_of(secret)
        row = None if secret is None else await self._living(digest)
        if row is None:
            self.refusals.count(context.who, PATH, 404)
            raise NotFound(DEAD)
        thing, site = Thing.of(row), row["site"]
        context.who = f"{ACTOR}{row['share_id']}"
        answers = [await self._ask(context, thing, site, number) for number in range(len(thing.questions()))]
        caller = Principal(context.who, ROLE, (site,), 0, row["expires_at"])
        fields = {"secret_sha256": digest.hex(), "address": place_of(context.address), "agent": context.agent}
        # A key of our own: under one of the caller's, a second opening would be the first one's repetition.
        used = await self.commands.run(request, use_share, caller, site, Nothing(), Sealed(fields), str(uuid7()))
        if used.status_code != 200:
            raise NotFound(DEAD) if used.status_code == 404 else Unavailable("The link could not be opened; try again.")
        return await self._shown(request, asked, thing, row, answers)

    async def _living(self, digest: bytes) -> asyncpg.Record | None:
        """The row of a link that opens something now; the command looks again."""
        try:
            async with self.pool.acquire(timeout=5) as connection:
                now = self.clock()
                row = await connection.fetchrow(SELECT_LIVING, digest, now, timeout=5)
                if row is None or not await may_show(connection, row, now):
                    return None
                return row
        except UNREACHABLE as error:
            raise Unavailable("The database can't be reached; try again.") from error

    async def _ask(self, context: Context, thing: Thing, site: str, number: int) -> Any:
        """The answer to one of the thing's questions, in the link's name: it may read that, there, and nothing else."""
        query, params = thing.questions()[number]
        envelope = CloudEvent(
            id=str(uuid7()),
            source=SOURCE,
            type=query.type,
            time=context.received_at,
            site=site,
            actor=context.who,
            correlationid=context.request_id,
            traceparent=context.traceparent,
        )
        asked = params.model_dump(mode="json", exclude_unset=True)
        data = {"params": asked, "sites": [site], "permissions": [query.permission]}
        try:
            reply = await self.questions.ask(query, envelope, orjson.dumps(data))
        except TimedOut as error:
            raise Unavailable(error.detail) from error
        if reply.status in (404, 422):  # it is gone, or not to be told apart from others any more
            raise NotFound(DEAD)
        if reply.status != 200:
            raise Unavailable(f"The {query.service} service can't show it now; try again.")
        return orjson.loads(reply.body)

    async def _shown(
        self, request: Request, asked: Asked, thing: Thing, row: asyncpg.Record, answers: list[Any]
    ) -> Response:
        now, site = self.clock(), row["site"]
        if asked.as_ == "page":
            return page.shown_page(request, thing, site, answers, now)
        if thing.kind == "capsule":
            answer = await blob_answer(request, Blob.model_validate(answers[1]), None)
        else:
            told = {"kind": thing.kind, "site": site, "gate": thing.gate, "shown_at": now, "shown": answers[0]}
            if thing.kind == "board":
                told["items"] = answers[1]
            answer = Response(orjson.dumps(told), media_type="application/json")
            if asked.as_ == "file":
                answer.headers["Content-Disposition"] = f'attachment; filename="{thing.kind}-{row["share_id"]}.json"'
        answer.headers.update(page.HEADERS)
        return answer


async def _asked(request: Request) -> Asked | None:
    """What the page's form or a program says; None for what is neither. Raises `Refusal` for a program's mistakes."""
    if media_type(request) != _FORM:
        body = await read_json_object(request)
        said = body.get("token")
        if not isinstance(said, str) or len(body) != 1:
            raise Invalid('Send what follows the # of the link as {"token": "hgs_…"}, or the form of the page.')
        return Asked(said, "json")
    if request.headers.get("sec-fetch-site", "") not in OURS:
        return None
    sent = bytearray()
    try:
        await receive(request, MAX_FORM_BYTES, sent.extend)
        form = parse_qs(sent.decode("ascii"), keep_blank_values=True, max_num_fields=3)
    except (Refusal, ValueError):
        return None
    said, as_ = form.get("token", []), form.get("as", ["page"])
    if set(form) - {"token", "as"} or len(said) != 1 or as_ not in (["page"], ["file"]):
        return None
    return Asked(said[0], as_[0])
