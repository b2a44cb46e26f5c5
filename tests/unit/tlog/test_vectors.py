"""Proofs against the vectors of transparency-dev/merkle (Go, Apache-2.0): good ones, and each tampered in some way.

`vectors/proofs.jsonl` holds what that library's folder ``testdata`` says of inclusion and consistency, a line each.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from libs.tlog.merkle import consistency_parts, consistent, included, inclusion_parts

VECTORS = [json.loads(line) for line in (Path(__file__).parent / "vectors" / "proofs.jsonl").read_text().splitlines()]

STRICTER = "consistency/additional/sizes-are-equal-one-and-proof-is-empty"
"""Theirs takes two equal texts for equal roots; a root is a hash of 32 bytes here, or nothing is proven."""


def unpacked(value: str | None) -> bytes:
    return base64.b64decode(value or "")


def holds(vector: dict[str, Any]) -> bool:
    proof = [unpacked(one) for one in vector["proof"] or []]
    if vector["kind"] == "inclusion":
        leaf, root = unpacked(vector["leafHash"]), unpacked(vector["root"])
        return included(leaf, vector["leafIdx"], vector["treeSize"], proof, root)
    roots = unpacked(vector["root1"]), unpacked(vector["root2"])
    return consistent(vector["size1"], roots[0], vector["size2"], roots[1], proof)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_their_verdict_is_ours(vector: dict[str, Any]) -> None:
    assert holds(vector) is (not vector["wantErr"] and vector["name"] != STRICTER)


def test_there_are_good_and_tampered_ones_of_both_kinds() -> None:
    found = {(kind, bad): sum(one["kind"] == kind and one["wantErr"] is bad for one in VECTORS)
             for kind in ("inclusion", "consistency") for bad in (False, True)}  # fmt: skip
    assert min(found.values()) >= 6
    assert sum(found.values()) == len(VECTORS) == 196


def test_a_good_proof_of_theirs_has_as_many_hashes_as_ours() -> None:
    for one in VECTORS:
        if one["wantErr"]:
            continue
        if one["kind"] == "consistency":
            parts = consistency_parts(one["size1"], one["size2"])
        else:
            parts = inclusion_parts(one["leafIdx"], one["treeSize"]) if one["treeSize"] else []
        assert len(parts) == len(one["proof"] or []), one["name"]
