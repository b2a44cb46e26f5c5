"""Decision capsules: all that a verdict was made of, in one file that proves it without asking anybody.

The *body* says what was judged (policy, facts, time) and the verdict. Contents are in it by their SHA-256 and stand
beside it as attachments: policies as they were written, a fact's data as the database wrote them. The *statement*
(in-toto v1, https://in-toto.io/Statement/v1, with the predicate https://slsa.dev/verification_summary/v1) names the
body's SHA-256 and is what is signed. A capsule is one line of canonical JSON (RFC 8785). More: docs/capsules.md.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
import rfc8785

from libs.judge.combine import combine
from libs.judge.dsse import PAYLOAD_TYPE, PublicKey, is_envelope
from libs.judge.facts import Facts
from libs.judge.plain import differences, plain, read
from libs.judge.policy import Policy, PolicyError, apply_overrides, parse_policy
from libs.judge.results import Verdict
from libs.judge.standing import Standing
from libs.judge.verdict import judge

FORMAT = "headgate.capsule.v1"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/verification_summary/v1"
VERIFIER = "https://headgate.dev/governance"
SLSA_VERSION = "1.1"
MAX_SHOWN = 5
MAX_CAPSULE_BYTES = 512 * 1024 * 1024
FACT_LISTS = ("current", "baseline", "unread")


@dataclass(frozen=True, slots=True)
class About:
    """Which decision it was. ``actor`` asked for it; ``headgate`` is the version of the code that judged."""

    site: str
    gate: str
    subject: str
    version: str
    run_id: int
    run_number: int
    trigger: str
    actor: str
    headgate: str
    line: str = ""
    artifact_digest: str = ""


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return sha256(content).hexdigest()


def canonical(value: Any) -> bytes:
    """RFC 8785 of plain JSON."""
    return rfc8785.dumps(value)


def make_body(
    about: About,
    policy: Policy,
    facts: Facts,
    now: datetime,
    verdict: Verdict,
    digests: Mapping[int, str],
    standing: Standing,
) -> bytes:
    """The body of a decision; ``digests`` has the SHA-256 (hex) of each fact's data by signal id."""
    return canonical(
        {
            "format": FORMAT,
            "about": plain(about),
            "clock": plain(now),
            "policy": {
                "digest": policy.digest,
                "layers": [
                    {"file": part.file, "source": digest(part.text.encode()), "overrides": plain(part.overridden)}
                    for part in _layers(policy)
                ],
            },
            "facts": {
                field.name: _plain_facts(field.name, getattr(facts, field.name), digests) for field in fields(Facts)
            },
            "standing": plain(standing),
            "verdict": plain(verdict),
        }
    )


def _layers(policy: Policy) -> tuple[Policy, ...]:
    """What a policy was combined from, else itself."""
    return policy.parts or (policy,)


def sources_of(policy: Policy) -> list[str]:
    """The texts that a policy was read from."""
    return [part.text for part in _layers(policy)]


def _rebuilt(layers: Sequence[Mapping[str, Any]], attachments: Mapping[str, str]) -> Policy:
    """The policy that was made from these layers. Raises PolicyError."""
    parts = []
    for said in layers:
        overrides = {suffix: _as_text(value) for suffix, value in said["overrides"].items()}
        parts.append(apply_overrides(parse_policy(attachments[said["source"]].encode(), said["file"]), overrides))
    return parts[0] if len(parts) == 1 else combine(*parts)


