"""The witness's HTTP interface: ``POST /add-checkpoint`` and ``GET /<hash of the log's name>/checkpoint``."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from libs.tlog.cosignatures import Cosigner
from libs.tlog.notes import Verifier, read_note
from libs.tlog.witnessing import MAX_REQUEST_BYTES, SIZE_TYPE, Refused, Request, require_consistent, require_signed
from libs.witness.state import State

Say = Callable[[str], None]


class Witness:
    """Judges checkpoints of ``logs``. ``clock`` tells seconds since 1970, ``say`` tells the operator."""

    def __init__(
        self, cosigner: Cosigner, logs: Sequence[Verifier], state: State, clock: Callable[[], float], say: Say
    ) -> None:
        self._cosigner, self._logs, self._state = cosigner, tuple(logs), state
        self._clock, self._say = clock, say
        self._origins: Mapping[str, str] = {origin_hash(log.name): log.name for log in logs}

    def add(self, body: bytes) -> str:
        """The cosignature of the checkpoint in a request. Raises `Refused`, and sqlite3.Error. Blocks."""
        asked = Request.read(body)
        signers = require_signed(asked, self._logs)
        lines = [line for one in signers if (line := asked.note.line_of(one))]
        note, now_s = asked.note.with_lines(lines), int(self._clock())
        try:
            time_s = self._state.advance(asked.checkpoint, note, now_s, lambda seen: require_consistent(asked, seen))
        except Refused as refusal:
            if refusal.contradicts:
                self._contradicted(asked, note, now_s, refusal)
            raise
        return self._cosigner.cosign(asked.note.text, time_s)

    def latest(self, name_hash: str) -> str | None:
        """The largest checkpoint of a log with its signatures and ours; None: none, or of no log that is known."""
        origin = self._origins.get(name_hash)
        kept = self._state.kept(origin) if origin is not None else None
        if kept is None:
            return None
        return kept.note + self._cosigner.cosign(read_note(kept.note).text, kept.time_s)

    def _contradicted(self, asked: Request, note: str, now_s: int, refusal: Refused) -> None:
        """The log signed it, so it is evidence."""
        point, kept = asked.checkpoint, False
        try:
            kept = self._state.note_conflict(point.origin, now_s, note, f"{refusal.status} {refusal.text.strip()}")
        finally:
            said = "both checkpoints are kept"
            if not kept:
                said = (
                    "its checkpoint is NOT kept, there is no room for more of this log: headgate audit "
                    f"witness-conflicts lists what is. It reads:\n{note.rstrip()}\n"
                )
            self._say(
                f"{point.origin} was REFUSED at size {point.size}: {refusal.text.strip()}. Unless its operator sent a "
                f"wrong proof, the log shows others another history; {said}."
            )


def origin_hash(origin: str) -> str:
    """Under which a log's checkpoint is read: SHA-256 of its name in hex."""
    return hashlib.sha256(origin.encode()).hexdigest()


def make_app(witness: Witness) -> Starlette:
    """The two routes. There is no login: only a log that is known, by a signature of its own, changes anything."""

    async def add_checkpoint(request: HttpRequest) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_REQUEST_BYTES:
                return PlainTextResponse(f"a request has at most {MAX_REQUEST_BYTES} bytes\n", 413)
        try:
            line = await asyncio.to_thread(witness.add, bytes(body))
        except Refused as refusal:
            if refusal.status == 409:
                return Response(refusal.text, 409, {"Content-Type": SIZE_TYPE})  # exactly: no charset behind it
            return PlainTextResponse(f"{refusal.text}\n", refusal.status)
        except sqlite3.Error as error:
            return _stuck(error)
        return PlainTextResponse(line)

    async def checkpoint(request: HttpRequest) -> Response:
        try:
            note = await asyncio.to_thread(witness.latest, request.path_params["name_hash"])
        except sqlite3.Error as error:
            return _stuck(error)
        if note is None:
            return PlainTextResponse("no checkpoint of such a log was cosigned here\n", 404)
        return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{name_hash}/checkpoint", checkpoint, methods=["GET"]),
        ]
    )


def _stuck(error: sqlite3.Error) -> Response:
    return PlainTextResponse(f"the witness can't use its memory: {error}\n", 503)
