"""Capsules: a decision proves itself, and whatever is changed in one is refused with what differs."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.predicates.vsa.v1 import vsa_pb2  # type: ignore[import-untyped]
from in_toto_attestation.v1 import statement_pb2  # type: ignore[import-untyped]
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from libs.judge.capsule import About, canonical, check, digest, make_body, make_statement, seal
from libs.judge.dsse import KeyProblem, PublicKey, Signer, public_keys
from libs.judge.facts import Fact, Facts, OpenFailure, Seen
from libs.judge.plain import differences, plain, read
from libs.judge.policy import parse_policy
from libs.judge.standing import Freeze, Halt, Standing, Waiver
from libs.judge.verdict import judge

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SIGNER = Signer.from_secret("a secret of the tests only")
KEYS = public_keys(SIGNER.public)
POLICY = b"""
name: small
title: Small gate
description: "For tests; \xc3\xa9 is not ASCII."
subject_mode: version
allow_warning: true
min_weighted_score_percent: 100
rules:
  - id: tests_passed
    title: Tests passed
    required: true
    weight: 1
    kind: test.junit
    scope: version
    max_age_hours: 24
    condition: derived.not_passed == 0 && derived.passed > 0
    observed: "{derived.not_passed} failed"
    wanted: 0 failed
    detail: {passed: derived.passed}
