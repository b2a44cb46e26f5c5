"""What it costs an outsider to verify a mirror of a million entries, beside the SHA-256 alone of the same bytes.

The folder is made here, as `headgate audit mirror` writes it, and witnessed; then the tool itself verifies it with
nothing but two keys (`--outsider`, 3 GB of disk, some minutes). All of it runs on one core, so it is measured in that
core's seconds: what else the machine does changes them little.
"""

from __future__ import annotations

import asyncio
import hashlib
import resource
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from bench.consumer import sample_event
from bench.figures import Figure, Report
from bench.lab import BenchError, Lab
from libs.client.commands.audit_tree import CHECKPOINT_FILE, ENTRIES_FILE
from libs.common.cloudevents import format_time
from libs.tlog.cosignatures import Cosigner
from libs.tlog.digests import entry_digest
from libs.tlog.merkle import leaf_hash, node_hash
from libs.tlog.notes import Checkpoint, Signer
from libs.tlog.tiles import ENTRIES, WIDTH, Growth, Tile, bundle, tiles_of
from services.audit.domain.chain import GENESIS, Link, extend
from services.audit.domain.content import VERSION, added_of, copies_of, derived

SIZE = 1_000_000
CHUNK = 10_000
ROUNDS = 3
READ_BYTES = 1024 * 1024
AIM = 20.0
LOG = Signer.from_seed("log.example/audit", bytes(range(32)))
WITNESS = Cosigner.from_seed("witness.example/w1", bytes(32))


async def run(lab: Lab, report: Report) -> None:
    """Make the folder, then hash and verify it in turns."""
    folder = lab.folder / "mirror"
    size_bytes = await asyncio.to_thread(_fill, folder, SIZE)
    verified, hashed, each = [], [], []
    for _ in range(ROUNDS):
        hashed.append(await asyncio.to_thread(_timed, lambda: _hash_files(folder)))
        each.append(await asyncio.to_thread(_timed, lambda: _hash_entries(folder)))
        verified.append(await _verify(folder))
    shutil.rmtree(folder)
    name, rounds = f"verify --folder, {SIZE:,} entries", tuple(verified)
    report.figures += [
        Figure("outsider", name, "s", rounds, "SHA-256 of the same files", tuple(hashed), AIM, lower_is_better=True),
        Figure("outsider", name, "s", rounds, "its hashes, one by one", tuple(each), lower_is_better=True),
    ]
    report.notes.append(f"outsider: {size_bytes / 1e9:.2f} GB; {SIZE / min(verified):,.0f} entries a second at best")


async def _verify(folder: Path) -> float:
    """Seconds of a core that the tool takes, from its start to its end."""
    keys = ("--key", LOG.verifier.text, "--witness-key", WITNESS.key.text, "--witness-max-age", "1d")
    command = [sys.executable, "-m", "libs.client.cli", "audit", "verify", "--folder", str(folder), *keys, "--json"]
    before = _children_s()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    took = _children_s() - before
    found = orjson.loads(said) if process.returncode == 0 else {}
    if not found.get("valid") or found["local"]["checked_count"] != SIZE or found["tree"]["witnessed_size"] != SIZE:
        raise BenchError(f"the mirror was not verified whole (exit code {process.returncode}): {said[:500]!r}")
    return took


def _children_s() -> float:
    """What the processes took that have ended; the servers of the bench have not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _timed(work: Callable[[], None]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


def _hash_files(folder: Path) -> None:
    """All files in one SHA-256 each, as whoever copies the folder might."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")


def _hash_entries(folder: Path) -> None:
    """Each line read and hashed in the pieces that chain and tree have: nothing is parsed, nothing compared."""
    link, digest, shown = bytes(116), bytes(32), 900  # about what an entry shows beside its payload
    with (folder / ENTRIES_FILE).open("rb", READ_BYTES) as file:
        for line in file:
            hashlib.sha256(line[shown:]).digest()
            hashlib.sha256(link).digest()
            hashlib.sha256(line[:shown]).digest()
            leaf_hash(digest)
            node_hash(digest, digest)


def _fill(folder: Path, size: int) -> int:
    """Write the mirror; how many bytes its entries have."""
    folder.mkdir(parents=True)
    grown, link, now = Growth(), Link(0, GENESIS), datetime(2026, 3, 1, tzinfo=UTC)
    with (folder / ENTRIES_FILE).open("wb", READ_BYTES) as file:
        while link.seq < size:
            now += timedelta(seconds=1)
            made = _entries(link, min(CHUNK, size - link.seq), now)
            for _, entry in made:
                file.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
            grown.add([entry_digest(entry) for _, entry in made])
            link = made[-1][0]
            for level, number, content in grown.finished:
                _write(folder, Tile(level, number), content)
            grown.finished.clear()
        size_bytes = file.tell()
    for one in tiles_of(size):
        if one.width < WIDTH:
            _write(folder, one, grown.edges[one.level - ENTRIES])
    point = Checkpoint(LOG.verifier.name, size, grown.root())
    (folder / CHECKPOINT_FILE).write_text(LOG.sign(point.text) + WITNESS.cosign(point.text, int(time.time())))
    return size_bytes


def _entries(start: Link, count: int, now: datetime) -> list[tuple[Link, dict[str, Any]]]:
    """The next entries as the list shows them, each with its link."""
    payloads = [sample_event("global", start.seq + place).encode() for place in range(count)]
    hashes, before, found = [hashlib.sha256(one).digest() for one in payloads], start, []
    for payload, hashed, link in zip(payloads, hashes, extend(start, hashes, now), strict=True):
        event = orjson.loads(payload)
        copies, added = copies_of(event, now), added_of(event)
        entry = {
            "seq": link.seq,
            **copies._asdict(),
            "time": format_time(copies.time),
            "recorded_at": format_time(now),
            "prev_hash": before.hash.hex(),
            "hash": link.hash.hex(),
            "payload_bytes": len(payload),
            "payload_sha256": hashed.hex(),
            "version": VERSION,
            **derived(copies.type, copies.actor)._asdict(),
            **added._asdict(),
            "payload": payload.decode(),
            "event": event,
            "erased_at": None,
        }
        found.append((link, entry))
        before = link
    return found


def _write(folder: Path, tile: Tile, content: bytes) -> None:
    path = folder / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bundle(content) if tile.level == ENTRIES else content)
