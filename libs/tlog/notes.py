"""Signed notes (C2SP signed-note; Ed25519, and ML-DSA-44 beside it), and the checkpoints in them (tlog-checkpoint)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from libs.tlog import mldsa
from libs.tlog.merkle import HASH_BYTES, MAX_SIZE
from libs.tlog.mldsa import ML_DSA_44

ED25519 = b"\x01"
ALGORITHMS = {ED25519: "Ed25519", ML_DSA_44: "ML-DSA-44"}
MAX_NOTE_BYTES = 128 * 1024  # room for 16 witnesses with signatures of 5 kB, as signed-note wants
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


def key_id(name: str, public_key: bytes, kind: bytes = ED25519) -> bytes:
    """Four bytes that find a signature's key: of SHA-256 over the name, a line feed, the kind and the public key."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public_key).digest()[:4]


def key_text(name: str, public_key: bytes, kind: bytes = ED25519) -> str:
    """A key as people hand it on: ``<name>+<id in hex>+<base64>``."""
    return f"{name}+{key_id(name, public_key, kind).hex()}+{base64.b64encode(kind + public_key).decode()}"


class UnknownKind(NoteProblem):
    """A key that is whole, of a kind that this program can't verify with."""


def read_key(text: str, kinds: Sequence[bytes], form: str) -> tuple[str, bytes, bytes]:
    """Name, public key (of ML-DSA-44 1,312 bytes, else 32) and kind out of `key_text`.

    Raises `NoteProblem`, with ``form`` for what is none; `UnknownKind` for a key of none of ``kinds``.
    """
    name, _, rest = text.strip().partition("+")
    found_id, _, packed = rest.partition("+")
    try:
        content = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    kind, public_key = content[:1], content[1:]
    if not public_key:
        raise NoteProblem(form)
    if key_id(check_name(name), public_key, kind).hex() != found_id:
        raise NoteProblem("the key's id is not that of its name and content: it was altered or cut")
    if kind not in kinds:
        raise UnknownKind(form)
    if len(public_key) != (mldsa.PUBLIC_BYTES if kind == ML_DSA_44 else HASH_BYTES):
        raise NoteProblem(form)
    if kind == ML_DSA_44 and not mldsa.fits(name):
        raise NoteProblem(f"the name of an ML-DSA-44 key has at most {mldsa.MAX_NAME_BYTES} bytes")
    return name, public_key, kind


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under its name: of Ed25519, or of ML-DSA-44, which signs checkpoints only."""

    name: str
    public_key: bytes
    kind: bytes = ED25519

    @classmethod
    def read(cls, text: str) -> Verifier:
        """The key in ``<name>+<id in hex>+<base64>``. Raises `NoteProblem`."""
        form = (
            "a log's key reads <name>+<8 hex digits>+<base64>, of an Ed25519 key (kind 1) or an ML-DSA-44 one (kind 6)"
        )
        return cls(*read_key(text, (ED25519, ML_DSA_44), form))

    @classmethod
    def read_known(cls, texts: Iterable[str]) -> list[Verifier]:
        """Those that can be used of the keys that somebody lists; one of another kind says nothing. Raises
        `NoteProblem` for what is no key.
        """
        found = []
        for text in texts:
            try:
                found.append(cls.read(text))
            except UnknownKind:
                continue
        return found

    @property
    def key_id(self) -> bytes:
        """See `key_id`."""
        return key_id(self.name, self.public_key, self.kind)

    @property
    def text(self) -> str:
        """The key as people hand it on."""
        return key_text(self.name, self.public_key, self.kind)

    @property
    def algorithm(self) -> str:
        """As people call it."""
        return ALGORITHMS[self.kind]

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Whether the signature is this key's over this text."""
        if self.kind == ML_DSA_44:
            try:
                point = Checkpoint.read(text)
            except NoteProblem:
                return False
            return mldsa.time_of(signature, self.public_key, self.name, point) is not None
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


def signature_line(name: str, content: bytes) -> str:
    """The line of a signature below a note: ``content`` is the key's id and what it signed."""
    return f"\N{EM DASH} {name} {base64.b64encode(content).decode()}\n"


def read_private_key(pem: bytes) -> Ed25519PrivateKey:
    """The Ed25519 key in an unencrypted PEM text (PKCS 8). Raises `NoteProblem`."""
    key = _read_pem(pem)
    if not isinstance(key, Ed25519PrivateKey):
        raise NoteProblem("this is no Ed25519 key; make one with: openssl genpkey -algorithm ed25519")
    return key


