"""Hands out receipts: an entry, the proof that it is in the tree, and the checkpoint of it, in one file."""

from __future__ import annotations

import orjson

from libs.common.contracts.audit import receipts as contract
from libs.common.contracts.audit.entries import EntryKey
from libs.common.contracts.audit.receipts import EventKey
from libs.common.contracts.blobs import Blob
from libs.common.problems import NotFound
from libs.common.service import Read, Table
from libs.tlog.merkle import inclusion_parts
from libs.tlog.notes import Checkpoint, read_note
from libs.tlog.receipts import Receipt
from services.audit import checkpoints, entries, tree, witnesses

MAX_PAYLOAD_BYTES = 256 * 1024  # a larger event is stood for by its hash, as everywhere
MEDIA_TYPE = "text/plain; charset=utf-8"
SELECT_SEQ = "SELECT seq FROM entry WHERE event_id = $1"
NOT_YET = (
    "No checkpoint covers entry {seq} yet; one follows within seconds. GET /api/audit/log says if the log is signed."
)


async def get_receipt(read: Read, wanted: EntryKey) -> Blob:
    """The receipt of an entry. Raises `NotFound`, also for one of a site that the asker may not see."""
    page = orjson.loads(await entries.list_entries(read, entries.just(wanted.seq)))
    if not page["items"] or page["items"][0]["seq"] != wanted.seq:
        raise NotFound(f"There is no entry {wanted.seq} in your sites; GET /api/audit/entries lists them.")
    entry = page["items"][0]
    del entry["event"]
    if len(entry["payload"] or "") > MAX_PAYLOAD_BYTES:
        entry["payload"] = None
    async with read.pool.acquire() as connection:
        signed = await checkpoints.newest(connection)
        if signed is None or signed.size < wanted.seq:
            raise NotFound(NOT_YET.format(seq=wanted.seq))
        note = await witnesses.published(connection, signed)
        size = Checkpoint.read(read_note(note).text).size
        if size < wanted.seq:  # the entry is younger than what witnesses have seen
            note, size = signed.note, signed.size
        hashes = await tree.hashes(connection, inclusion_parts(wanted.seq - 1, size))
    extra = orjson.dumps({name: value for name, value in entry.items() if value is not None})
    text = Receipt(wanted.seq - 1, tuple(hashes), note, extra).text
    return Blob.of(text.encode(), media_type=MEDIA_TYPE, filename=f"entry-{wanted.seq}.tlog-proof")


async def find_receipt(read: Read, wanted: EventKey) -> Blob:
    """The receipt of the entry of an event. Raises `NotFound`, as `get_receipt`."""
    seq = await read.pool.fetchval(SELECT_SEQ, wanted.event_id)
    if seq is None:
        raise NotFound(f"No entry holds the event {wanted.event_id} (yet); events reach the log within seconds.")
    try:
        return await get_receipt(read, EntryKey(seq=seq))
    except NotFound as error:
        if "in your sites" in error.detail:  # which number it has is nothing that this asker may know
            raise NotFound(
                f"No entry holds the event {wanted.event_id} (yet); events reach the log within seconds."
            ) from None
        raise


TABLE = Table(queries={contract.get_receipt: get_receipt, contract.find_receipt: find_receipt})
