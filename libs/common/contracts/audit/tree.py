"""The log as a tree: its state and keys, its tiles, and proofs that need no trust in the database."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, Event, Model, Open, Query, Time
from libs.common.problems import Invalid, NotFound

MAX_SEQ = 2**62


class LogState(Open):
    """``entry_count`` entries are stored, ``tree_size`` of them are in the tree; a checkpoint covers a whole tree only.

    ``state``: signed; behind (a checkpoint follows within seconds); unsigned (no key is set); filling (older entries
    are being taken into the tree); forked (the database was set back, see ``problem``); disarmed (NATS does not
    hold the last checkpoint any more, so whether it was set back can't be told); unknown (NATS can't be asked).
    ``checkpoint`` is the last signed note, ``verifier`` the key to check it by; ``published`` is the note under
    /audit/checkpoint: the last one, or one hardly older that witnesses have cosigned. ``fork``: what witnesses say who
    saw another history of this log.
    """

    state: Literal["signed", "behind", "unsigned", "filling", "forked", "disarmed", "unknown"]
    entry_count: int
    tree_size: int
    origin: str
    verifier: str | None
    checkpoint: str | None
    signed_at: Time | None
    problem: str | None
    published: str | None = None
    fork: str | None = None


class LogKey(Open):
    """A key as verifiers are handed on: name, id in hex and public key, joined by plus signs.

    ``algorithm``: Ed25519 or ML-DSA-44. ``first_size``: how many entries the log had when it first signed.
    """

    verifier: str
    algorithm: str
    first_used_at: Time
    first_size: int
    in_use: bool


class LogKeyAdded(Open):
    """A key signs from here on that never signed before. ``beside``: all those of the same algorithm that did.

    ``size``: how many entries its first checkpoint is over.
    """

    verifier: str
    algorithm: str
    size: int
    beside: list[str]


class TileKey(Model):
    path: str = Field(min_length=1, max_length=60, description="What follows /audit/tile/, such as 0/x001/067.p/12")


class TileContent(Open):
    """The bytes of a tile or bundle."""

    content_base64: str


class InclusionKey(Model):
    seq: int = Field(ge=1, le=MAX_SEQ, description="The entry")
    size: int | None = Field(None, ge=1, le=MAX_SEQ, description="Of which tree; the last checkpoint's if left away")


class ConsistencyKey(Model):
    from_size: int = Field(ge=0, le=MAX_SEQ, description="The size of the older tree")
    size: int | None = Field(None, ge=0, le=MAX_SEQ, description="Of the newer one; the last checkpoint's if left away")


class Inclusion(Open):
    """That the entry is in the tree (RFC 6962). ``leaf_index`` is ``seq`` - 1. Hashes are lower-case hex."""

    seq: int
    leaf_index: int
    size: int
    digest: str
    leaf_hash: str
    root_hash: str
    hashes: list[str]
    checkpoint: str | None


class Consistency(Open):
    """That the newer tree begins with the whole older one (RFC 6962). Hashes are lower-case hex."""

    from_size: int
    from_root_hash: str
    size: int
    root_hash: str
    hashes: list[str]
    checkpoint: str | None


get_log = Query(
    "audit.log.get",
    result=LogState,
    permission="audit:read",
    http=GET("/api/audit/log"),
    summary="How far the log is signed, and whether it may be appended to",
    sited=False,
)
list_log_keys = Query(
    "audit.log_keys.list",
    result=list[LogKey],
    permission="audit:read",
    http=GET("/api/audit/keys"),
    summary="The public keys that verify the log's checkpoints",
    sited=False,
)
get_tile = Query(
    "audit.tiles.get",
    params=TileKey,
    result=TileContent,
    permission="audit:read",
    errors=(NotFound, Invalid),
    summary="A tile of the log's tree",
    sited=False,
)
prove_inclusion = Query(
    "audit.proofs.inclusion",
    params=InclusionKey,
    result=Inclusion,
    permission="audit:read",
    http=GET("/api/audit/proofs/inclusion"),
    errors=(NotFound,),
    summary="Prove that an entry is in the tree",
    sited=False,
)
prove_consistency = Query(
    "audit.proofs.consistency",
    params=ConsistencyKey,
    result=Consistency,
    permission="audit:read",
    http=GET("/api/audit/proofs/consistency"),
    errors=(NotFound, Invalid),
    summary="Prove that a tree goes on from an older one",
    sited=False,
)
log_key_added = Event(
    "audit.log_key.added", data=LogKeyAdded, summary="Another key than before signs the audit log's checkpoints"
)
