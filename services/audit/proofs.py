"""Answers about the tree: its state and keys, tiles, and proofs of inclusion and consistency."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson

from libs.common.bus import NATS_ERRORS
from libs.common.contracts.audit import entries as entries_contract
from libs.common.contracts.audit import tree as contract
from libs.common.contracts.audit.entries import EntryKey
from libs.common.contracts.audit.rollovers import name_after
from libs.common.contracts.audit.tree import (
    Consistency,
    ConsistencyKey,
    Inclusion,
    InclusionKey,
    LogKey,
    LogState,
    TileContent,
    TileKey,
)
from libs.common.contracts.base import Nothing
from libs.common.problems import Invalid, NotFound
from libs.common.service import Read, Table
from libs.tlog.merkle import HASH_BYTES, consistency_parts, inclusion_parts, leaf_hash
from libs.tlog.notes import NoteProblem, Signer, Verifier
from libs.tlog.tiles import ENTRIES, WIDTH, BadPath, Tile, bundle, tiles_below
from services.audit import checkpoints, entries, tree, witnesses
from services.audit.clients import with_clients
from services.audit.guard import StillFilling, look
from services.audit.outside import Outside
from services.audit.witnesses import WitnessAt

SELECT_KEYS = "SELECT verifier, first_used_at, first_size FROM log_key ORDER BY first_used_at, verifier"
NOT_SIGNED = (
    "This log has no checkpoint: no key is set, or older entries are still being taken into its tree. "
    "GET /api/audit/log says which."
)


async def get_log(
    signer: Signer | None, outside: Outside, asked: Sequence[WitnessAt], read: Read, _params: Nothing
) -> LogState:
    """How far the log is signed, compared with what is kept outside the database."""
    async with read.pool.acquire() as connection:
        head = await tree.read_head(connection)
        signed = await checkpoints.newest(connection)
        origin = await _name(connection, signer)
        published = await witnesses.published(connection, signed) if signed else None
        fork = await witnesses.forks(connection, asked)
        problem, unknown, disarmed = None, False, False
        try:
            kept, problem = await look(connection, head, outside)
            disarmed = problem is not None and not kept.note
        except StillFilling:
            pass
        except NATS_ERRORS as error:
            problem, unknown = f"NATS can't be asked for the last checkpoint: {error!r}.", True
    states: tuple[tuple[bool, Any], ...] = (
        (unknown, "unknown"),
        (disarmed, "disarmed"),
        (problem is not None, "forked"),
        (head.tree_size < head.seq, "filling"),
        (signer is None, "unsigned"),
        (signed is None or signed.size < head.seq, "behind"),
        (True, "signed"),
    )
    return LogState(
        state=next(state for holds, state in states if holds),
        entry_count=head.seq,
        tree_size=head.tree_size,
        origin=origin,
        verifier=signed.verifier if signed else None,
        checkpoint=signed.note if signed else None,
        signed_at=signed.signed_at if signed else None,
        problem=problem,
        published=published,
        fork=fork,
    )


async def _name(connection: Any, signer: Signer | None) -> str:
    return name_after(signer.verifier.name, await checkpoints.rollover_count(connection)) if signer else ""


async def list_log_keys(signer: Signer | None, read: Read, _params: Nothing) -> list[LogKey]:
    """All keys that have signed, the first one first."""
    async with read.pool.acquire() as connection:
        rows = await connection.fetch(SELECT_KEYS)
        name = await _name(connection, signer)
    mine = {one.text for one in signer.named(name).verifiers} if signer else set()
    return [LogKey(**row, algorithm=_algorithm(row["verifier"]), in_use=row["verifier"] in mine) for row in rows]


def _algorithm(verifier: str) -> str:
    try:
        return Verifier.read(verifier).algorithm
    except NoteProblem:
        return "unknown"  # of a newer version that was here before


async def get_tile(read: Read, wanted: TileKey) -> TileContent:
    """A tile or bundle as tlog-tiles has it. Raises `NotFound` beyond the last checkpoint, `Invalid` for no path.

    A partial tile is the beginning of the whole one, so it is handed out as long as there is a tree.
    """
    try:
        place = Tile.read(wanted.path)
    except BadPath as error:
        raise Invalid(str(error)) from None
    async with read.pool.acquire() as connection:
        signed = await checkpoints.newest(connection)
        if signed is None:
            raise NotFound(NOT_SIGNED)
        if not place.in_tree(signed.size):
            raise NotFound(f"The last checkpoint is of size {signed.size}; its tree has no {place.path}.")
        content = await tree.tile(connection, place.level, place.number)
    if content is None or len(content) < place.width * 32:
        raise NotFound(f"{place.path} is not in this database; the log was set back or altered.")
    cut = content[: place.width * 32]
    return TileContent(content_base64=base64.b64encode(bundle(cut) if place.level == ENTRIES else cut).decode())


async def prove_inclusion(read: Read, wanted: InclusionKey) -> Inclusion:
    """The proof that an entry is in a tree. Raises `NotFound` if that tree, or the entry in it, is not there."""
    async with read.pool.acquire() as connection:
        signed = await checkpoints.newest(connection)
        return await _inclusion(connection, wanted.seq, await _size(connection, wanted.size, signed), signed)


async def _size(connection: Any, asked: int | None, signed: checkpoints.Signed | None) -> int:
    if asked is None:
        if signed is None:
            raise NotFound(NOT_SIGNED)
        return signed.size
    if asked > (size := await tree.size_of(connection)):
        raise NotFound(f"The tree has {size} entries, not {asked}.")
    return asked


async def _inclusion(connection: Any, seq: int, size: int, signed: checkpoints.Signed | None) -> Inclusion:
    if seq > size:
        raise NotFound(f"Entry {seq} is not in the tree of size {size}; a checkpoint follows within seconds.")
    parts, bundled = [(0, size), *inclusion_parts(seq - 1, size)], (ENTRIES, (seq - 1) // WIDTH)
    held = await tree.tiles(connection, {*tiles_below(parts), bundled})
    root, *found = tree.hashes_in(held, parts)
    at = (seq - 1) % WIDTH * HASH_BYTES
    digest = held[bundled][at : at + HASH_BYTES]
    return Inclusion(
        seq=seq,
        leaf_index=seq - 1,
        size=size,
        digest=digest.hex(),
        leaf_hash=leaf_hash(digest).hex(),
        root_hash=root.hex(),
        hashes=[one.hex() for one in found],
        checkpoint=signed.note if signed and signed.size == size else None,
    )


async def prove_consistency(read: Read, wanted: ConsistencyKey) -> Consistency:
    """The proof that a tree goes on from an older one. Raises `NotFound` if it is not as large, `Invalid` if the sizes
    are the wrong way round.
    """
    async with read.pool.acquire() as connection:
        signed = await checkpoints.newest(connection)
        size = await _size(connection, wanted.size, signed)
        if wanted.from_size > size:
            raise Invalid(f"from_size is {wanted.from_size}, but the newer tree has {size} entries.")
        parts = consistency_parts(wanted.from_size, size)
        old, new, *found = await tree.hashes(connection, [(0, wanted.from_size), (0, size), *parts])
    return Consistency(
        from_size=wanted.from_size,
        from_root_hash=old.hex(),
        size=size,
        root_hash=new.hex(),
        hashes=[one.hex() for one in found],
        checkpoint=signed.note if signed and signed.size == size else None,
    )


async def get_entry(read: Read, wanted: EntryKey) -> bytes:
    """An entry with its proof, as JSON. Raises `NotFound`, also for one of a site that the asker may not see."""
    page = orjson.loads(await entries.list_entries(read, entries.just(wanted.seq)))
    if not page["items"] or page["items"][0]["seq"] != wanted.seq:
        raise NotFound(f"There is no entry {wanted.seq} in your sites; GET /api/audit/entries lists them.")
    async with read.pool.acquire() as connection:
        signed = await checkpoints.newest(connection)
        proof = None
        if signed is not None and signed.size >= wanted.seq:
            proof = (await _inclusion(connection, wanted.seq, signed.size, signed)).model_dump(mode="json")
    entry = page["items"][0]
    command = await entries.cause_of(read, entry)
    (seen,) = await with_clients(read, [command or entry])
    client = {"address": seen["client_address"], "agent": seen["client_agent"]}
    answer = {"entry": entry, "proof": proof, "command": command, "client": client if any(client.values()) else None}
    return orjson.dumps(answer)


def table(signer: Signer | None, outside: Outside, asked: Sequence[WitnessAt]) -> Table:
    """What this module answers."""
    return Table(
        queries={
            contract.get_log: partial(get_log, signer, outside, asked),
            contract.list_log_keys: partial(list_log_keys, signer),
            contract.get_tile: get_tile,
            contract.prove_inclusion: prove_inclusion,
            contract.prove_consistency: prove_consistency,
            entries_contract.get_entry: get_entry,
        },
        workers=(partial(checkpoints.Keeper, signer, outside),),
    )
