"""What a witness is asked and how it judges (C2SP tlog-witness, ``add-checkpoint``). Pure: state and time come in."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from libs.tlog.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, consistent
from libs.tlog.notes import MAX_NOTE_BYTES, Checkpoint, Note, NoteProblem, Verifier, read_note, require_each_kind

MAX_PROOF_LINES = 63
MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 64 * (MAX_PROOF_LINES + 1)
SIZE_TYPE = "text/x.tlog.size"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class Refused(Exception):
    """A witness's refusal: the HTTP status, and the text that says why.

    ``contradicts``: the log signed something that does not go on from what was cosigned before.
    """

    def __init__(self, status: int, text: str, *, contradicts: bool = False) -> None:
        super().__init__(text)
        self.status, self.text, self.contradicts = status, text, contradicts


@dataclass(frozen=True, slots=True)
class Seen:
    """The largest checkpoint of a log that a witness has cosigned; a witness that has seen none starts with this."""

    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Request:
    """A checkpoint to cosign, and the proof that it goes on from the one of size ``old``."""

    old: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint

    @classmethod
    def read(cls, body: bytes) -> Request:
        """A request's body. Raises `Refused` (400) for what is none."""
        try:
            head, gap, note = body.decode().partition("\n\n")
            first, *lines = head.split("\n")
            old = _OLD.fullmatch(first)
            if not gap or old is None or int(old[1]) > MAX_SIZE or len(lines) > MAX_PROOF_LINES:
                raise NoteProblem(
                    "a request reads: old <size>, at most 63 hashes in base64, an empty line, a checkpoint"
                )
            opened = read_note(note)
            return cls(int(old[1]), tuple(map(_hash, lines)), opened, Checkpoint.read(opened.text))
        except UnicodeDecodeError:
            raise Refused(400, "a request is text in UTF-8") from None
        except NoteProblem as error:
            raise Refused(400, str(error)) from None


def write_request(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """The body of a request to a witness."""
    lines = [f"old {old}", *(base64.b64encode(one).decode() for one in proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def read_size(text: bytes) -> int:
    """The size in the answer of a witness that has seen another checkpoint (409). Raises ValueError."""
    said = text.decode("ascii", "replace").removesuffix("\n")
    if not re.fullmatch("0|[1-9][0-9]{0,18}", said) or int(said) > MAX_SIZE:
        raise ValueError("the witness does not say how many entries it saw")
    return int(said)


def _hash(line: str) -> bytes:
    try:
        found = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != HASH_BYTES:
        raise NoteProblem("a line of a proof is a hash of 32 bytes in base64")
    return found


def require_signed(asked: Request, logs: Sequence[Verifier]) -> list[Verifier]:
    """The keys of ``logs`` that signed the checkpoint. Raises `Refused`: 404 for a log that nobody named, 403 unless
    one of its keys signed (of each kind that is known of it), and for a signature of one of them that does not fit.
    """
    keys = [one for one in logs if one.name == asked.checkpoint.origin]
    if not keys:
        raise Refused(404, f"this witness does not watch {asked.checkpoint.origin[:200]}")
    try:
        signers = asked.note.signers(keys)
        if signers:
            require_each_kind(signers, keys)
    except NoteProblem as error:
        raise Refused(403, str(error)) from None
    if not signers:
        raise Refused(403, f"no key that is known of {asked.checkpoint.origin[:200]} has signed this checkpoint")
    return signers


def require_consistent(asked: Request, seen: Seen) -> None:
    """Return if the checkpoint goes on from what was seen. Raises `Refused`: 400, 409 with the size seen, or 422."""
    point = asked.checkpoint
    if asked.old > point.size:
        raise Refused(400, f"the old size is {asked.old}, that of the checkpoint only {point.size}")
    if asked.old != seen.size:
        raise Refused(409, f"{seen.size}\n")
    if point.size == 0 and point.root != EMPTY_ROOT:
        raise Refused(422, "an empty log has another root", contradicts=True)
    if point.size == seen.size and point.root != seen.root:
        raise Refused(422, f"another root was cosigned at size {seen.size}", contradicts=True)
    if not consistent(seen.size, seen.root, point.size, point.root, asked.proof):
        raise Refused(
            422, f"the proof does not show that size {point.size} goes on from size {seen.size}", contradicts=True
        )