def _as_text(value: Any) -> str:
    """A setting's value as the environment would give it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain_facts(name: str, held: Any, digests: Mapping[int, str]) -> Any:
    """A field of `Facts`; the data of facts only by their digests."""
    if name not in FACT_LISTS:
        return plain(held)
    return [plain(replace(fact, data=None, data_sha256="")) | {"data": digests[fact.signal_id]} for fact in held]


def make_statement(body: bytes) -> bytes:
    """The statement about a body, which is signed: canonical JSON."""
    said = json.loads(body)
    about, verdict = said["about"], said["verdict"]
    where = "/".join(about[name] for name in ("site", "gate", "subject", "version"))
    if line := about.get("line"):  # capsules of before there were lines don't say any
        where += f"#line={line}"
    signals = {fact["signal_id"]: fact["data"] for name in FACT_LISTS for fact in said["facts"][name]}
    passed = verdict["decision"] == "go"
    levels = [f"HEADGATE_{verdict['verdict']}", *(["HEADGATE_OVERRIDDEN"] if verdict.get("override") else [])]
    return canonical(
        {
            "_type": STATEMENT,
            "subject": [
                {"name": f"headgate-decision-{about['run_id']}", "digest": {"sha256": digest(body)}},
                *_artifact(about),
            ],
            "predicateType": PREDICATE,
            "predicate": {
                "verifier": {"id": VERIFIER},
                "timeVerified": said["clock"],
                "resourceUri": f"headgate:{where}",
                "policy": {
                    "uri": f"headgate:policy/{about['gate']}",
                    "digest": {"sha256": said["policy"]["digest"]},
                },
                "inputAttestations": [
                    {"uri": f"headgate:signal/{signal_id}", "digest": {"sha256": signals[signal_id]}}
                    for signal_id in sorted(signals)
                ],
                "verificationResult": "PASSED" if passed else "FAILED",
                "verifiedLevels": levels if passed else ["FAILED"],
                "slsaVersion": SLSA_VERSION,
            },
        }
    )


def _artifact(about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The artifact as a subject of the statement, where the decision names its digest."""
    algorithm, _, value = about.get("artifact_digest", "").partition(":")
    return [{"name": f"{about['subject']} {about['version']}", "digest": {algorithm: value}}] if value else []


def wanted_attachments(body: Mapping[str, Any]) -> set[str]:
    """The SHA-256 of all contents that a body names."""
    return fact_data(body) | {str(layer["source"]) for layer in body["policy"]["layers"]}


def fact_data(body: Mapping[str, Any]) -> set[str]:
    """The SHA-256 of the data of all facts that a body names."""
    return {str(fact["data"]) for name in FACT_LISTS for fact in body["facts"][name]}


def rebuild(body: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[Facts, Standing, datetime]:
    """What a decision was made of beside its policy: facts, what people had decided, and the clock.

    ``data``: what the facts hold by SHA-256. Raises ValueError, KeyError or TypeError for a body of another shape.
    """
    held = {
        name: [{**fact, "data": data[fact["data"]], "data_sha256": fact["data"]} for fact in value]
        if name in FACT_LISTS
        else value
        for name, value in body["facts"].items()
    }
    facts: Facts = read(Facts, held)
    standing: Standing = read(Standing, body["standing"])
    return facts, standing, datetime.fromisoformat(body["clock"])


def seal(body: bytes, statement: bytes, key_id: str, signature: bytes, attachments: Mapping[str, str]) -> bytes:
    """The capsule as it is handed out. ``attachments``: contents (text) by SHA-256."""
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(statement).decode(),
        "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
    }
    return canonical({"attachments": dict(attachments), "body": json.loads(body), "envelope": envelope})


def check(content: bytes, keys: Mapping[str, PublicKey]) -> tuple[list[str], dict[str, Any]]:
    """What is wrong with a capsule, a sentence each (nothing: it is proven), and its body as far as it can be read.

    ``keys``: the public keys that are trusted. Nothing else is asked: the verdict is made anew from what lies inside.
    """
    try:
        capsule = json.loads(content, object_pairs_hook=_no_repeats)
        if not isinstance(capsule, dict) or sorted(capsule) != ["attachments", "body", "envelope"]:
            return ["This is no capsule: it has not just attachments, body and envelope."], {}
        problems = _not_canonical(capsule, content)
        body, attachments = capsule["body"], capsule["attachments"]
        problems += _statement_problems(capsule["envelope"], body, keys)
        problems += _attachment_problems(body, attachments)
        if wanted_attachments(body) - attachments.keys():
            return problems, body
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            return [*problems, f"The body is not of the format {FORMAT}."], {}
        return problems + _replay_problems(body, attachments), body
    except RecursionError:
        return ["This is no capsule: it is nested too deeply."], {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"The capsule can't be read: {str(error)[:300] or type(error).__name__}."], {}


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read_ = dict(pairs)
    if len(read_) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return read_


