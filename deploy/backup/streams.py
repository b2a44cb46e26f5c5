"""JetStream's own copies of streams: SNAPSHOT and RESTORE (NATS ADR-7), with acknowledged pieces and bounded memory.

A copy holds the stream's messages, its configuration and its durables with what each has acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import nats
import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from deploy.backup.manifest import BackupError
from libs.common.bus import NATS_ERRORS, servers_of

CHUNK_BYTES = 512 * 1024
# A piece each: the server sends no more than so much before we acknowledge, and we no more before it does.
WINDOW_BYTES = 8 * 1024 * 1024
WINDOW = WINDOW_BYTES // CHUNK_BYTES
WAIT_S, CONNECT_S = 60.0, 10.0
_EOF, _NOT_FOUND = "204", 10059


@dataclass(frozen=True)
class State:
    """A stream as the server told when the copy began, or when it was made again."""

    messages: int
    stored_bytes: int
    first_seq: int
    last_seq: int
    consumers: int
    config: dict[str, Any]

    @classmethod
    def of(cls, answer: dict[str, Any]) -> State:
        """From a server's answer."""
        state = answer["state"]
        return cls(
            int(state["messages"]),
            int(state["bytes"]),
            int(state["first_seq"]),
            int(state["last_seq"]),
            int(state.get("consumer_count", 0)),
            answer["config"],
        )


async def connect(url: str) -> Client:
    """A connection for copies. Raises `BackupError`."""
    try:
        # Unbounded, the client would try to reach a server that is not there for two minutes.
        async with asyncio.timeout(CONNECT_S):
            return await nats.connect(
                servers_of(url), name="headgate-backup", connect_timeout=5, allow_reconnect=False, error_cb=_quiet
            )
    except NATS_ERRORS as error:
        raise BackupError(f"NATS can't be reached: {error!r}.") from error


async def _quiet(_: Exception) -> None:
    """Whoever waits for an answer is told by its absence."""


def clustered(client: Client) -> bool:
    """Whether its server is one of a cluster; where there is but one, it refuses replicas, after it has read all."""
    return bool(client._server_info.get("cluster"))  # INFO: what the server said of itself


async def take(client: Client, stream: str, write: Callable[[bytes], None]) -> State | None:
    """Hand a stream's copy to ``write``, in pieces; None if there is no such stream. Raises `BackupError`."""
    inbox = client.new_inbox()
    pieces = await client.subscribe(inbox, pending_bytes_limit=4 * WINDOW_BYTES)
    try:
        wanted = {"deliver_subject": inbox, "chunk_size": CHUNK_BYTES, "window_size": WINDOW_BYTES, "jsck": True}
        answer = await _ask(client, f"$JS.API.STREAM.SNAPSHOT.{stream}", wanted)
        if (problem := answer.get("error")) is not None:
            if problem.get("err_code") == _NOT_FOUND:
                return None
            raise BackupError(f"The stream {stream} can't be copied: {_said(problem)}")
        while True:
            piece = await _next(pieces, stream)
            if not piece.data:
                status = (piece.headers or {}).get("Status", _EOF)
                if status != _EOF:
                    why = (piece.headers or {}).get("Description", status)
                    raise BackupError(f"The copy of the stream {stream} broke off: {why}.")
                return State.of(answer)
            write(piece.data)
            if piece.reply:
                await client.publish(piece.reply, b"")
    except NATS_ERRORS as error:
        raise BackupError(f"The copy of the stream {stream} broke off: {error!r}.") from error
    finally:
        await _leave(pieces)


async def put(client: Client, stream: str, config: dict[str, Any], pieces: Iterator[bytes]) -> State:
    """Make a stream again from its copy; there must be none of this name. Raises `BackupError`, also of ``pieces``."""
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    try:
        answer = await _ask(client, f"$JS.API.STREAM.RESTORE.{stream}", {"config": config, "state": {}})
        if (problem := answer.get("error")) is not None:
            raise BackupError(f"The stream {stream} can't be restored: {_said(problem)}")
        subject, open_pieces = str(answer["deliver_subject"]), 0
        for piece in _cut(pieces):
            await client.publish(subject, piece, reply=inbox)
            open_pieces += 1
            while open_pieces >= WINDOW:
                _refusal(await _next(answers, stream), stream)
                open_pieces -= 1
        for _ in range(open_pieces):
            _refusal(await _next(answers, stream), stream)
        await client.publish(subject, b"", reply=inbox)
        made = orjson.loads((await _next(answers, stream)).data)
        if (problem := made.get("error")) is not None:
            raise BackupError(f"The stream {stream} can't be restored: {_said(problem)}")
        return State.of(made)
    except NATS_ERRORS as error:
        raise BackupError(f"Restoring the stream {stream} broke off: {error!r}.") from error
    finally:
        await _leave(answers)


async def delete(client: Client, stream: str) -> None:
    """Delete a stream if it is there. Raises `BackupError`."""
    try:
        answer = await _ask(client, f"$JS.API.STREAM.DELETE.{stream}", {})
    except NATS_ERRORS as error:
        raise BackupError(f"The stream {stream} can't be deleted: {error!r}.") from error
    if (problem := answer.get("error")) is not None and problem.get("err_code") != _NOT_FOUND:
        raise BackupError(f"The stream {stream} can't be deleted: {_said(problem)}")


async def state(client: Client, stream: str) -> State | None:
    """A stream as it is now, None if there is none. Raises `BackupError`."""
    answer = await _info(client, stream)
    return State.of(answer) if answer else None


async def made_at(client: Client, stream: str) -> str | None:
    """When a stream was made, to the nanosecond; None if there is none. Raises `BackupError`."""
    answer = await _info(client, stream)
    return str(answer["created"]) if answer else None


async def _info(client: Client, stream: str) -> dict[str, Any] | None:
    try:
        answer = await _ask(client, f"$JS.API.STREAM.INFO.{stream}", {})
    except NATS_ERRORS as error:
        raise BackupError(f"The stream {stream} can't be looked at: {error!r}.") from error
    if (problem := answer.get("error")) is not None:
        if problem.get("err_code") == _NOT_FOUND:
            return None
        raise BackupError(f"The stream {stream} can't be looked at: {_said(problem)}")
    return answer


def _cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), CHUNK_BYTES):
            yield piece[start : start + CHUNK_BYTES]


def _refusal(answer: Msg, stream: str) -> None:
    """An acknowledgement is empty; what is not says that the server gave up."""
    if answer.data and (problem := orjson.loads(answer.data).get("error")) is not None:
        raise BackupError(f"The stream {stream} can't be restored: {_said(problem)}")


async def _ask(client: Client, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = orjson.loads((await client.request(subject, orjson.dumps(body), timeout=WAIT_S)).data)
    return answer


async def _next(subscription: Any, stream: str) -> Msg:
    try:
        message: Msg = await subscription.next_msg(timeout=WAIT_S)
    except (nats.errors.TimeoutError, TimeoutError) as error:
        raise BackupError(f"The server said nothing more about the stream {stream} for {WAIT_S:.0f} s.") from error
    return message


async def _leave(subscription: Any) -> None:
    try:
        await subscription.unsubscribe()
    except NATS_ERRORS:
        return  # the connection is gone, and with it the subscription


def _said(problem: dict[str, Any]) -> str:
    return f"{problem.get('description', 'no reason given')} ({problem.get('err_code', '?')})."
