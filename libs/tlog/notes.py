"""Signed notes (C2SP signed-note, Ed25519) and the checkpoints in them (C2SP tlog-checkpoint)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from libs.tlog.merkle import HASH_BYTES, MAX_SIZE

ED25519 = b"\x01"
MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 64
_NAME = re.compile(r"[^\s+]{1,200}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteProblem(ValueError):
    """A note, checkpoint or key that can't be used; the message says why."""


def check_name(name: str) -> str:
    """The name itself. Raises `NoteProblem` if no key can have it: empty, or with a space or a plus sign."""
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise NoteProblem("a log's name is 1 to 200 characters without spaces and plus signs, like log.example/audit")
    return name


def key_id(name: str, public_key: bytes) -> bytes:
    """Four bytes that find a signature's key: of SHA-256 over the name, a line feed, the kind and the public key."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:4]


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key (32 bytes) under its name."""

    name: str
    public_key: bytes

    @classmethod
    def read(cls, text: str) -> Verifier:
        """The key in ``<name>+<id in hex>+<base64>``. Raises `NoteProblem`."""
        name, _, rest = text.strip().partition("+")
        found_id, _, packed = rest.partition("+")
        try:
            content = base64.b64decode(packed, validate=True)
        except (binascii.Error, ValueError):
            content = b""
        if len(content) != 1 + HASH_BYTES or content[:1] != ED25519:
            raise NoteProblem("a log's key reads <name>+<8 hex digits>+<base64>, of an Ed25519 key")
        verifier = cls(check_name(name), content[1:])
        if verifier.key_id.hex() != found_id:
            raise NoteProblem("the key's id is not that of its name and content: it was altered or cut")
        return verifier

    @property
    def key_id(self) -> bytes:
        """See `key_id`."""
        return key_id(self.name, self.public_key)

    @property
    def text(self) -> str:
        """The key as people hand it on."""
        packed = base64.b64encode(ED25519 + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{packed}"

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Whether the signature is this key's over this text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class Signer:
    """Holds a private key; nothing gives it out."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        self.verifier = Verifier(check_name(name), key.public_key().public_bytes(*form))

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> Signer:
        """The key of 32 secret bytes."""
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def read(cls, name: str, pem: bytes) -> Signer:
        """The private key in an unencrypted PEM text (PKCS 8). Raises `NoteProblem`."""
        try:
            key = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise NoteProblem("this is no private key in PEM without a password") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise NoteProblem("this is no Ed25519 key; make one with: openssl genpkey -algorithm ed25519")
        return cls(name, key)

    def named(self, name: str) -> Signer:
        """The same key under another name."""
        return Signer(name, self._key)

    def sign(self, text: str) -> str:
        """The note of a text that ends with a line feed: the text, an empty line, our signature."""
        signature = self.verifier.key_id + self._key.sign(text.encode())
        return f"{text}\n\N{EM DASH} {self.verifier.name} {base64.b64encode(signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart: its text, and name, key id and signature of each line below it."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    def signers(self, verifiers: Sequence[Verifier]) -> list[Verifier]:
        """Those of the keys that have signed it; a signature of one of them that does not fit raises `NoteProblem`."""
        found = []
        for verifier in verifiers:
            for name, signed_id, signature in self.signatures:
                if (name, signed_id) == (verifier.name, verifier.key_id):
                    if not verifier.has_signed(self.text, signature):
                        raise NoteProblem(f"the signature of {verifier.name} does not fit the text: it was altered")
                    found.append(verifier)
                    break
        return found


def read_note(note: str) -> Note:
    """Take a note apart. Raises `NoteProblem`; whether signatures fit is asked of the result."""
    text, gap, lines = note.rpartition("\n\n")
    if not gap or not lines.endswith("\n") or len(note.encode()) > MAX_NOTE_BYTES:
        raise NoteProblem("this is no signed note: a text, an empty line and lines of signatures")
    if any(ord(one) < 0x20 and one != "\n" for one in note):
        raise NoteProblem("a signed note holds no control characters")
    signatures = []
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, packed = rest.partition(" ")
        try:
            content = base64.b64decode(packed, validate=True)
        except (binascii.Error, ValueError):
            content = b""
        if dash != "\N{EM DASH}" or not _NAME.fullmatch(name) or len(content) < 5:
            raise NoteProblem("a line of signatures reads: a dash, a name and base64, with one space between")
        signatures.append((name, content[:4], content[4:]))
    if len(signatures) > MAX_SIGNATURES:
        raise NoteProblem(f"a note has at most {MAX_SIGNATURES} signatures here")
    return Note(text + "\n", tuple(signatures))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log promises: under its name, the size of the tree and its root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def read(cls, text: str) -> Checkpoint:
        """The checkpoint in a note's text; lines below the third are left unread. Raises `NoteProblem`."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not lines[0] or "" in lines[:-1]:
            raise NoteProblem("a checkpoint has a name, a size and a root, a line each")
        origin, size, packed = lines[:3]
        try:
            root = base64.b64decode(packed, validate=True)
        except (binascii.Error, ValueError):
            root = b""
        if not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
            raise NoteProblem("a checkpoint's second line is the number of entries")
        if len(root) != HASH_BYTES or base64.b64encode(root).decode() != packed:
            raise NoteProblem("a checkpoint's third line is the root in base64, 32 bytes")
        return cls(origin, int(size), root)


def read_checkpoint(note: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint in a note that one of these keys has signed under its own name. Raises `NoteProblem`."""
    opened = read_note(note)
    checkpoint = Checkpoint.read(opened.text)
    signers = opened.signers(verifiers)
    if not signers:
        raise NoteProblem("the checkpoint is not signed by a key that you trust: it is of another key, or forged")
    if checkpoint.origin not in {verifier.name for verifier in signers}:
        raise NoteProblem(f"the checkpoint is of another log, {checkpoint.origin[:100]}")
    return checkpoint
