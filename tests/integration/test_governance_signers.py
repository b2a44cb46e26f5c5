"""Signed reports on real servers: verified when they come, trusted as long as their keys are."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.policies import publish_policy
from libs.common.contracts.governance.reports import record_report
from libs.common.contracts.governance.signals import get_signal
from libs.common.contracts.governance.signers import SIGNERS
from libs.judge.attestation import Sent, SigningKey, sign
from libs.judge.capsule import check
from libs.judge.dsse import Signer, public_keys
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.integration.governance_desk import rule, run
from tests.integration.test_governance_capsules import capsule_of
from tests.stack import Stack
from tests.unit.governance.samples import case, junit, sarif, tiny_policy

pytestmark = pytest.mark.integration

ED, EC = Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
JWKS = {"keys": [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "k"}]}
SIGNER = Signer.from_secret("x" * 30)
GOOD, BAD = junit(case("a"), case("b")), junit(case("a"), case("b", "<failure/>"))
POLICY = tiny_policy(
    name="name: shop",
    settings="",
    subject_mode="subject_mode: version",
    scope="    scope: version",
    kind="    kind: test.junit",
    condition="    condition: derived.not_passed == 0",
    observed='    observed: "{derived.not_passed} not passed"',
    wanted='    wanted: "0"\n    signers: ["key:global/*", "oidc:*"]',
).decode()
ABOUT = {"subject": "app", "version": "1.0"}
TARGET = {"gate": "shop", **ABOUT}


def pem_of(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, form).decode())


def signers(*names: str) -> dict[str, Any]:
    keys = {"ed": {"name": "ed", "pem": pem_of(ED)}, "ec": {"name": "ec", "pem": pem_of(EC)}}
    github = {"name": "github", "issuer": "https://ci.example.com", "audience": "headgate",
              "subjects": ["repo:acme/*"], "jwks": JWKS}  # fmt: skip
    return {"keys": [keys[one] for one in names if one in keys], "issuers": [github] if "github" in names else []}


async def trust(stack: Stack, *names: str, site: str = "global") -> None:
    answer = await stack.command(SIGNERS.publish, {"content": signers(*names), "reason": "CI"}, site=site)
    assert answer.status == 200, answer


async def send(
    stack: Stack, content: bytes, key: SigningKey | None = None, *, actor: str = "ci", made_at: datetime | None = None,
    signed: dict[str, str] | None = None, site: str = "global", **more: Any,
) -> Any:  # fmt: skip
    """Send a report, signed for what it is sent as but for ``signed``."""
    stack.clock.advance(seconds=1)
    body = {"format": "junit", "content_zlib_base64": base64.b64encode(zlib.compress(content)).decode(), **ABOUT}
    body |= more
    if key is not None:
        told = {name: str(body[name]) for name in ("subject", "version", "format")} | {"site": site}
        told |= {"part": str(body.get("part", "default")), "sha256": sha256(content).hexdigest(), **(signed or {})}
        body["signature"] = sign(key, Sent(**told), made_at or stack.clock(), "unit.xml")
    return await stack.command(record_report, body, actor=actor, site=site)


def token(stack: Stack, **claims: Any) -> str:
    at = int(stack.clock().timestamp())
    told = {"iss": "https://ci.example.com", "aud": "headgate", "sub": "repo:acme/app", "iat": at, "exp": at + 300}
    return jwt.encode(told | claims, RSA, algorithm="RS256", headers={"kid": "k"})


async def decision(stack: Stack) -> str:
    return str((await run(stack, **TARGET))["decision"])


async def admitted(stack: Stack) -> bool:
    return bool((await stack.query(admit, TARGET)).json["admitted"])


@pytest_asyncio.fixture
async def shop(stack: Stack) -> Stack:
    """A gate that hears signed reports alone."""
    await stack.start(make_service(packaged_policies(), signer=SIGNER))
    await trust(stack, "ed", "ec", "github")
    body = {"gate": "shop", "content": POLICY, "reason": "Only what CI signed"}
    assert (await stack.command(publish_policy, body)).status == 200
    return stack


async def test_a_signed_report_passes_a_rule_that_wants_one(shop: Stack) -> None:
    plain = await send(shop, GOOD)
    assert (plain.status, plain.json["items"][0]["signer"]) == (201, "")
    none = await run(shop, **TARGET)
    assert "and it hears signers key:global/*, oidc:*" in rule(none, "one")["observed"]
    # The same bytes again, now signed, are no retry.
    receipt = (await send(shop, GOOD, ED)).json["items"][0]
    assert (receipt["signer"], receipt["duplicate"]) == ("key:global/ed", False)
    shown = (await shop.query(get_signal, {"signal_id": receipt["signal_id"]})).json
    assert shown["signer"] == "key:global/ed"
    go = await run(shop, **TARGET)
    assert go["decision"] == "go"
    problems, body = check(await capsule_of(shop, go), public_keys(SIGNER.public))
    assert (problems, {fact["signer"] for fact in body["facts"]["current"]}) == ([], {"key:global/ed"})
    assert (await send(shop, GOOD, EC)).json["items"][0]["signer"] == "key:global/ec"
    assert await decision(shop) == "go"


async def test_an_old_signed_report_is_an_old_one_whoever_sends_it_again(shop: Stack) -> None:
    before = shop.clock()
    await send(shop, GOOD, ED, made_at=before)
    shop.clock.advance(minutes=20)
    await send(shop, BAD, ED)
    assert await decision(shop) == "no_go"
    replayed = await send(shop, GOOD, ED, actor="eve", made_at=before)
    assert replayed.status == 201
    assert await decision(shop) == "no_go"
    for change in ({"version": "0.9"}, {"part": "e2e"}, {"site": "berlin"}, {"format": "nunit"}):
        answer = await send(shop, GOOD, ED, actor="eve", signed=change)
        assert (answer.status, "It is signed for the" in answer.json["detail"]) == (422, True), answer
    ahead = await send(shop, GOOD, ED, made_at=shop.clock() + timedelta(hours=1))
    assert "time in the future" in ahead.json["detail"]


async def test_a_wrong_signature_never_counts_and_ends_what_its_sender_said(shop: Stack) -> None:
    await send(shop, GOOD, ED)
    assert await decision(shop) == "go"
    # A stranger's changes nothing.
    assert (await send(shop, GOOD, Ed25519PrivateKey.generate(), actor="eve")).status == 422
    assert await admitted(shop)
    # The pipeline's own newest word is not the signed one any more.
    wrong = await send(shop, GOOD, Ed25519PrivateKey.generate())
    assert (wrong.status, "none of the keys that are trusted" in wrong.json["detail"]) == (422, True)
    kept = (await shop.query(get_signal, {"signal_id": wrong.json["signal_id"]})).json
    assert (kept["valid"], kept["signer"]) == (False, None)
    assert not await admitted(shop)
    assert "not signed: it hears signers" in rule(await run(shop, **TARGET), "one")["observed"]
    await send(shop, GOOD, ED)
    assert await decision(shop) == "go"


async def test_a_withdrawn_key_takes_what_it_signed_with_it(shop: Stack) -> None:
    await send(shop, GOOD, ED)
    assert await decision(shop) == "go"
    await trust(shop, "ec", "github")
    assert not await admitted(shop)
    assert await decision(shop) == "no_go"
    assert (await send(shop, GOOD, ED)).status == 422
    await trust(shop, "ed")
    await send(shop, GOOD, ED)
    assert await decision(shop) == "go"
    # Another key under the old name is another signer.
    renamed = {"keys": [{"name": "ed", "pem": pem_of(EC)}]}
    assert (await shop.command(SIGNERS.publish, {"content": renamed, "reason": "Rotated"})).status == 200
    assert await decision(shop) == "no_go"


async def test_a_sites_own_key_never_signs_in_globals_name(shop: Stack) -> None:
    await trust(shop, "ed", site="berlin")
    await trust(shop, "github")
    assert (await send(shop, GOOD, ED)).status == 422
    mine = await send(shop, GOOD, ED, site="berlin")
    assert mine.json["items"][0]["signer"] == "key:berlin/ed"
    assert (await run(shop, "shop", "berlin", **ABOUT))["decision"] == "no_go"


async def test_the_identity_of_a_ci_job_is_a_signature_too(shop: Stack) -> None:
    receipt = (await send(shop, GOOD, identity_token=token(shop))).json["items"][0]
    assert receipt["signer"] == "oidc:global/github/repo:acme/app"
    assert await decision(shop) == "go"
    for claims, said in (
        ({"sub": "repo:evil/app"}, "none of those whose word counts"),
        ({"aud": "other"}, "another audience"),
        ({"exp": 1}, "is over"),
    ):
        answer = await send(shop, GOOD, actor="eve", identity_token=token(shop, **claims))
        assert (answer.status, said in answer.json["detail"]) == (422, True), answer
    other = signers("github")
    other["issuers"][0]["subjects"] = ["repo:acme/shop"]
    assert (await shop.command(SIGNERS.publish, {"content": other, "reason": "Fewer"})).status == 200
    assert await decision(shop) == "no_go"


async def test_a_scan_with_a_wrong_signature_ends_its_senders_scans(shop: Stack) -> None:
    scans = POLICY.replace("test.junit", "scan.sarif").replace("not_passed", "severe_count").replace("shop", "scans")
    body = {"gate": "scans", "content": scans, "reason": "Signed scans"}
    assert (await shop.command(publish_policy, body)).status == 200
    content = sarif([])
    of: dict[str, Any] = {"format": "sarif"}
    target = {"gate": "scans", **ABOUT}
    assert (await send(shop, content, ED, **of)).status == 201
    assert (await run(shop, **target))["decision"] == "go"
    assert (await send(shop, content, EC, actor="eve", signed={"version": "9"}, **of)).status == 422
    assert (await run(shop, **target))["decision"] == "go"
    assert (await send(shop, content, EC, signed={"version": "9"}, **of)).status == 422
    assert (await run(shop, **target))["decision"] == "no_go"


async def test_signers_that_can_not_be_trusted_are_refused(shop: Stack) -> None:
    secret = {**signers("github")["issuers"][0], "jwks": {"keys": [{"kty": "oct", "k": "eA"}]}}
    anybody = {**signers("github")["issuers"][0], "subjects": ["*"]}
    for content, said in (
        ({"keys": [{"name": "x", "pem": "nothing"}]}, "no public key in PEM"),
        ({"keys": [{"name": "x", "pem": pem_of(RSA)}]}, "no Ed25519 or ECDSA P-256 key"),
        ({"issuers": [secret]}, "public keys only"),
        ({"issuers": [anybody]}, ""),
        ({"keys": [{"name": "github", "pem": pem_of(ED)}], "issuers": signers("github")["issuers"]}, ""),
    ):
        answer = await shop.command(SIGNERS.publish, {"content": content, "reason": "No"})
        assert (answer.status, said in str(answer.json)) == (422, True), answer
    await send(shop, GOOD, ED)
    assert await decision(shop) == "go"
