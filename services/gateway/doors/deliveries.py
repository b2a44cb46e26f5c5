"""``POST /api/webhooks/{webhook_id}``: what other systems deliver. They send no token, but prove to know a secret.

GitHub signs the raw body (HMAC-SHA256 in ``X-Hub-Signature-256``), GitLab shows the secret itself (``X-Gitlab-Token``).
Nothing of a body is looked at before that, and nothing of a refused one is kept but its count.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import asyncpg
import orjson
from nats.aio.msg import Msg
from starlette.requests import Request
from starlette.responses import Response

from libs.common.bus import Bus
from libs.common.contracts.gateway.webhooks import webhook_changed
from libs.common.contracts.governance.deliveries import DeliveryRecord, record_delivery
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Invalid, Refusal, Unauthorized, Unavailable
from libs.common.service import Clock
from services.gateway.access import Access
from services.gateway.bodies import media_type, parse_json, path_values, read_body, read_query, validate
from services.gateway.commands import Commands
from services.gateway.context import Context, context_of
from services.gateway.hearing import Hearing
from services.gateway.identity.callers import CACHE_SECONDS, Principal
from services.gateway.seals import Sealed, WebhookSecrets
from services.gateway.webhooks import ORPHANED

PATH = "/api/webhooks/{webhook_id}"
MAX_KNOWN = 1_000
ROLE = "webhook"  # of no user: it holds no permission but to deliver
_ID = re.compile(r"[0-9a-f]{32}")
_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
_DELIVERY = re.compile(r"[\x21-\x7e]{1,100}")
_FORM = "application/x-www-form-urlencoded"
_REFUSED = "There is no such webhook, or the delivery does not prove that its sender knows the secret."

SELECT_WEBHOOK = f"""
SELECT site, name, system, mapping, salt, previous_salt, previous_until FROM webhooks
WHERE webhook_id = $1 AND removed_at IS NULL AND NOT {ORPHANED}
"""  # noqa: S608  only a constant of ours is put in


@dataclass(frozen=True, slots=True)
class Sender:
    """A webhook as it was looked up. ``secrets`` are good ones, each until its time (None: without an end)."""

    webhook_id: str
    site: str
    name: str
    system: str
    mapping: dict[str, Any]
    secrets: tuple[tuple[bytes, datetime | None], ...]

    @property
    def actor(self) -> str:
        """Who says what it tells; no user's name has a colon."""
        return f"webhook:{self.name}"


