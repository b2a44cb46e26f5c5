"""`audit mirror` beside what its folder holds: which note it writes, and each contradiction with its own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from libs.tlog.digests import entry_digest
from libs.tlog.merkle import consistency_parts, hashes_of, leaf_hash, whole_root
from libs.tlog.tiles import ENTRIES, Growth, bundle, tiles_of
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import Asked, FakeGateway, Says
from tests.unit.client.samples import entries, unsigned_log
from tests.unit.client.test_audit_tree import LOG, OTHER, rewritten, verify, write
from tests.unit.client.test_audit_witnessed import W1, cosigned, log_of, point_of, wanted

Chain = list[dict[str, Any]]


def serve(gateway: FakeGateway, chain: Chain, published: str | None = None, **state: Any) -> None:
    """A server of this log, with its tiles and proofs."""
    log_of(gateway, chain, published, **state)
    gateway.on("GET /api/audit/entries", lambda asked: _page(chain, asked))
    digests = [entry_digest(entry) for entry in chain]
    leaves = [leaf_hash(one) for one in digests]

    def proof(asked: Asked) -> Says:
        old, new = (int(asked.query[name][0]) for name in ("from_size", "size"))
        made = hashes_of(
            consistency_parts(old, new), lambda node: whole_root(leaves[node[1] << node[0] :][: 1 << node[0]])
        )
        return Says(
            {"from_size": old, "from_root_hash": "", "size": new, "root_hash": "", "checkpoint": None}
            | {"hashes": [one.hex() for one in made]}
        )

    gateway.on("GET /api/audit/proofs/consistency", proof)
    for size in range(1, len(chain) + 1):
        grown = Growth()
        grown.add(digests[:size])
        for one in tiles_of(size):
            content = grown.edges[one.level - ENTRIES]
            gateway.on(f"GET /audit/{one.path}", Says(bundle(content) if one.level == ENTRIES else content))


def _page(chain: Chain, asked: Asked) -> Says:
    before = int(asked.query["cursor"][0])
    return Says({"items": [one for one in chain[::-1] if one["seq"] < before], "next_cursor": None})


def kept(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_published_note_is_mirrored(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    """So that a mirror alone shows who witnessed it; also where the note is a little behind the log."""
    folder, chain = tmp_path / "mirror", entries(20)
    asked = ("audit", "mirror", str(folder), "--key", LOG.verifier.text)
    for size in (15, 20):
        serve(gateway, chain, cosigned(point_of(chain[:size]), W1))
        result = tool(*asked)
        assert result.exit_code == 0, result.output
        code, answer = verify(tool, folder, "--key", LOG.verifier.text, *wanted(W1.key, witness_max_age="1h"))
        assert (code, answer["tree"]["witnessed_size"]) == (0, size), answer
    before = kept(folder)
    serve(gateway, chain, cosigned(point_of(chain[:15]), W1))  # cosigned meanwhile; the folder is further
    assert tool(*asked).exit_code == 0
    assert kept(folder) == before
    serve(gateway, entries(25), None)  # a server from before it published
    assert tool(*asked).exit_code == 0
    assert verify(tool, folder, "--key", LOG.verifier.text)[1]["tree"]["size"] == 25


CONTRADICTED: list[tuple[Chain, dict[str, Any], str]] = [
    (entries(12), {}, "The log was cut: 20 entries were mirrored, now only 12 are signed."),
    (rewritten(25, 9), {}, "The log was rewritten: it does not go on from the checkpoint that the folder holds."),
    (rewritten(20, 9), {}, "The log was rewritten: it does not go on from the checkpoint that the folder holds."),
    (
        entries(25),
        {"fork": "w saw another history."},
        "Nothing is mirrored: the log was forked. w saw another history.",
    ),
    (
        entries(25),
        {"state": "forked", "problem": "x"},
        "the server says that its log was set back: x",
    ),
    (entries(25), {"published": "x"}, "Nothing is mirrored: what the server publishes can't be used"),
    (entries(25), {"published": OTHER.sign(point_of(entries(25)).text)}, "is not signed by a key that you trust"),
    (entries(25), {"checkpoint": OTHER.sign(point_of(entries(25)).text)}, "is not signed by a key that you trust"),
    (entries(25), {"checkpoint": None}, "The log was cut: 20 entries were mirrored, now nothing is signed."),
]


@pytest.mark.parametrize(("chain", "state", "says"), CONTRADICTED)
def test_a_log_that_contradicts_the_folder_ends_with_1(
    gateway: FakeGateway, tool: Tool, tmp_path: Path, chain: Chain, state: dict[str, Any], says: str
) -> None:
    folder = tmp_path / "mirror"
    write(folder, entries(20))
    before = kept(folder)
    serve(gateway, chain, **state)
    result = tool("audit", "mirror", str(folder), "--key", LOG.verifier.text)
    assert (result.exit_code, says in " ".join(result.stderr.split())) == (1, True), result.output
    assert kept(folder) == before


def test_what_can_not_be_mirrored_ends_with_2(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    gateway.on("GET /api/me", Says({"detail": "no"}, 401))
    assert tool("audit", "mirror", str(folder)).exit_code == 2
    serve(gateway, entries(3))
    gateway.on("GET /api/audit/log", Says(unsigned_log()))
    assert tool("audit", "mirror", str(folder)).exit_code == 2
    assert not folder.exists()


def test_what_is_shown_in_part_is_not_mirrored(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    """Who lacks personal:read would spoil the folder for good; an export says so, and is written."""
    folder, export, chain = tmp_path / "mirror", tmp_path / "log.ndjson", entries(20)
    asked = ("audit", "mirror", str(folder), "--key", LOG.verifier.text)
    says = "entry 18 is shown without what is personal in it, so it can't be verified; that takes the permission"
    write(folder, chain[:15])
    before = kept(folder)
    serve(gateway, chain)
    hidden = [one if one["seq"] != 18 else one | {"payload": None, "masked": True} for one in chain]
    gateway.on("GET /api/audit/entries", lambda request: _page(hidden, request))
    result = tool(*asked)
    assert (result.exit_code, f"Nothing is mirrored: {says}" in " ".join(result.stderr.split())) == (2, True), result
    assert kept(folder) == before
    gateway.on("GET /api/audit/entries", lambda _: Says({"items": hidden[::-1], "next_cursor": None}))
    for form in ((), ("--csv", "--force")):
        result = tool("audit", "export", str(export), *form)
        assert (result.exit_code, f"1 of them can't be verified: {says}" in " ".join(result.stderr.split())) == (
            0, True
        ), result.output  # fmt: skip
    serve(gateway, chain)
    assert tool(*asked).exit_code == 0
    assert verify(tool, folder, "--key", LOG.verifier.text)[0] == 0
