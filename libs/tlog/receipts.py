"""Receipts in the public format C2SP tlog-proof: that an entry is in a signed tree, checkable without anybody."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from libs.tlog.merkle import HASH_BYTES, MAX_SIZE, included, leaf_hash
from libs.tlog.notes import Checkpoint, NoteProblem, Verifier, read_trusted

HEADER = "c2sp.org/tlog-proof@v1"
MAX_RECEIPT_BYTES = 4 * 1024 * 1024
MAX_HASHES = 63
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Receipt:
    """An entry's place (from 0), the hashes that prove it, and the checkpoint (a signed note) of that tree.

    ``extra``: what the proof itself says nothing of, such as the entry.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    @property
    def text(self) -> str:
        """The receipt as a file."""
        extra = [f"extra {base64.b64encode(self.extra).decode()}"] if self.extra else []
        proof = [base64.b64encode(one).decode() for one in self.hashes]
        return "\n".join([HEADER, *extra, f"index {self.index}", *proof, "", self.checkpoint])

    @classmethod
    def read(cls, text: str) -> Receipt:
        """Take a receipt apart. Raises `NoteProblem`; whether it proves anything is asked of `proven`."""
        head, gap, checkpoint = text.partition("\n\n")
        header, *lines = head.split("\n")
        extra = _base64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else b""
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if header != HEADER or not gap or index is None or int(index[1]) > MAX_SIZE or len(lines) > MAX_HASHES:
            raise NoteProblem(f"this is no receipt: it begins with {HEADER}, an index, hashes, then a checkpoint")
        hashes = tuple(map(_base64, lines))
        if any(len(one) != HASH_BYTES for one in hashes):
            raise NoteProblem("a line of a receipt's proof is a hash of 32 bytes in base64")
        return cls(int(index[1]), hashes, checkpoint, extra)

    def proven(self, entry: bytes, verifiers: Sequence[Verifier]) -> Checkpoint:
        """The checkpoint, if one of the keys (of each kind) has signed it and the entry is in its tree. Raises
        `NoteProblem`.
        """
        point = read_trusted(self.checkpoint, verifiers)
        if not included(leaf_hash(entry), self.index, point.size, self.hashes, point.root):
            raise NoteProblem(f"the proof does not show that this is entry {self.index + 1} of the signed tree")
        return point


def _base64(line: str) -> bytes:
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise NoteProblem("a line of a receipt is no base64") from None
