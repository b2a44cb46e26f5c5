"""Whether an archive may be believed to hold what is about to be removed: its row proves nothing, since the login that
writes it may write any.

Three things must fit: an entry of the log, which is itself the one in the tree, says that this very archive was made;
the file in the store is the one that it names; and a key of the log has signed the file's manifest.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from libs.common.bus import NATS_ERRORS
from libs.common.contracts.audit.archives import archive_made
from libs.common.contracts.audit.tree import log_key_added
from libs.common.objects import Bucket, ObjectGone
from libs.common.service import Connection
from libs.tlog.archive_check import ArchiveProblem, check_manifest
from libs.tlog.notes import NoteProblem, Signer, Verifier
from services.audit.archives.scratch import NoScratch, fetched, local
from services.audit.covers import told_by_log

SOURCE = "/headgate/audit"
STAYS = "its entries keep their bodies"


class Archived(NamedTuple):
    """A frozen archive as its row has it."""

    month: str
    sha256: str
    manifest_sha256: str
    verifier: str
    first_seq: int
    last_seq: int


async def doubt(connection: Connection, bucket: Bucket, signer: Signer | None, archive: Archived) -> str | None:
    """Why nothing that it holds may be removed, as a sentence; None: it is believed."""
    if not await _made(connection, archive):
        return f"No entry of the log says that the archive of {archive.month} was made as its row says: {STAYS}."
    try:
        verifier = Verifier.read(archive.verifier)
    except NoteProblem as error:
        return f"The key of the archive of {archive.month} can't be read ({error}): {STAYS}."
    if verifier.public_key not in await _public_keys(connection, signer):
        return (
            f"The archive of {archive.month} is signed by a key that is neither this service's nor named by an entry "
            f"audit.log_key.added: {STAYS}."
        )
    try:
        async with fetched(bucket, archive.sha256) as file:
            manifest, digest = await asyncio.to_thread(local, check_manifest, file, [verifier])
    except ObjectGone:
        return f"The archive of {archive.month} is not in the store, or was altered: {STAYS}."
    except NoScratch as error:
        return f"The archive of {archive.month} was not read, and {STAYS}. {error}"
    except NATS_ERRORS as error:
        return f"The store of archives can't be read: {error!r}."
    except ArchiveProblem as error:
        return f"The archive of {archive.month} does not hold ({error}): {STAYS}."
    said = manifest.get("month"), digest, manifest.get("first_seq"), manifest.get("last_seq")
    if said != (archive.month, archive.manifest_sha256, archive.first_seq, archive.last_seq):
        return f"The file of the archive of {archive.month} is the archive of something else: {STAYS}."
    return None


async def _made(connection: Connection, archive: Archived) -> bool:
    wanted: dict[str, Any] = {"state": "frozen", **archive._asdict()}
    async for seq, _, document in told_by_log(connection, archive_made.type):
        data = document.get("data")
        if document.get("source") != SOURCE or not isinstance(data, dict) or seq <= archive.last_seq:
            continue
        if all(data.get(name) == value for name, value in wanted.items()):
            return True
    return False


async def _public_keys(connection: Connection, signer: Signer | None) -> set[bytes]:
    """Our own key, and those that the log itself names: not the table of keys, into which the login may insert."""
    found = {signer.verifier.public_key} if signer else set()
    async for _, _, document in told_by_log(connection, log_key_added.type):
        data = document.get("data")
        if document.get("source") == SOURCE and isinstance(data, dict):
            texts = [data.get("verifier"), *(data.get("beside") or ())]
            found |= {one.public_key for one in Verifier.read_known(one for one in texts if isinstance(one, str))}
    return found