def _not_canonical(capsule: Any, content: bytes) -> list[str]:
    written = canonical(capsule)
    if written == content.removesuffix(b"\n"):
        return []
    pairs = enumerate(zip(written, content, strict=False))
    place = next((at for at, (one, other) in pairs if one != other), len(written))
    return [f"The file is not written as RFC 8785 writes it, from byte {place} on."]


def _statement_problems(envelope: Any, body: Any, keys: Mapping[str, PublicKey]) -> list[str]:
    if not is_envelope(envelope):
        return ["The envelope is no DSSE envelope of an in-toto statement with one signature."]
    key_id = envelope["signatures"][0]["keyid"]
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    except binascii.Error:
        return ["The envelope's payload or signature is not base64."]
    problems = []
    if (key := keys.get(key_id)) is None:
        problems.append(f"It is signed by the key {key_id[:80]}, which is not the key that you trust.")
    elif not key.has_signed(payload, signature):
        problems.append("The signature is not the trusted key's over this statement.")
    elif base64.b64encode(signature).decode() != envelope["signatures"][0]["sig"]:
        problems.append("The signature is not written as base64 writes it.")
    wanted = make_statement(canonical(body))
    if payload != wanted:
        found = differences(json.loads(payload), json.loads(wanted)) or ["only in how it is written"]
        problems.append(f"The signed statement is not about this body; it differs: {'; '.join(found[:MAX_SHOWN])}.")
    return problems


def _attachment_problems(body: Any, attachments: Mapping[str, str]) -> list[str]:
    wanted = wanted_attachments(body)
    owners = {fact["data"]: f"the data of signal {fact['signal_id']} ({fact['kind']}, part {fact['part']})"
              for name in FACT_LISTS for fact in body["facts"][name]}  # fmt: skip
    owners |= {layer["source"]: f"the policy {layer['file']}" for layer in body["policy"]["layers"]}
    problems = [f"{owners[name]} with the SHA-256 {name} is missing." for name in sorted(wanted - attachments.keys())]
    unnamed = sorted(attachments.keys() - wanted)
    problems += [f"there is an attachment {name[:80]} that the body does not name." for name in unnamed]
    found = {name: digest(attachments[name].encode()) for name in sorted(wanted & attachments.keys())}
    problems += [
        f"{owners[name]} has the SHA-256 {other}, and the body says {name}."
        for name, other in found.items()
        if other != name
    ]
    return [problem[:1].upper() + problem[1:] for problem in problems]


def _replay_problems(body: Mapping[str, Any], attachments: Mapping[str, str]) -> list[str]:
    """Judge again and compare byte for byte."""
    try:
        policy = _rebuilt(body["policy"]["layers"], attachments)
    except PolicyError as error:
        return [f"The policy can't be read: {error.message}."]
    if policy.digest != body["policy"]["digest"]:
        return [f"The policy has the digest {policy.digest}, and the body says {body['policy']['digest']}."]
    data = {name: orjson.loads(attachments[name]) for name in fact_data(body)}
    facts, standing, clock = rebuild(body, data)
    verdict = plain(judge(policy, facts, clock, standing))
    if canonical(verdict) == canonical(body["verdict"]):
        return []
    found = differences(body["verdict"], verdict)[:MAX_SHOWN] or ["only in how it is written"]
    return [f"Judged again, the verdict differs (in the capsule, and anew): {'; '.join(found)}."]
