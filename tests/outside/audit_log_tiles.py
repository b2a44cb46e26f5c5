"""A mirror of the audit log judged by `aics-tlog` (PyPI): accepted as it is, refused after each way of tampering.

`dilithium-py` (PyPI) judges the second signature of its checkpoint, that with ML-DSA-44.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from libs.tlog.cosignatures import Cosigner
from libs.tlog.notes import Signer, Verifier, read_note
from libs.tlog.tiles import ENTRIES, Tile
from tests.outside.audit_log import signed
from tests.outside.tools import HERE, ToolMissing, run
from tests.outside.world import World, check

SIGNALS, AT_ONCE = 70_000, 500  # more than 65,536: the tree has a third level
WRITTEN_WITHIN_S = 600.0
LOCK = HERE / "requirements-tlog.lock"
JUDGE, PQ_JUDGE = HERE / "audit_log_judge.py", HERE / "audit_log_pq_judge.py"
ENTRY_BYTES = 2 + 32
_MODULE = "aics-tlog (Python)"


def step(world: World) -> None:
    """A log of 70,000 entries, cosigned by a witness of ours: theirs believes both, and nothing else."""
    python = _environment(world.folder / "tlog")
    _write(world)
    key = signed(world, SIGNALS, WRITTEN_WITHIN_S)["verifier"]
    mirror = world.folder / "mirror"
    _mirror(world, mirror, key)
    size = int((mirror / "checkpoint").read_text().split("\n")[1])
    status, said = run([python, JUDGE, mirror, key], 300)
    check((status, said.split()[:2]) == (0, ["proven", str(size)]), said)
    _second_signature(world, python, mirror, size)
    cosigner = Cosigner.from_seed("witness.example/w1", bytes(range(32)))
    note = (mirror / "checkpoint").read_text()
    _refusals(world, python, mirror, key, size)
    (mirror / "checkpoint").write_text(note + cosigner.cosign(read_note(note).text, 1_700_000_000))
    status, said = run([python, JUDGE, mirror, key, cosigner.key.text], 300)
    check(status == 0 and "1 cosignatures" in said, said)
    world.figure("a mirror of the audit log, with a witness's cosignature", _MODULE, f"{size} entries, 6 of 6 refused")


def _write(world: World) -> None:
    """Signals, each of which is an event in the log; that they were stored is awaited, their outcomes are not."""
    headers = {"Content-Type": "application/cloudevents-batch+json", "Prefer": "respond-async"}
    for first in range(0, SIGNALS, AT_ONCE):
        events = [
            {"specversion": "1.0", "id": f"t-{first + n}", "source": "/outside", "type": "ops.security", "data": {}}
            for n in range(AT_ONCE)
        ]
        answer = world.http.post("/api/signals", json=events, headers=headers)
        check(answer.status_code < 300, f"signals: {answer.text[:300]}")


def _second_signature(world: World, python: Path, mirror: Path, size: int) -> None:
    """The library above passed that line over; one that knows ML-DSA-44 believes it, and nothing else."""
    keys = world.get("/api/audit/keys")
    second = next(one["verifier"] for one in keys if one["algorithm"] == "ML-DSA-44" and one["in_use"])
    status, said = run([python, PQ_JUDGE, mirror, second], 300)
    check((status, said.split()) == (0, ["proven", str(size)]), said)
    name = Verifier.read(second).name
    other = (
        Signer.from_seed(name, bytes(32)).with_second(MLDSA44PrivateKey.from_seed_bytes(bytes(32))).verifiers[1].text
    )
    ways: list[tuple[Callable[[str], str], str, str]] = [
        (lambda note: note.replace(f"\n{size}\n", f"\n{size - 1}\n"), second, "not valid"),
        (lambda note: note[:-9] + ("A" if note[-9] != "A" else "B") + note[-8:], second, "not valid"),
        (lambda note: note, other, "no signature of this key"),
    ]
    for change, key, words in ways:
        copy = world.folder / "tampered"
        copy.mkdir(exist_ok=True)
        (copy / "checkpoint").write_text(change((mirror / "checkpoint").read_text()))
        status, said = run([python, PQ_JUDGE, copy, key], 300)
        check(status == 3 and words in said, f"dilithium-py was to say {words!r}, and said: {said}")
    world.figure("the audit log's signature with ML-DSA-44", "dilithium-py (Python)", f"{size} entries, 3 of 3 refused")


def _refusals(world: World, python: Path, mirror: Path, key: str, size: int) -> None:
    """Each way of tampering, on a copy, and the words by which the library refuses it: no two alike."""
    last = Tile(ENTRIES, size // 256, size % 256 or 256).path if size % 256 else Tile(ENTRIES, size // 256 - 1).path
    entry, pair, tile = "tile/entries/003", "tile/entries/200", "tile/0/002"
    below, refusals = "does not match its level 0 tile", set[str]()
    other = Signer.from_seed(Verifier.read(key).name, bytes(32)).verifier.text
    ways: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
        "an altered byte of a tile": (
            tile,
            lambda old: old[:99] + bytes([old[99] ^ 1]) + old[100:],
            f"{tile} does not match its parent",
        ),
        "an altered entry": (entry, lambda old: old[:9] + bytes([old[9] ^ 1]) + old[10:], f"{entry} {below}"),
        "the newest entry removed": (last, lambda old: old[:-ENTRY_BYTES], f"{last} {below}"),
        "two entries reordered": (pair, _swapped, f"{pair} {below}"),
        "an altered size": (
            "checkpoint",
            lambda old: old.replace(f"\n{size}\n".encode(), b"\n%d\n" % (size - 1)),
            "failed verification",
        ),
        "another key": ("checkpoint", lambda old: old, "no signature from log key"),
    }
    for what, (path, change, words) in ways.items():
        copy = world.folder / "tampered"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(mirror, copy)
        (copy / path).write_bytes(change((copy / path).read_bytes()))
        status, said = run([python, JUDGE, copy, other if what == "another key" else key], 300)
        check(status == 3 and words in said, f"{what}, and the library said: {said}")
        refusals.add(said)
    check(len(refusals) == len(ways), f"two refusals read alike: {refusals}")


def _swapped(bundle: bytes) -> bytes:
    cut = [bundle[at : at + ENTRY_BYTES] for at in range(0, len(bundle), ENTRY_BYTES)]
    return b"".join([cut[1], cut[0], *cut[2:]])


def _mirror(world: World, folder: Path, key: str) -> None:
    """Written by our tool, as an outsider would have it."""
    told = {"HEADGATE_URL": world.stack.gateway_url, "HEADGATE_TOKEN": world.stack.token}
    tool: list[str | Path] = [sys.executable, "-m", "libs.client.cli", "audit", "mirror", folder, "--key", key]
    status, said = run(tool, 300, HERE.parents[1], **told)
    check(status == 0, said)


def _environment(folder: Path) -> Path:
    """Python 3.12 or newer with the library in it. Raises `ToolMissing`."""
    program = _new_python()
    pip = ["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", "--require-hashes"]
    commands: list[list[str | Path]] = [[program, "-m", "venv", folder], [folder / "bin" / "python", *pip, "-r", LOCK]]
    for command in commands:
        status, said = run(command, 600)
        if status:
            raise ToolMissing(f"{' '.join(map(str, command))} failed: {said[-1000:]}")
    return folder / "bin" / "python"


def _new_python() -> Path:
    """On PATH, or beside the one that runs this, as pyenv has them."""
    named = [found for minor in (14, 13, 12) if (found := shutil.which(f"python3.{minor}"))]
    beside = sorted(Path(sys.base_prefix).parent.glob("3.1[2-9]*/bin/python3"))
    for program in (sys.executable, *named, *map(str, beside)):
        status, said = run([program, "-c", "import sys; print(sys.version_info >= (3, 12))"], 30)
        if status == 0 and said.strip() == "True":
            return Path(program)
    raise ToolMissing("aics-tlog needs Python 3.12 or newer; put one on PATH as python3.12")