class Deliveries:
    """Takes deliveries. What is known of a webhook is remembered for at most 5 s, and until it changes."""

    def __init__(
        self, pool: asyncpg.Pool, access: Access, commands: Commands, secrets: WebhookSecrets, clock: Clock
    ) -> None:
        self._pool, self._access, self._commands = pool, access, commands
        self._secrets, self._clock = secrets, clock
        self._hearing = Hearing()
        self._known: OrderedDict[str, tuple[Sender | None, float]] = OrderedDict()

    async def receive(self, request: Request) -> Response:
        """Check who sends, then hand the delivery on as a command. Raises `Unauthorized`, `Invalid` and others."""
        context = context_of(request)
        context.route = PATH
        read_query(request, frozenset())
        sender, body = await self._authenticate(request, context)
        context.who = sender.actor
        await self._access.limit_known(context, f"webhook {sender.webhook_id}", "This webhook")
        # The mapping is part of it: a delivery that is sent again after it was mended is another one.
        named = f"{sender.webhook_id}\n".encode() + orjson.dumps(sender.mapping, option=orjson.OPT_SORT_KEYS) + body
        key = f"{_delivery_of(request)}:{hashlib.sha256(named).hexdigest()}"
        fields = {
            "webhook": sender.name,
            "system": sender.system,
            "mapping": sender.mapping,
            "event": _event_of(request, sender.system),
            "key": key,
            "payload": await _payload(request, body),
        }
        record = validate(DeliveryRecord, fields)
        caller = Principal(sender.actor, ROLE, (sender.site,), 0, context.received_at)
        return await self._commands.run(request, record_delivery, caller, sender.site, record, Sealed(), key)

    async def start(self, bus: Bus) -> None:
        """Hear of webhooks that were changed or removed, so that what was remembered goes at once."""
        await self._hearing.start(bus, self._on_change, webhook_changed)

    async def stop(self) -> None:
        """Hear no more."""
        await self._hearing.stop()

    def forget(self) -> None:
        """Look every webhook up anew."""
        self._known.clear()

    async def _on_change(self, _: Msg) -> None:
        self.forget()  # they are few

    async def _authenticate(self, request: Request, context: Context) -> tuple[Sender, bytes]:
        self._access.enter_stranger(context)
        try:
            sender = await self._find(path_values(request)["webhook_id"])
            if sender is None:  # before a stranger's body is read
                raise Unauthorized(_REFUSED)
            body = await read_body(request)
            now = self._clock()
            good = [secret for secret, until in sender.secrets if until is None or now < until]
            if not _proves(request, sender.system, good, body):
                raise Unauthorized(_REFUSED + _HOW[sender.system])
        except Refusal as refusal:
            if refusal.status < 500:
                await self._access.limit_stranger(context)
            raise
        return sender, body

    async def _find(self, webhook_id: str) -> Sender | None:
        if not _ID.fullmatch(webhook_id):
            return None
        known = self._known.get(webhook_id)
        now_s = time.monotonic()
        if known is not None and known[1] > now_s:
            return known[0]
        try:
            row = await self._pool.fetchrow(SELECT_WEBHOOK, webhook_id, timeout=5)
        except UNREACHABLE as error:
            raise Unavailable("The webhook can't be checked now: the database can't be reached. Try again.") from error
        sender = None if row is None else self._sender(webhook_id, row)
        self._known[webhook_id] = (sender, now_s + CACHE_SECONDS)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return sender

    def _sender(self, webhook_id: str, row: asyncpg.Record) -> Sender:
        secrets: list[tuple[bytes, datetime | None]] = [(self._secrets.of(row["salt"]).encode(), None)]
        if row["previous_salt"] is not None:
            secrets.append((self._secrets.of(row["previous_salt"]).encode(), row["previous_until"]))
        return Sender(webhook_id, row["site"], row["name"], row["system"], row["mapping"], tuple(secrets))


_HOW = {
    "github": " GitHub signs the body into X-Hub-Signature-256 if the webhook's secret is set there.",
    "gitlab": " GitLab sends the secret token of the webhook in X-Gitlab-Token.",
}


def _proves(request: Request, system: str, secrets: list[bytes], body: bytes) -> bool:
    """Whether the sender knows one of the secrets; it takes the same time wherever a wrong proof is wrong."""
    name = "x-hub-signature-256" if system == "github" else "x-gitlab-token"
    values = request.headers.getlist(name)
    if len(values) != 1:
        return False
    if system == "gitlab":
        shown = values[0].encode("latin-1")
        return any(hmac.compare_digest(shown, secret) for secret in secrets)
    match = _SIGNATURE.fullmatch(values[0])
    if match is None:
        return False
    signed = bytes.fromhex(match[1])
    return any(hmac.compare_digest(signed, hmac.digest(secret, body, "sha256")) for secret in secrets)


def _event_of(request: Request, system: str) -> str:
    name = "x-github-event" if system == "github" else "x-gitlab-event"
    event = request.headers.get(name, "")
    if not event:
        raise Invalid(f"{name} is missing; it says what the delivery is about.")
    return event[:200]


def _delivery_of(request: Request) -> str:
    """What the sender calls the delivery. GitLab gives events that cause each other one name: the body counts, too."""
    for name in ("x-github-delivery", "x-gitlab-event-uuid"):
        value = request.headers.get(name, "")
        if _DELIVERY.fullmatch(value):
            return value
    return "-"


async def _payload(request: Request, body: bytes) -> Any:
    """The JSON of the delivery; GitHub may be set to send it as the field ``payload`` of a form."""
    if media_type(request) == _FORM:
        body = await asyncio.to_thread(_form_field, body)
    found = await parse_json(body)
    if not isinstance(found, dict):
        raise Invalid("The delivery's body must be one JSON object.")
    return found


def _form_field(body: bytes) -> bytes:
    try:
        fields = parse_qs(body.decode("ascii"), strict_parsing=True, errors="strict", max_num_fields=10)
    except ValueError:
        fields = {}
    found = fields.get("payload", [])
    if len(found) != 1:
        raise Invalid("The form has no field payload; set the webhook's content type to application/json.")
    return found[0].encode()
