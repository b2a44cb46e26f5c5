"""Which keys have signed the log, and whether its newest checkpoint is one of theirs and of the tree that is stored."""

from __future__ import annotations

from typing import Any

from libs.common.contracts.audit.rollovers import name_after
from libs.common.problems import NotFound
from libs.tlog.notes import NoteProblem, Signer, Verifier, read_checkpoint
from services.audit import checkpoints, tree
from services.audit.domain.chain import Fault
from services.audit.guard import StillFilling

SELECT_KEYS = "SELECT verifier FROM log_key"


async def own_keys(connection: Any, signer: Signer | None) -> list[Verifier]:
    """Our own keys under the name that the log has now, also before they have signed for the first time."""
    if signer is None:
        return []
    return signer.named(name_after(signer.verifier.name, await checkpoints.rollover_count(connection))).verifiers


async def noted_keys(connection: Any, seq: int) -> tuple[list[Verifier], Fault | None]:
    """The keys that have signed, and what is wrong with the list, where one is none; ``seq`` is what is then named."""
    found: list[Verifier] = []
    for row in await connection.fetch(SELECT_KEYS):
        try:
            found += Verifier.read_known([row["verifier"]])
        except NoteProblem as error:
            text = row["verifier"][:60]
            return [], Fault(seq, f"the list of keys that have signed was altered: {text!r} is no key: {error}")
    return found, None


async def newest_fault(connection: Any, signer: Signer | None) -> tuple[int | None, str | None]:
    """The size of the newest checkpoint of the log's name of now (None: nothing was signed yet), and what does not fit.

    Reads as many tiles as the tree has levels: an altered tile below them is found by a verification of all. In a
    snapshot of the database. Raises `StillFilling` while it can't be told.
    """
    try:
        head = await tree.read_head(connection)
        signed = await checkpoints.newest(connection)
        if signed is None or signed.rollover != await checkpoints.rollover_count(connection):
            return None, None
        noted, altered = await noted_keys(connection, signed.size)
        if altered is not None:
            return signed.size, altered.problem
        try:
            said = read_checkpoint(signed.note, [*noted, *await own_keys(connection, signer)])
        except NoteProblem as error:
            return signed.size, f"the checkpoint over {signed.size} entries was changed: {error}"
        if (said.size, said.root) != (signed.size, signed.root):
            return signed.size, f"the checkpoint over {signed.size} entries was changed: its note says others"
        if head.seq < said.size:
            return said.size, f"entries are missing: {said.size} were signed, the log ends at {head.seq}"
        if head.tree_size < said.size:
            raise StillFilling(f"{said.size - head.tree_size} entries are not in the tree yet")
        if await tree.root_at(connection, said.size) != said.root:
            return said.size, f"the tree over the first {said.size} entries has another root than was signed"
    except LookupError as error:
        return None, str(error)
    except NotFound as error:
        return None, f"a tile of the tree is missing or was cut: {error.detail}"
    return signed.size, None