"""
DATA: dict[str, Any] = {
    "total": 2, "passed": 2, "failed": 0, "errors": 0, "skipped": 0, "failed_tests": [], "skipped_tests": [],
    "tests": ["a", "b"], "seen": 2**60, "took": 1.5,
}  # fmt: skip


def fact(signal_id: int, **changes: Any) -> Fact:
    """A fact of tests that passed."""
    plain_ = Fact("test.junit", "unit", signal_id, "ci", f"e{signal_id}", NOW - timedelta(hours=1), DATA, "1.0")
    return replace(plain_, **changes)


def standing() -> Standing:
    """One of everything that people decide."""
    end = NOW + timedelta(days=1)
    waiver = Waiver(1, "small", "app", "tests_passed", NOW - timedelta(days=1), end, "known", "GH-1", "ann", "bob")
    return Standing(
        "small", "global", "app", (waiver,), (Halt(3, "global", "other*", "stop", "ann", NOW),),
        (Freeze("holidays", end, end + timedelta(days=1), "rest"),),
    )  # fmt: skip


def capsule(facts: Facts, now: datetime = NOW, decided: Standing | None = None, signer: Signer = SIGNER) -> bytes:
    """The capsule of a decision over these facts."""
    policy, decided = parse_policy(POLICY, "small.yaml"), decided or Standing()
    held = {one.signal_id: orjson.dumps(one.data).decode() for one in (*facts.current, *facts.baseline, *facts.unread)}
    digests = {signal_id: digest(text.encode()) for signal_id, text in held.items()}
    about = About("global", "small", "app", "1.0", 7, 1, "api", "ann", "0.1.0")
    body = make_body(about, policy, facts, now, judge(policy, facts, now, decided), digests, decided)
    statement = make_statement(body)
    texts = {digest(text.encode()): text for text in (*held.values(), POLICY.decode())}
    return seal(body, statement, signer.public.key_id, signer.sign(statement), texts)


FACTS = Facts(
    current=(fact(11, open_failures=(OpenFailure("x", Seen(9, NOW - timedelta(hours=2))),), good=Seen(11, NOW)),),
    baseline=(fact(5, data=DATA | {"took": 2.5}),),
    baseline_run=3,
    version="1.0",
    unread=(),
)


def envelope(content: bytes) -> dict[str, Any]:
    """The envelope within a capsule."""
    found: dict[str, Any] = json.loads(content)["envelope"]
    return found


@pytest.mark.parametrize("facts", [FACTS, Facts(version="1.0"), replace(FACTS, current=(fact(11),))])
def test_a_decision_proves_itself(facts: Facts) -> None:
    problems, body = check(capsule(facts, decided=standing()), KEYS)
    assert problems == []
    assert body["about"]["run_id"] == 7
    assert body["verdict"]["decision"] == ("go" if facts.current == (fact(11),) else body["verdict"]["decision"])


def test_an_altered_byte_anywhere_is_refused() -> None:
    content = capsule(FACTS, decided=standing())
    for place in range(0, len(content), 7):
        altered = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        problems, _ = check(altered, KEYS)
        assert problems, f"byte {place} was altered unseen: {altered[place - 20 : place + 20]!r}"


def tampered(change: Any) -> list[str]:
    """The problems of a capsule that was changed and written well again."""
    held = json.loads(capsule(FACTS))
    change(held)
    return check(canonical(held), KEYS)[0]


def _attach(held: dict[str, Any]) -> None:
    name = held["body"]["facts"]["current"][0]["data"]
    held["attachments"][name] = held["attachments"][name].replace("1.5", "1.6")


def _drop(held: dict[str, Any]) -> None:
    held["attachments"].pop(held["body"]["policy"]["layers"][0]["source"])


def _sign_again(held: dict[str, Any]) -> None:
    held["body"]["clock"] = (NOW + timedelta(days=9)).isoformat()
    statement, other = make_statement(canonical(held["body"])), Signer.fresh()
    held["envelope"]["payload"] = base64.b64encode(statement).decode()
    signature = {"keyid": other.public.key_id, "sig": base64.b64encode(other.sign(statement)).decode()}
    held["envelope"]["signatures"] = [signature]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda held: held["body"]["verdict"].update(decision="go"), "verdict differs"),
        (lambda held: held["body"]["about"].update(version="2.0"), "resourceUri is 'headgate:global/small/app/1.0'"),
        (lambda held: held["body"].update(clock=(NOW + timedelta(days=9)).isoformat()), "timeVerified"),
        (lambda held: held["body"]["policy"].update(digest="0" * 64), "The policy has the digest"),
        (lambda held: held["body"]["facts"]["current"].clear(), "/predicate/inputAttestations"),
        (lambda held: held["attachments"].update({"0" * 64: "more"}), "that the body does not name"),
        (_attach, "The data of signal 11 (test.junit, part unit) has the SHA-256"),
        (_drop, "The policy small.yaml with the SHA-256"),
        (_sign_again, "which is not the key that you trust"),
        (lambda held: held["envelope"]["signatures"].append(held["envelope"]["signatures"][0]), "one signature"),
        (lambda held: held["envelope"].update(payload="e30="), "not the trusted key's"),
        (lambda held: held.update(more=1), "This is no capsule"),
    ],
)
def test_a_change_is_named(change: Any, words: str) -> None:
    problems = tampered(change)
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"nothing", b"[" * 200_000, b'{"a":1,"a":1}', b"\xff"])
def test_what_is_no_capsule_is_refused(content: bytes) -> None:
    problems, body = check(content, KEYS)
    assert len(problems) == 1
    assert body == {}


def test_an_outsider_verifies_the_envelope() -> None:
    said = envelope(capsule(FACTS))
    outside = Envelope.from_dict(json.loads(json.dumps(said)))
    key = SSlibKey.from_crypto(SIGNER.public.key, keyid=SIGNER.public.key_id)
    assert outside.verify([key], 1)
    outside.payload += b" "
    with pytest.raises(VerificationError):
        outside.verify([key], 1)


def test_the_statement_fits_the_published_schemas() -> None:
    said = json.loads(base64.b64decode(envelope(capsule(FACTS))["payload"]))
    statement = json_format.ParseDict(said, statement_pb2.Statement())
    assert statement.predicate_type == "https://slsa.dev/verification_summary/v1"
    assert said["predicate"]["verifiedLevels"] in (["FAILED"], ["HEADGATE_GO"])
    # A list by the specification (https://slsa.dev/spec/v1.1/verification_summary); in-toto's protobuf has one text.
    verified = dict(said["predicate"]) | {"verifiedLevels": said["predicate"]["verifiedLevels"][0]}
    summary = json_format.ParseDict(verified, vsa_pb2.VerificationSummary())
    assert summary.verification_result in ("PASSED", "FAILED")
    assert summary.policy.digest["sha256"] == parse_policy(POLICY, "small.yaml").digest


def test_keys_that_are_none_are_refused() -> None:
    for wrong in (b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(KeyProblem):
            PublicKey.read(wrong)
        with pytest.raises(KeyProblem):
            Signer.read(wrong)
    assert PublicKey.read(SIGNER.public.pem.encode()).key_id == SIGNER.public.key_id
    assert Signer.from_secret("a").public.key_id != Signer.from_secret("b").public.key_id


def test_values_are_written_and_read_again() -> None:
    bare = replace(FACTS, current=(fact(1, data=None),), baseline=())
    assert read(Facts, plain(bare)) == bare
    assert read(Standing, plain(standing())) == standing()
    with pytest.raises(ValueError, match="is no Seen with signal_id, time"):
        read(Seen, {"signal_id": 1})
    assert differences({"a": [1, True]}, {"a": [1, 1], "b": 2}) == ["/a/1 is True and 1", "/b is only in the other"]
    assert differences({"a": 0, "b": 1}, {"a": 0.0, "b": 1.5}) == ["/b is 1 and 1.5"]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 40)), max_size=4),
    st.integers(0, 60),
    st.booleans(),
)
def test_replay_gives_the_verdict(said: list[tuple[int, int, int]], hours: int, with_baseline: bool) -> None:
    current = tuple(
        fact(n + 1, part=f"p{n}", time=NOW - timedelta(hours=age), data=DATA | {"failed": failed, "passed": passed,
             "total": failed + passed, "failed_tests": [f"t{i}" for i in range(failed)]})
        for n, (passed, failed, age) in enumerate(said)
    )  # fmt: skip
    facts = Facts(current, (fact(99),) if with_baseline else (), 4 if with_baseline else None, "1.0")
    assert check(capsule(facts, NOW + timedelta(hours=hours), standing()), KEYS)[0] == []


@pytest.mark.parametrize("name", ["old_go.json", "old_no_go.json"])
def test_a_capsule_of_an_older_version_is_judged_again_byte_for_byte(name: str) -> None:
    content = Path(__file__).with_name(name).read_bytes()
    assert check(content, public_keys(Signer.from_secret("x" * 30).public))[0] == []
