"""Archives of a month of a log: one ZIP, the same bytes whenever it is made of the same log. Format: docs/audit-log.md.

Everything in it is named by `MANIFEST` with size and SHA-256, and the manifest is signed. Files are stored, not
packed, and carry no time: how a packer works changes with its version, and so would the bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

from libs.tlog.notes import NoteProblem, Signer, Verifier, read_note

FORMAT = 1
MANIFEST, SIGNATURE = "manifest.json", "manifest.json.note"
CHECKPOINT, KEYS, ENTRIES_NDJSON = "checkpoint", "keys", "entries.ndjson"
README, REHEARSAL = "README.txt", "dr-rehearsal.json"
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
PIECE_BYTES = 1024 * 1024
_HEADING, _CSV_HEADING = "headgate audit archive v1", "headgate audit csv v1"
_MADE = (1980, 1, 1, 0, 0, 0)  # the first day that a ZIP can name


@dataclass(slots=True)
class Packer:
    """Writes the files of an archive, one behind the other, and remembers what the manifest says of each.

    ``starts``: where the content of each `add_file` begins, in bytes from the archive's beginning.
    """

    file: IO[bytes]
    files: list[dict[str, Any]] = field(default_factory=list)
    starts: dict[str, int] = field(default_factory=dict)
    _zip: zipfile.ZipFile = field(init=False)

    def __post_init__(self) -> None:
        self._zip = zipfile.ZipFile(self.file, "w", zipfile.ZIP_STORED)

    def add(self, path: str, content: bytes) -> None:
        """A small file."""
        self._zip.writestr(_info(path, len(content)), content)
        self._note(path, len(content), hashlib.sha256(content).hexdigest())

    def add_file(self, path: str, source: IO[bytes], size: int) -> None:
        """A file of ``size`` bytes, read piece by piece from its beginning."""
        digest = hashlib.sha256()
        source.seek(0)
        with self._zip.open(_info(path, size), "w") as target:
            self.starts[path] = self.file.tell()
            while piece := source.read(PIECE_BYTES):
                digest.update(piece)
                target.write(piece)
        self._note(path, size, digest.hexdigest())

    def seal(self, told: Mapping[str, Any], signer: Signer) -> str:
        """Write the manifest, which says ``told`` beside the files, and its signature; the manifest's SHA-256."""
        manifest = write_manifest({"format": FORMAT, **told, "files": self.files})
        digest = hashlib.sha256(manifest).hexdigest()
        note = signer.sign(signed_text(signer.verifier.name, str(told["month"]), digest))
        self._zip.writestr(_info(MANIFEST, len(manifest)), manifest)
        self._zip.writestr(_info(SIGNATURE, len(note.encode())), note.encode())
        self._zip.close()
        return digest

    def _note(self, path: str, size: int, sha256: str) -> None:
        self.files.append({"path": path, "size_bytes": size, "sha256": sha256})


def _info(path: str, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path, _MADE)
    info.compress_type = zipfile.ZIP_STORED
    info.create_system, info.external_attr = 3, 0o100644 << 16  # else it would depend on the machine
    info.file_size = size  # so that no field is kept free for a size that is not known yet
    return info


def write_manifest(manifest: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest."""
    return json.dumps(manifest, ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"


def signed_text(origin: str, month: str, manifest_sha256: str) -> str:
    """What is signed of an archive. No checkpoint reads so: the second line of one is a number."""
    return f"{_HEADING}\n{origin}\n{month}\n{manifest_sha256}\n"


def read_signed(note: str, verifiers: list[Verifier]) -> tuple[str, str, str]:
    """Origin, month and the manifest's SHA-256, if one of the keys has signed so. Raises `NoteProblem`."""
    opened = read_note(note)
    heading, origin, month, digest, *rest = [*opened.text.split("\n"), "", "", "", ""]
    if heading != _HEADING or opened.text != signed_text(origin, month, digest) or any(rest):
        raise NoteProblem("what is signed is no archive of an audit log")
    signers = opened.signers(verifiers)
    if not signers:
        raise NoteProblem("the archive is not signed by a key that you trust: it is of another key, or forged")
    if origin not in {one.name for one in signers}:
        raise NoteProblem(f"the archive is of another log, {origin[:100]}")
    return origin, month, digest


def csv_name(month: str, version: str) -> str:
    """The name of a month's CSV file, in its archive and for who downloads it; ``version`` is v1 or v2."""
    return f"audit-archive-{month}{'' if version == 'v1' else '-v2'}.csv"


def _csv_text(origin: str, month: str, version: str, sha256: str) -> str:
    return f"{_CSV_HEADING}\n{origin}\n{month}\n{version}\n{sha256}\n"


def sign_csv(signer: Signer, month: str, version: str, sha256: str) -> str:
    """The signature over a CSV file alone, in base64 as a signed note has it: the key's id, then what it signed."""
    note = signer.sign(_csv_text(signer.verifier.name, month, version, sha256))
    return note.rstrip("\n").rpartition(" ")[2]


def check_csv(signature: str, month: str, version: str, sha256: str, verifiers: list[Verifier]) -> Verifier:
    """The key whose `sign_csv` it is. Raises `NoteProblem`."""
    try:
        content = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    for one in verifiers:
        text = _csv_text(one.name, month, version, sha256)
        if content[:4] == one.key_id and one.has_signed(text, content[4:]):
            return one
    raise NoteProblem("no key that you trust has signed this file: it is of another key, or was altered")


def safe_path(path: str) -> bool:
    """Whether a path in an archive stays below the folder that it is unpacked to."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path and path.isprintable()
