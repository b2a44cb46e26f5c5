"""Run in an environment of its own: dilithium-py judges the ML-DSA-44 signature of a mirror's checkpoint.

Arguments: folder, the key as ``<name>+<id>+<base64>``. The format is read from C2SP tlog-cosignature, without a line of
ours. Ends with 0 and ``proven <size>``, or with 3 and what does not hold.
"""

import base64
import hashlib
import struct
import sys
from pathlib import Path

from dilithium_py.ml_dsa import ML_DSA_44  # type: ignore[import-not-found]

name, key_id, packed = sys.argv[2].split("+", 2)
key = base64.b64decode(packed)
text, _, lines = (Path(sys.argv[1]) / "checkpoint").read_text().rpartition("\n\n")
origin, size, root = text.split("\n")[:3]


def counted(word: str) -> bytes:
    """A text behind its length in one byte."""
    return bytes([len(word.encode())]) + word.encode()


if (key[0], hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8]) != (6, key_id):
    print("this is no key of kind 6")
    sys.exit(3)
for line in lines.splitlines():
    _, signer, content = line.split(" ")
    signature = base64.b64decode(content)
    if (signer, signature[:4].hex()) != (name, key_id):
        continue
    numbers = struct.pack(">QQ", 0, int(size)) + base64.b64decode(root)
    message = b"subtree/v1\n\0" + counted(name) + signature[4:12] + counted(origin) + numbers
    good = ML_DSA_44.verify(key[1:], message, signature[12:])
    print(f"proven {size}" if good else "the signature is not valid")
    sys.exit(0 if good else 3)
print("there is no signature of this key")
sys.exit(3)
