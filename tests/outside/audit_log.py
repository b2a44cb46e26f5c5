"""The static log, read and proven by the library of Go's own checksum database: its code, not ours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.outside.tools import run
from tests.outside.world import WAIT_S, World, check, until

PROGRAM = Path(__file__).with_name("audit_log.go")
_MODULE = "golang.org/x/mod"


def step(world: World) -> None:
    """Every entry by tile and bundle, samples by inclusion proofs, growth by a consistency proof; then tampering."""
    before = signed(world, 1)
    world.post("/api/sites", status=201, json={"site": "outside-log", "title": "For the log"})
    now = signed(world, before["entry_count"] + 1)
    program = _built(world)
    given = {
        "Prefix": f"{world.stack.gateway_url}/audit",
        "Token": world.stack.token,
        "Key": now["verifier"],
        "Older": before["checkpoint"],
    }
    status, said = run([program], 60, GIVEN=json.dumps(given))
    check(status == 0 and said.startswith("proven "), said)
    size = int(said.split()[1])
    refusals = {
        "/checkpoint": "malformed note",
        f"/tile/0/000{_partial(size)}": "downloaded inconsistent tile",
        f"/tile/entries/000{_partial(size)}": "is not the one in the tree",
    }
    for path, words in refusals.items():
        status, said = run([program], 60, GIVEN=json.dumps(given | {"Spoil": path}))
        check(status == 3 and words in said, f"{path} was altered, and the library said: {said}")
    world.figure("the audit log is a transparency log", f"{_MODULE}/sumdb (Go)", f"{size} entries, 3 of 3 refused")


def _partial(size: int) -> str:
    return "" if size >= 256 else f".p/{size}"


def signed(world: World, at_least: int, within_s: float = WAIT_S) -> Any:
    """The state of the log once that much is signed."""

    def seen() -> Any:
        state = world.get("/api/audit/log")
        return state if state["state"] == "signed" and state["entry_count"] >= at_least else None

    return until("the signed log", seen, within_s)


def _built(world: World) -> Path:
    """The program, built with the copy of the library that Go's own tools are built with: nothing is fetched."""
    folder = world.folder / "audit-log"
    folder.mkdir()
    kept = {"GOCACHE": str(world.folder / "go-cache"), "GOPATH": str(world.folder / "go-path")}
    offline = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    status, root = run([world.tools.go, "env", "GOROOT"], 60, folder, **offline, **kept)
    check(status == 0, root)
    library = Path(root.strip()) / "src/cmd/vendor" / _MODULE / "sumdb"
    for name in ("note", "tlog"):
        shutil.copytree(library / name, folder / "mod/sumdb" / name)
    (folder / "mod/go.mod").write_text(f"module {_MODULE}\n\ngo 1.22\n")
    requires = f"require {_MODULE} v0.0.0\n\nreplace {_MODULE} => ./mod\n"
    (folder / "go.mod").write_text(f"module headgate\n\ngo 1.22\n\n{requires}")
    shutil.copyfile(PROGRAM, folder / "main.go")
    status, said = run([world.tools.go, "build", "-o", "prove", "."], 300, folder, **offline, **kept)
    check(status == 0, said)
    return folder / "prove"
