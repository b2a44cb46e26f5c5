"""Sends deliveries: a loop of its own beside the messages, in turns of writing results down and taking what is due.

Each turn is one transaction. Attempts run as tasks meanwhile, bounded in all and for each subscription
(`domain.lanes`). Crash anywhere: the leases end, and what was in hand is sent again under the same ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg

from libs.common.cloudevents import decode
from libs.common.contracts.notifier.channels import WEBHOOK
from libs.common.contracts.roles import may_see
from libs.common.outbound import Answer, Refused, Unreachable
from libs.common.postgres import LOST_RACES, UNREACHABLE
from libs.common.service import Clock, Connection, Table
from libs.common.telemetry import log
from libs.common.vault import VaultError
from services.notifier import claims, digests, escalations, troubles
from services.notifier.claims import Claimed, Result
from services.notifier.domain import attempts
from services.notifier.domain.attempts import Next
from services.notifier.domain.circuits import Policy
from services.notifier.domain.hiding import hidden_parts, masked
from services.notifier.domain.lanes import FIRST_WINDOW, MAX_WINDOW, Lanes
from services.notifier.domain.message import Message
from services.notifier.figures import outages
from services.notifier.figures.series import ATTEMPT_DURATION, ATTEMPTS
from services.notifier.guarding.guard import Guard
from services.notifier.kinds import generic, mail, pagerduty, slack, teams, webhook
from services.notifier.kinds.mail import MailError
from services.notifier.kinds.request import Request
from services.notifier.kinds.ways import Ways
from services.notifier.paces import zone_of
from services.notifier.words.messages import MAX_ENTRIES, digest_of, message_of
from services.notifier.words.templates import Wordbook

# What a kind of channel makes of a message. A webhook that signs gets the event as it was instead.
REQUESTS: Mapping[str, Callable[[Message, Claimed, Ways], Request]] = {
    "slack": slack.request_of,
    "teams": teams.request_of,
    "pagerduty": pagerduty.request_of,
    "generic": generic.request_of,
}
SLOTS = 100
PEOPLE_WINDOW = 2  # of a channel: such places ask for about one message a second
WINDOWS = {WEBHOOK: MAX_WINDOW, "pagerduty": 1}  # one after another, so that what resolves comes behind what it ends
POLL_S = 1.0
LOOK_S = 0.9  # a little less than a poll, so that each poll looks
STALE_AFTER = claims.LEASE - timedelta(seconds=15)  # what waited longer may be another's before its answer comes
GATHER_S = 0.005  # results that come within so much of each other are written down together
STOP_S = 12.0
MAX_HEADERS, MAX_HEADER_CHARS, MAX_HEAD_CHARS = 30, 300, 1_000

NOT_ALLOWED = "Whose subscription or channel this is may not see this event any more."
FORGOTTEN = "The event is kept no more."
NO_POST = "No mail goes out from here any more: an administrator sets HEADGATE_SMTP_HOST for the notifier."
TOO_MANY = 429  # asks for time, and is no failure: `Retry-After` says how much
OURS = "Something went wrong here that should not; the notifier's log says what."


class Sender:
    """The worker that sends."""

    def __init__(
        self,
        ways: Ways,
        policy: Policy,
        pool: asyncpg.Pool,
        clock: Clock,
        nudge: Callable[[], None],
    ) -> None:
        self._ways, self._outbound, self._vault = ways, ways.outbound, ways.vault
        self._guard, self._looked = Guard(policy), 0.0
        self._pool, self._clock, self._nudge = pool, clock, nudge
        self._lanes: Lanes[Claimed] = Lanes(SLOTS)
        self._wake, self._stopping = asyncio.Event(), False
        self._results: list[Result] = []
        self._later: list[Result] = []  # of this turn, for the next
        self._unbegun: list[Claimed] = []  # taken, and to be given back
        self._wordbook = Wordbook()
        self._gone: list[int] = []  # targets whose receivers want no more
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Something was committed, or an attempt has ended."""
        self._wake.set()

    def stop(self) -> None:
        """Take nothing more; what is in hand is finished."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Until stopped. While PostgreSQL is away, results wait."""
        try:
            while not self._stopping:
                self._wake.clear()
                if not await self._turn():
                    await asyncio.sleep(0.5)
                    continue
                await self._pause()
            await self._finish()
        finally:
            await self._outbound.close()

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), POLL_S)
        except TimeoutError:
            return
        if self._tasks and not self._stopping:
            await asyncio.sleep(GATHER_S)

    async def _finish(self) -> None:
        """Await the attempts in hand; what takes longer is sent again when its lease has ended."""
        self._unbegun += self._lanes.give_back()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)
        for task in self._tasks:
            task.cancel()
        await self._turn()

    async def _turn(self) -> bool:
        """Write down what has ended and take what is due; False: PostgreSQL is away, all of it is kept."""
        try:
            await self._disable()
            results, unbegun, self._later = list(self._results), list(self._unbegun), []
            async with self._pool.acquire() as connection, connection.transaction():
                written = await claims.store(connection, results)
                await outages.note(connection, [one for one in results if not one.follows])
                told = await escalations.note(connection, results, self._clock())
                told = await self._guard.note(connection, written, self._clock()) or told
                await claims.give_back(connection, unbegun, self._clock())
                await self._look(connection)
                taken = await self._claim(connection)
        except LOST_RACES:
            return True
        except UNREACHABLE as error:
            log.warning("sending waits", error=repr(error))
            return False
        if told:
            self._nudge()
        self._results[: len(results)] = self._later
        self._later = []
        del self._unbegun[: len(unbegun)]
        for one in taken:
            self._lanes.take(one.lane, one, WINDOWS.get(one.kind, PEOPLE_WINDOW))
        self._begin()
        return True

    async def _look(self, connection: Connection) -> None:
        """See once in a second what circuits hold back and let through."""
        now = time.monotonic()
        if now < self._looked + LOOK_S or self._stopping:
            return
        self._looked = now
        if await self._guard.look(connection, self._clock()):
            self._looked = 0.0
            self._wake.set()

    def _begin(self) -> None:
        """Begin what may begin now."""
        for _, one in self._lanes.next():
            task = asyncio.create_task(self._attempt(one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _claim(self, connection: Connection) -> list[Claimed]:
        if self._stopping or self._lanes.free < 1:
            return []
        self._lanes.turn()
        lanes = list(self._lanes.rooms())
        now = self._clock()
        taken = await claims.claim(connection, lanes, now, room=FIRST_WINDOW, limit=self._lanes.free)
        taken = await digests.hold_back(connection, taken, now)
        taken = await digests.gather(connection, taken, now, now + claims.LEASE)
        if told := {one.site for one in taken if one.template is not None}:
            await self._wordbook.read(connection, told, taken[0].roll_number)
        return [one for one in map(self._seen, taken) if one is not None]

    def _seen(self, one: Claimed) -> Claimed | None:
        """What of it may be sent: the rest of a message is given up where its owner may not see it, or it is gone."""
        if not one.rest:
            return one
        seen = []
        for each in one.all:
            if _may_see(each) and each.payload is not None:
                seen.append(each)
            else:
                self._later.append(_given_up(each, self._clock(), FORGOTTEN if _may_see(each) else NOT_ALLOWED))
        return replace(seen[0], rest=tuple(replace(each, rest=()) for each in seen[1:])) if seen else None

    async def _disable(self) -> None:
        while self._gone:
            async with self._pool.acquire() as connection, connection.transaction():
                await claims.disable(connection, self._gone[0], self._clock())
            self._gone.pop(0)
            self._nudge()

    async def _attempt(self, one: Claimed) -> None:
        """Send one, and leave its result for the next turn."""
        if self._clock() - one.claimed_at > STALE_AFTER:
            self._unbegun += [one, *self._lanes.end(one.lane, well=False)]
            self._wake.set()
            return
        try:
            result, well = await self._result(one)
        except Exception:  # a mistake of ours must not hold a place for ever, nor be tried again at once
            log.exception("a delivery could not be sent", delivery_id=one.delivery_id)
            result, well = self._silent(one, self._clock(), OURS, None, ours=True), False
        self._unbegun += self._lanes.end(one.lane, well=well)
        if not self._stopping:
            self._begin()
        self._results += [result, *(result.of(other) for other in one.rest)]
        ATTEMPTS.labels(one.kind, result.state).inc()
        if result.took_ms is not None:
            ATTEMPT_DURATION.labels(one.kind).observe(result.took_ms / 1000)
        self._wake.set()

    async def _result(self, one: Claimed) -> tuple[Result, bool]:
        """What became of the attempt, and whether the receiver is well."""
        now = self._clock()
        if not _may_see(one):
            return _given_up(one, now, NOT_ALLOWED), True
        if one.payload is None:
            return _given_up(one, now, FORGOTTEN), True
        if one.kind == "email":
            return await self._mail(one, now)
        try:
            request = self._request(one, one.payload, now)
        except VaultError as error:
            what = "The signing secret" if one.kind == WEBHOOK else "Where the channel leads"
            return self._silent(one, now, f"{what} can't be opened: {error}", None, ours=True), True
        if request.trouble and one.channel_id and await troubles.is_over(self._pool, one.channel_id, request.trouble):
            return _given_up(one, now, troubles.OVER), True
        try:
            answer = await self._outbound.post(request.url, request.headers, request.body)
        except Refused as error:
            return _given_up(one, now, error.sentence, well=False), True
        except Unreachable as error:
            return self._silent(one, now, error.sentence, request.shown_headers, request.note), False
        return self._answered(one, now, answer, request)

    def _request(self, one: Claimed, payload: bytes, now: datetime) -> Request:
        """What is sent. Raises `VaultError`."""
        if one.kind == WEBHOOK:
            return webhook.request_of(payload, one, self._vault, now)
        message = self._words(one, now)
        request = replace(REQUESTS[one.kind](message, one, self._ways), note=message.note or None)
        link = message.acknowledge_link
        return replace(request, hidden=(*hidden_parts(link), *request.hidden)) if link else request

    def _words(self, one: Claimed, now: datetime) -> Message:
        """What people read: of one event, or of all that are told together."""
        messages = [self._message(each, each.payload, now) for each in one.all[:MAX_ENTRIES] if each.payload]
        left = len(one.all) - len(messages)
        return digest_of(messages, left) if one.rest else messages[0]

    async def _mail(self, one: Claimed, now: datetime) -> tuple[Result, bool]:
        """What became of a mail; what the server said is its answer."""
        note = None
        if self._ways.post is None:  # nothing that the target could mend
            return self._silent(one, now, NO_POST, None, ours=True), False
        try:
            message = self._words(one, now)
            note = message.note or None
            written = mail.mail_of(message, one, self._vault, self._ways.post, now, self._ways.base_url)
            said, took_ms = await self._ways.post.send(written)
        except VaultError as error:
            return self._silent(one, now, f"Where the channel leads can't be opened: {error}", None, ours=True), True
        except MailError as error:
            if error.final:
                return _given_up(one, now, error.sentence, well=False), True
            return self._silent(one, now, error.sentence, None, note), False
        return self._row(one, now, Next("delivered"), True, took_ms=took_ms, answer_head=said, note=note), True

    def _message(self, one: Claimed, payload: bytes, now: datetime) -> Message:
        template, note = self._wordbook.find(one.site, one.template, one.language, one.event_name)
        zone = zone_of(one.zone)
        event = decode(payload)
        link = escalations.acknowledge_link(one, event.data, self._vault, self._ways.base_url, now)
        found = message_of(
            event, one.language, template, base_url=self._ways.base_url, acknowledge_link=link, zone=zone
        )
        return replace(found, note=note) if note else found

    def _silent(
        self,
        one: Claimed,
        at: datetime,
        error: str,
        headers: dict[str, str] | None,
        note: str | None = None,
        *,
        ours: bool = False,
    ) -> Result:
        """What follows when there was no answer; ``ours``: through no fault of the target."""
        following = attempts.after_silence(one.tries, random.random(), _schedule(one))  # noqa: S311 - jitter, no secret
        return self._row(one, at, following, None if ours else False, error=error, request_headers=headers, note=note)

    def _answered(self, one: Claimed, at: datetime, answer: Answer, request: Request) -> tuple[Result, bool]:
        asked = attempts.retry_after_s(answer.headers.get("retry-after"), at)
        following = attempts.after_answer(answer.status, asked, one.tries, random.random(), _schedule(one))  # noqa: S311
        if following.disable:
            self._gone.append(one.target)
        well = following.state == "delivered"
        return self._row(
            one,
            at,
            following,
            # Who wants no more has answered as it should, and who asks for time will take it then.
            None if following.disable or answer.status == TOO_MANY else well,
            http_status=answer.status,
            took_ms=answer.took_ms,
            error=None if well else attempts.sentence(answer.status),
            request_headers=request.shown_headers,
            answer_headers=_shortened(answer.headers, request.hidden),
            answer_head=_text(answer.head, request.hidden),
            note=request.note,
        ), well

    def _row(self, one: Claimed, at: datetime, following: Next, well: bool | None, **more: object) -> Result:
        retrying, known_at = following.state == "retrying", self._clock()
        due_at = known_at + timedelta(seconds=following.delay_s) if retrying else None
        return _result(
            one, following.state, at, known_at, well, due_at=due_at, ended_at=None if retrying else known_at, **more
        )


def _given_up(one: Claimed, at: datetime, error: str, *, well: bool | None = None) -> Result:
    return _result(one, "dead", at, at, well, ended_at=at, error=error)


def _result(one: Claimed, state: str, at: datetime, known_at: datetime, well: bool | None, **more: object) -> Result:
    known = (one.delivery_id, one.attempt_count, one.target, one.event_name, one.site, one.purpose)
    return Result(*known, state, at, known_at, well, one.key, **more)  # type: ignore[arg-type]


def _schedule(one: Claimed) -> attempts.Schedule:
    return attempts.SHORT if one.purpose == escalations.PURPOSE else attempts.LONG


def _may_see(one: Claimed) -> bool:
    """Whether whose eyes are asked may see the event at this moment."""
    if not one.owner:  # straight to a channel of the site
        return True
    if not (one.may_see and one.owner_role):
        return False
    return one.purpose in ("test", "probe") or may_see(one.owner_role, one.event_name, one.own_permissions)


def _shortened(headers: Mapping[str, str], hidden: Sequence[str]) -> dict[str, str]:
    some = list(headers.items())[:MAX_HEADERS]
    return {name[:100]: masked(value, hidden)[:MAX_HEADER_CHARS] for name, value in some}


def _text(head: bytes, hidden: Sequence[str]) -> str:
    whole = head.decode(errors="replace").replace("\x00", "\ufffd")
    return masked(whole, hidden)[:MAX_HEAD_CHARS]


def table(ways: Ways, policy: Policy) -> Table:
    """The worker, with the ways by which it sends, and when a target is left alone."""

    def make(pool: asyncpg.Pool, clock: Clock, nudge: Callable[[], None]) -> Sender:
        return Sender(ways, policy, pool, clock, nudge)

    return Table(workers=(make,))