def read_second_key(pem: bytes) -> MLDSA44PrivateKey:
    """The ML-DSA-44 key in an unencrypted PEM text (PKCS 8). Raises `NoteProblem`."""
    key = _read_pem(pem)
    if not isinstance(key, MLDSA44PrivateKey):
        raise NoteProblem("this is no ML-DSA-44 key; OpenSSL 3.5 makes one: openssl genpkey -algorithm ML-DSA-44")
    return key


def _read_pem(pem: bytes) -> object:
    try:
        return serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise NoteProblem("this is no private key in PEM without a password") from error


class Signer:
    """Holds a log's private key, and its second one if it has one; nothing gives them out."""

    def __init__(self, name: str, key: Ed25519PrivateKey, second: MLDSA44PrivateKey | None = None) -> None:
        self._key, self._second = key, second
        form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        self.verifier = Verifier(check_name(name), key.public_key().public_bytes(*form))
        self.second = Verifier(name, second.public_key().public_bytes_raw(), ML_DSA_44) if second else None
        self.verifiers = [self.verifier, *([self.second] if self.second else [])]

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> Signer:
        """The key of 32 secret bytes."""
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def read(cls, name: str, pem: bytes) -> Signer:
        """The private key in an unencrypted PEM text (PKCS 8). Raises `NoteProblem`."""
        return cls(name, read_private_key(pem))

    def named(self, name: str) -> Signer:
        """The same keys under another name."""
        return Signer(name, self._key, self._second)

    def with_second(self, key: MLDSA44PrivateKey) -> Signer:
        """Signs checkpoints also with this key. Raises `NoteProblem` for a name that is too long for it."""
        if not mldsa.fits(self.verifier.name + "/" + "9" * 15):  # with the number that a rollover puts behind it
            raise NoteProblem(f"with ML-DSA-44 a log's name has at most {mldsa.MAX_NAME_BYTES - 16} bytes")
        return Signer(self.verifier.name, self._key, key)

    def sign_checkpoint(self, point: Checkpoint, time_s: int) -> str:
        """The note of a checkpoint with a line of each key; that of ML-DSA-44 says the time and differs each time."""
        note = self.sign(point.text)
        if self._second is None or self.second is None:
            return note
        return note + signature_line(
            self.second.name, self.second.key_id + mldsa.sign(self._second, self.second.name, time_s, point)
        )

    def has_signed(self, note: str, point: Checkpoint) -> bool:
        """Whether a note is of this checkpoint and bears a line of each of our keys that fits."""
        try:
            opened = read_note(note)
            return opened.text == point.text and opened.signers(self.verifiers) == self.verifiers
        except NoteProblem:
            return False

    def sign(self, text: str) -> str:
        """The note of a text that ends with a line feed: the text, an empty line, our signature with Ed25519."""
        signature = self.verifier.key_id + self._key.sign(text.encode())
        return f"{text}\n{signature_line(self.verifier.name, signature)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart: its text, and name, key id and signature of each line below it."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    def with_lines(self, lines: Sequence[str]) -> str:
        """The whole note with these lines below its text."""
        return f"{self.text}\n{''.join(lines)}"

    def line_of(self, verifier: Verifier) -> str | None:
        """A key's line, which the caller has verified; None: there is none."""
        for name, signed_id, signature in self.signatures:
            if (name, signed_id) == (verifier.name, verifier.key_id):
                return signature_line(name, signed_id + signature)
        return None

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


def read_trusted(note: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint in a note, for who names the keys that they trust: `require_each_kind`. Raises `NoteProblem`."""
    point = read_checkpoint(note, verifiers)
    require_each_kind(read_note(note).signers(verifiers), verifiers)
    return point


def require_each_kind(signers: Sequence[Verifier], trusted: Sequence[Verifier]) -> None:
    """Whoever trusts keys of two kinds wants both to have signed: else who breaks the weaker one has broken both.

    Raises `NoteProblem` unless a key of each kind has signed.
    """
    missing = {one.algorithm for one in trusted} - {one.algorithm for one in signers}
    if missing:
        raise NoteProblem(
            f"the checkpoint is not signed by the {' and '.join(sorted(missing))} key that you trust, only by another: "
            "it is older than that key, or somebody has taken the signature away"
        )
