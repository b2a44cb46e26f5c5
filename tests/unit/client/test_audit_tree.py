"""A mirror of the log, checked without a server: what holds, and each way of tampering with its own words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from libs.tlog.digests import entry_digest
from libs.tlog.notes import Checkpoint, Signer
from libs.tlog.tiles import ENTRIES, Growth, bundle, tiles_of
from tests.unit.client.conftest import Tool
from tests.unit.client.samples import entries

COUNT = 300
LOG = Signer.from_seed("log.example/audit", hashlib.sha256(b"log").digest())
OTHER = Signer.from_seed("log.example/audit", hashlib.sha256(b"other").digest())
Entries = list[dict[str, Any]]


def write(folder: Path, chain: Entries, signer: Signer = LOG) -> None:
    """A mirror as `audit mirror` writes it."""
    grown = Growth()
    grown.add([entry_digest(entry) for entry in chain])
    held = {(level, number): content for level, number, content in grown.finished}
    for one in tiles_of(len(chain)):
        content = held.get((one.level, one.number)) or grown.edges[one.level - ENTRIES]
        path = folder / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bundle(content) if one.level == ENTRIES else content)
    write_entries(folder, chain)
    point = Checkpoint(signer.verifier.name, len(chain), grown.root())
    (folder / "checkpoint").write_text(signer.sign(point.text))
    (folder / "keys").write_text(signer.verifier.text + "\n")


def rewritten(count: int, seq: int) -> Entries:
    """A chain that fits, with other events from ``seq`` on."""

    def payload(event: dict[str, Any]) -> str:
        return json.dumps(event if int(event["subject"]) < seq else event | {"data": "forged"})

    return entries(count, payload)


def write_entries(folder: Path, chain: Entries) -> None:
    (folder / "entries.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in chain))


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    write(folder, entries(COUNT))
    return folder


def verify(tool: Tool, folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    result = tool("audit", "verify", "--folder", str(folder), "--json", *more)
    return result.exit_code, json.loads(result.stdout)


def test_a_mirror_holds_with_nothing_but_a_key(tool: Tool, mirror: Path) -> None:
    code, answer = verify(tool, mirror, "--key", LOG.verifier.text)
    assert (code, answer["valid"], answer["tree"]["state"], answer["tree"]["trusted"]) == (0, True, "signed", True)
    assert (answer["tree"]["size"], answer["tree"]["tile_count"], answer["local"]["checked_count"]) == (300, 5, 300)
    shown = tool("audit", "verify", "--folder", str(mirror))
    assert "The signed tree holds: 300 entries, as log.example/audit signed." in shown.stdout
    assert "The key was taken from what is checked" in shown.stdout
    assert shown.exit_code == 0


def altered_tile(folder: Path) -> None:
    path = folder / "tile/0/000"
    content = bytearray(path.read_bytes())
    content[32 * 7] ^= 1
    path.write_bytes(bytes(content))


def altered_bundle(folder: Path) -> None:
    path = folder / "tile/entries/001.p/44"
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(bytes(content))


def altered_entry(folder: Path) -> None:
    chain = entries(COUNT)
    chain[41]["actor"] = "mallory"
    write_entries(folder, chain)


def rewritten_chain(folder: Path) -> None:
    """From entry 42 on others, with a chain that fits."""
    write_entries(folder, rewritten(COUNT, 42))


def newest_removed(folder: Path) -> None:
    write_entries(folder, entries(COUNT)[:-1])


def pair_reordered(folder: Path) -> None:
    chain = entries(COUNT)
    chain[99], chain[100] = chain[100], chain[99]
    write_entries(folder, chain)


def altered_size(folder: Path) -> None:
    path = folder / "checkpoint"
    path.write_text(path.read_text().replace("\n300\n", "\n299\n"))


def wrong_key(folder: Path) -> None:
    write(folder, entries(COUNT), OTHER)


def tile_missing(folder: Path) -> None:
    (folder / "tile/1/000.p/1").unlink()


TAMPERING: list[tuple[Callable[[Path], None], int | None, str]] = [
    (altered_tile, None, "tile/0/000 was altered: its hash 7 is not what the signed entries give"),
    (altered_bundle, None, "tile/entries/001.p/44 was altered: its hash 0 is not what the signed entries give"),
    (altered_entry, 42, "entry 42 was changed: its actor is not what its event says"),
    (rewritten_chain, 42, "entry 42 is another one than was signed: its digest is not that of the tree"),
    (newest_removed, 300, "entries are missing: 300 were signed, 1 of them are not there"),
    (pair_reordered, 100, "entries 100 and 101 have changed places"),
    (altered_size, None, "the signature of log.example/audit does not fit the text: it was altered"),
    (wrong_key, None, "the checkpoint is not signed by a key that you trust: it is of another key, or forged"),
    (tile_missing, None, "tile/1/000.p/1 is missing"),
]


@pytest.mark.parametrize(("tamper", "seq", "says"), TAMPERING, ids=lambda value: getattr(value, "__name__", ""))
def test_each_way_of_tampering_has_its_own_words(
    tool: Tool, mirror: Path, tamper: Callable[[Path], None], seq: int | None, says: str
) -> None:
    tamper(mirror)
    code, answer = verify(tool, mirror, "--key", LOG.verifier.text)
    problem = answer["local"]["problem"] or answer["tree"]["problem"]
    bad = answer["local"]["first_bad_seq"] or answer["tree"]["first_bad_seq"]
    assert (code, answer["valid"], problem, bad) == (1, False, says, seq)
    assert len({words for _, _, words in TAMPERING}) == len(TAMPERING)


def test_the_log_must_go_on_from_what_was_kept(tool: Tool, mirror: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for chain, code, says in (
        (entries(200), 0, None),
        (rewritten(200, 150), 1, "the first 200 entries are others than were signed before"),
    ):
        write(kept, chain)
        found, answer = verify(tool, mirror, "--key", LOG.verifier.text, "--checkpoint", str(kept / "checkpoint"))
        assert found == code
        assert (says is None) == (answer["tree"]["problem"] is None)
        assert says is None or says in answer["tree"]["problem"]


def test_a_mirror_of_before_the_kept_checkpoint_is_no_log_that_was_cut(
    tool: Tool, mirror: Path, tmp_path: Path
) -> None:
    """It proves nothing either: who cut the log, too, would hand out such a folder."""
    kept = tmp_path / "kept"
    write(kept, entries(301))
    asked = ("--key", LOG.verifier.text, "--checkpoint", str(kept / "checkpoint"))
    code, answer = verify(tool, mirror, *asked)
    assert (code, answer["valid"], answer["tree"]["problem"], answer["tree"]["beyond_size"]) == (2, False, None, 301)
    shown = " ".join(tool("audit", "verify", "--folder", str(mirror), *asked).stdout.split())
    assert "The folder holds the first 300 entries, your checkpoint is over 301: it was mirrored earlier, or" in shown
    assert "headgate audit mirror FOLDER" in shown
    altered_entry(mirror)
    assert verify(tool, mirror, *asked)[0] == 1
    write(mirror, entries(301))
    code, answer = verify(tool, mirror, *asked)
    assert (code, answer["valid"], answer["tree"]["beyond_size"]) == (0, True, None)


def test_what_is_no_mirror_or_key(tool: Tool, mirror: Path, tmp_path: Path) -> None:
    for arguments, says in (
        (["--folder", str(tmp_path / "no")], "is no mirror"),
        (["--folder", str(mirror), "--key", "a+b+c"], "a log's key reads"),
        (["--folder", str(mirror), "--key", str(tmp_path / "no")], "can't be read"),
        (["--folder", str(mirror), "--checkpoint", str(mirror / "keys")], "is no checkpoint"),
    ):
        result = tool("audit", "verify", *arguments)
        assert (result.exit_code, says in result.stderr) == (2, True), result.stderr
